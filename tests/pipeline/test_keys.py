"""Keys follow content: options of the same effect have the same key, others do not."""

import json
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ex4d_core.config.run_config import RunConfig
from ex4d_core.pipeline.generation import generation_inputs
from ex4d_core.pipeline.session import Session
from ex4d_core.types import Video
from ex4d_core.video_io import write_video


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A clip of 8 frames of 64x48 at 12 Hz; its disparity, named so and not; a path; intrinsics."""
    folder = tmp_path_factory.mktemp("keys")
    frames = torch.randint(0, 255, (8, 48, 64, 3), dtype=torch.uint8)
    write_video(Video(frames=frames, fps=Fraction(12)), folder / "clip.mp4")
    disparity = np.linspace(0.1, 0.9, 8 * 48 * 64, dtype=np.float32).reshape(8, 48, 64)
    np.savez(folder / "inverse.npz", disparity=disparity)
    np.savez(folder / "metric.npz", depth=disparity, kind="metric")
    np.savez(folder / "plain.npz", depth=disparity)
    np.save(folder / "lens.npy", np.array([[64.0, 0, 32], [0, 64, 24], [0, 0, 1]]))
    return folder


@pytest.fixture
def key(files):
    """Return the inputs of a stage, as JSON, with the given settings."""

    def key(stage, depth="plain.npz", kind=None, **settings):
        depth = {"name": "file", "path": str(files / depth), **({"kind": kind} if kind else {})}
        components = {"backbone": "telea", "renderer": "zbuffer"} | settings
        path_run = Session(depth=depth, **components).open_clip(files / "clip.mp4").along("20")
        inputs = {"depth": path_run.clip_run.depth_inputs, "guidance": path_run.guidance_inputs}
        return json.dumps((inputs | {"result": path_run.video_inputs})[stage], sort_keys=True, default=str)

    return key


@pytest.mark.parametrize(
    "video",
    [
        {"start": 0, "stride": 1},
        {"num_frames": 8},
        {"num_frames": 100},
        {"size": "64x48"},
        {"size": "64X48", "fit": "pad"},
        {"fit": "stretch"},
        {"fps": 12},
    ],
)
def test_options_that_state_the_properties_of_the_clip_keep_the_key(key, video):
    assert key("result", video=video) == key("result")


@pytest.mark.parametrize(
    "video",
    [
        {"start": 1},
        {"stride": 2},
        {"num_frames": 7},
        {"size": "32x24"},
        {"size": "48x48"},
    ],
)
def test_other_frames_have_another_key(key, video):
    assert key("depth", video=video) != key("depth")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ({"size": "32x24"}, {"size": "32x24", "fit": "pad"}, True),
        ({"size": "48x48"}, {"size": "48x48", "fit": "pad"}, False),
        ({"size": "48x48"}, {"size": "48x48", "fit": "stretch"}, False),
        ({"fps": 12}, {"fps": 24}, False),
        ({"stride": 2}, {"stride": 2, "fps": 6}, True),
    ],
)
def test_pairs_of_selections(key, one, other, is_same):
    assert (key("guidance", video=one) == key("guidance", video=other)) == is_same


@pytest.mark.parametrize(
    ("settings", "is_same"),
    [
        ({"path": {"frames": 8}}, True),
        ({"path": {"frames": 9}}, False),
        ({"prompt": "a dog"}, True),
        ({"seed": 1}, True),
        ({"lens": {"of": "frame"}}, True),
        ({"lens": {"fov": 53.13}}, False),
    ],
)
def test_settings_without_effect_keep_the_key(key, settings, is_same):
    assert (key("result", **settings) == key("result")) == is_same


@pytest.mark.parametrize("ignores", [(), ("seed",), ("prompt", "seed")])
def test_settings_that_the_backbone_reads_are_in_its_key(ignores):
    chosen = SimpleNamespace(identity=dict, offer=SimpleNamespace(spec=SimpleNamespace(ignores=ignores)))
    components = SimpleNamespace(config=RunConfig(prompt="a dog"), choose=lambda role: chosen)
    assert generation_inputs(components).keys() == {"backbone", "prompt", "seed"} - set(ignores)


def test_equal_intrinsics_have_one_key_however_they_are_given(key, files):
    given = [{"focal_px": 64}, {"focal_px": 64, "of": "frame"}, {"intrinsics": str(files / "lens.npy")}]
    assert len({key("guidance", lens=lens) for lens in given}) == 1
    assert key("guidance", lens={"focal_px": 65}) != key("guidance", lens=given[0])


@pytest.mark.parametrize(
    ("depth", "kind", "is_same"),
    [
        ("inverse.npz", "inverse", True),
        ("metric.npz", "metric", True),
        ("metric.npz", "relative", False),
        ("plain.npz", "inverse", False),
        ("plain.npz", "metric", False),
    ],
)
def test_the_kind_that_the_file_states_is_that_of_auto(key, depth, kind, is_same):
    assert (key("depth", depth, kind=kind) == key("depth", depth)) == is_same
