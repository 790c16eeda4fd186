"""Video Depth Anything predicts what the released code predicts, and refuses other weights."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ex4d_core.errors import InvalidInput
from ex4d_depth_anything3.video.network import load_network
from ex4d_depth_anything3.video.preprocessing import input_size, pictures

FILE = "video_depth_anything_vits.pth"

CASES = {"square": (6, 70, 70), "wide": (32, 42, 56)}
"""Frames, height, width; the square one has the grid of the position embeddings."""


def random(case, shape, high=None):
    rng = np.random.default_rng(zlib.crc32(case.encode()))
    values = rng.standard_normal(shape).astype(np.float32) if high is None else rng.integers(0, high, shape, np.uint8)
    return torch.from_numpy(values)


@pytest.mark.parametrize("case", CASES)
def test_predictions_equal_those_of_the_released_code(video_checkpoint, video_golden, case):
    frames, height, width = CASES[case]
    with torch.inference_mode():
        found = load_network(video_checkpoint / FILE)(random(case, (frames, 3, height, width)))
    every = max(1, frames // 4)
    np.testing.assert_allclose(found[::every], video_golden[f"network.{case}"], atol=1e-4)


@pytest.mark.parametrize(("name", "size"), [("tall", (61, 33)), ("broad", (20, 50)), ("small", (24, 40))])
def test_pictures_equal_those_of_the_released_code(video_golden, name, size):
    found = pictures(random(name, (1, *size, 3), high=256), 56)[0]
    np.testing.assert_allclose(found, video_golden[f"picture.{name}"], atol=1e-5)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1080, 1920), (518, 924)), ((1920, 1080), (924, 518)), ((512, 512), (518, 518)), ((800, 2000), (364, 910))],
)
def test_the_input_has_a_shortest_side_and_at_most_the_pixels_of_16_9(size, expected):
    assert input_size(*size, short_side=518) == expected


@pytest.fixture
def changed(video_checkpoint, tmp_path):
    """A checkpoint with other tensors."""

    def make(change):
        tensors = torch.load(video_checkpoint / FILE, weights_only=True)
        change(tensors)
        torch.save(tensors, tmp_path / FILE)
        return tmp_path / FILE

    return make


def test_missing_and_unexpected_tensors_are_named(changed):
    def change(tensors):
        del tensors["head.motion_modules.3.temporal_transformer.proj_out.bias"]
        tensors["head.scratch.stem.weight"] = torch.zeros(1)

    with pytest.raises(InvalidInput, match=r"lacks the tensors head.motion_modules.3.*unexpected.*scratch.stem.weight"):
        load_network(changed(change))


def test_other_models_are_refused(changed):
    def without_motion(tensors):
        for name in [name for name in tensors if "motion_modules" in name]:
            del tensors[name]

    with pytest.raises(InvalidInput, match="not contain a model of Video Depth Anything; use a file of its authors"):
        load_network(changed(without_motion))
    for positions in (0, 1, 6):
        name = "pretrained.pos_embed"
        with pytest.raises(InvalidInput, match="not contain a model of Video Depth Anything"):
            load_network(changed(lambda tensors: tensors.update({name: torch.zeros(1, positions, 128)})))  # noqa: B023
    with pytest.raises(InvalidInput, match="contains other objects than tensors"):
        load_network(changed(lambda tensors: tensors.update(state={})))
    with pytest.raises(InvalidInput, match="contains other objects than tensors"):
        load_network(changed(lambda tensors: tensors.update(huge=torch.zeros(1).expand(10**10))))


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"not a checkpoint")
    with pytest.raises(InvalidInput, match="is damaged or contains other objects than tensors"):
        load_network(tmp_path / FILE)


def test_code_in_a_file_is_not_run(changed, tmp_path):
    class Code:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    with pytest.raises(InvalidInput, match=r"such as code, which is not run; download it again from its authors$"):
        load_network(changed(lambda tensors: tensors.update(code=Code())))
    assert not (tmp_path / "ran").exists()


def test_safetensors_are_read(video_checkpoint, tmp_path):
    tensors = torch.load(video_checkpoint / FILE, weights_only=True)
    save_file(tensors, tmp_path / "model.safetensors")
    found, expected = (load_network(file) for file in (tmp_path / "model.safetensors", video_checkpoint / FILE))
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), expected.parameters(), strict=True))
