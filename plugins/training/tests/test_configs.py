"""The configurations of the repository: each can be read, and describes an adapter of the size that it says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch

from ex4d_backbone_wan.testing import TRANSFORMER
from ex4d_training.config import make_train_config
from ex4d_training.velocity import attach_adapter, trained_parameters

CONFIGS = Path(__file__).parents[1] / "configs"

WANS = {
    "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers": {
        "num_attention_heads": 40,
        "ffn_dim": 13824,
        "num_layers": 40,
        "in_channels": 36,
        "image_dim": 1280,
        "added_kv_proj_dim": 5120,
    },
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": {
        "num_attention_heads": 12,
        "ffn_dim": 8960,
        "num_layers": 30,
        "in_channels": 16,
    },
    "outputs/tiny_wan": TRANSFORMER,
}
"""Sizes as the checkpoints' own configurations say them, where they are not the class's defaults."""


@pytest.fixture
def build():
    """Make the network of a configuration, without values."""
    diffusers = pytest.importorskip("diffusers")

    def make(name):
        asked = make_train_config(read(name)).model
        with torch.device("meta"):
            transformer = diffusers.WanTransformer3DModel(**WANS[asked.base])
        return attach_adapter(transformer, rank=asked.rank, hidden=asked.camera_hidden, channels=32, seed=0)

    return make


def read(name: str) -> dict:
    tree = tomllib.loads((CONFIGS / f"{name}.toml").read_text())
    return {**tree, "data": {**tree["data"], "path": "x"}}


@pytest.mark.parametrize(
    ("name", "frozen", "trained"),
    [
        ("ex4d_base", 16_394_878_784, 99_786_752),
        ("ex4d_1.3b", 1_418_996_800, 30_298_624),
        ("ex4d_tiny", 30_848, 6_856),
    ],
)
@pytest.mark.slow
def test_a_configuration_describes_a_network_of_its_size(build, name, frozen, trained):
    model = build(name)
    counted = sum(value.numel() for value in trained_parameters(model).values())
    whole = sum(value.numel() for value in model.parameters())
    assert (whole - counted, counted) == (frozen, trained)


def test_every_configuration_is_tested_and_says_how_it_is_used():
    names = {path.stem for path in CONFIGS.glob("*.toml")}
    assert names == {"ex4d_base", "ex4d_1.3b", "ex4d_tiny"}
    for name in names:
        text = (CONFIGS / f"{name}.toml").read_text()
        assert f"ex4d train --config plugins/training/configs/{name}.toml --data-path" in text
