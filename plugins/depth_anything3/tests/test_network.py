"""The network predicts what the released code predicts, and refuses other weights."""

import json
import zlib

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ex4d_core.errors import InvalidInput
from ex4d_depth_anything3.estimator import piece_of
from ex4d_depth_anything3.metric import Metric
from ex4d_depth_anything3.network import load_network
from ex4d_depth_anything3.preprocessing import pictures

CASES = {"one": (1, 56, 56), "wide": (4, 42, 70)}
"""Views, height, width; of the four views the last is the reference."""


def random(case):
    views, height, width = CASES[case]
    rng = np.random.default_rng(zlib.crc32(case.encode()))
    return torch.from_numpy(rng.standard_normal((views, 3, height, width)).astype(np.float32))


@pytest.fixture(scope="module")
def networks(checkpoints):
    return {kind: load_network(folder) for kind, folder in checkpoints.items()}


@pytest.mark.parametrize(("kind", "case"), [("any", "one"), ("any", "wide"), ("metric", "wide")])
def test_predictions_equal_those_of_the_released_code(networks, golden, kind, case):
    found = networks[kind](random(case))
    for name in ("depth", "confidence", "sky", "world_to_camera"):
        if (key := f"{kind}.{case}.{name}") in golden:
            np.testing.assert_allclose(getattr(found, name), golden[key], atol=1e-4)
        else:
            assert getattr(found, name) is None


@pytest.mark.parametrize("case", CASES)
def test_lens_equals_that_of_the_released_code(networks, golden, case):
    _, height, width = CASES[case]
    focal = torch.tensor([width, height]) / 2 / torch.tan(networks["any"](random(case)).fov / 2)
    np.testing.assert_allclose(focal, golden[f"any.{case}.intrinsics"][:, [0, 1], [0, 1]], rtol=1e-5)


def test_meters_and_sky_equal_those_of_the_released_nested_model(networks, golden):
    prepared = random("wide")
    piece = piece_of(networks["any"](prepared), 0)
    scaled = Metric(networks["metric"]).scaled(piece, prepared)
    assert scaled.meters == pytest.approx(float(golden["nested.wide.scale"]), rel=1e-4)
    np.testing.assert_allclose(scaled.depth * scaled.meters, golden["nested.wide.depth"], atol=1e-4)
    assert (scaled.weight == 0).any()  # sky does not count when pieces are joined


@pytest.mark.parametrize(("name", "size"), [("reduced", (61, 113)), ("enlarged", (24, 40))])
def test_pictures_equal_those_of_the_released_code(golden, name, size):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    frame = torch.from_numpy(rng.integers(0, 256, (1, *size, 3), dtype=np.uint8))
    np.testing.assert_allclose(pictures(frame, 84), golden[f"picture.{name}"], atol=1e-6)


@pytest.fixture
def changed(checkpoints, tmp_path):
    """A checkpoint with other tensors or another configuration."""

    def make(tensors=lambda found: None, config=lambda found: None):
        found = load_file(checkpoints["any"] / "model.safetensors")
        described = json.loads((checkpoints["any"] / "config.json").read_text())
        tensors(found)
        config(described)
        save_file(found, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text(json.dumps(described))
        return tmp_path

    return make


def test_missing_and_unexpected_tensors_are_named(changed):
    def change(tensors):
        del tensors["model.cam_dec.fc_t.bias"]
        tensors["model.backbone.pretrained.mask_token"] = torch.zeros(1, 128)

    with pytest.raises(InvalidInput, match=r"lacks the tensors cam_dec.fc_t.bias; it has unexpected.*mask_token"):
        load_network(changed(tensors=change))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["config"]["head"]["__object__"].update(name="GSDPT"),
        lambda found: found["config"]["net"].update(out_layers=[1, 2, 3, 99]),
        lambda found: found["config"]["net"].update(out_layers=[2, 2, 3, 5]),
        lambda found: found["config"]["net"].update(alt_start=99),
        lambda found: found.clear(),
    ],
)
def test_other_models_are_refused(changed, change):
    with pytest.raises(InvalidInput, match=r"not contain a supported model of Depth Anything 3.*da3-small"):
        load_network(changed(config=change))


@pytest.mark.parametrize("positions", [0, 1, 6])
def test_position_embeddings_that_are_not_a_grid_are_refused(changed, positions):
    def change(tensors):
        tensors["model.backbone.pretrained.pos_embed"] = torch.zeros(1, positions, 128)

    with pytest.raises(InvalidInput, match="not contain a supported model"):
        load_network(changed(tensors=change))
