"""Nothing that somebody plants in the folders of DepthCrafter runs, asks or reaches a hub; what is spoilt is named."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from ex4d_core.errors import Ex4dError
from ex4d_depth_depthcrafter.options import DepthCrafterOptions
from ex4d_depth_depthcrafter.weights import locate
from tests.helpers.planted import DAMAGES, change, plant, watched

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

CONFIGS = (
    *("unet/config.json", "base/vae/config.json", "base/image_encoder/config.json"),
    *("base/scheduler/scheduler_config.json", "base/feature_extractor/preprocessor_config.json"),
)


@pytest.fixture
def copy(checkpoint, tmp_path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Load a folder that is refused in one sentence which names it, and return the sentence."""

    def refuse(folder):
        with watched(monkeypatch, tmp_path / "mark"), pytest.raises(Ex4dError, match=str(folder)) as caught:
            load(folder)
        assert "\n" not in str(caught.value)
        assert "ex4d-weights-" not in str(caught.value)
        return str(caught.value)

    return refuse


def load(folder):
    from ex4d_depth_depthcrafter.networks import load_networks

    options = DepthCrafterOptions(unet=str(folder / "unet"), base=str(folder / "base"))
    options.fingerprint()
    return load_networks(locate(options), device=torch.device("cpu"), dtype=torch.float32, offload="none")


def test_what_is_planted_beside_the_weights_changes_nothing(checkpoint, copy, tmp_path, monkeypatch):
    expected = load(checkpoint)
    with watched(monkeypatch, tmp_path / "mark"):
        found = load(plant(copy, tmp_path / "mark"))
    for part in ("unet", "vae", "image_encoder"):
        theirs = getattr(expected, part).state_dict()
        ours = getattr(found, part).state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("config", CONFIGS)
def test_a_spoilt_configuration_is_named(copy, refused, config, damage):
    DAMAGES[damage](copy / config)
    refused(copy)


@pytest.mark.parametrize(
    ("config", "entries"),
    [
        ("base/feature_extractor/preprocessor_config.json", {"image_mean": "red"}),
        ("base/feature_extractor/preprocessor_config.json", {"image_std": None}),
        ("base/scheduler/scheduler_config.json", {"beta_schedule": "evil"}),
        ("base/scheduler/scheduler_config.json", {"num_train_timesteps": "many"}),
        ("base/scheduler/scheduler_config.json", {"sigma_max": [1]}),
        ("base/vae/config.json", {"scaling_factor": "large"}),
        ("unet/config.json", {"addition_time_embed_dim": 8}),
        ("unet/config.json", {"cross_attention_dim": {}}),
    ],
    ids=str,
)
@pytest.mark.slow
def test_an_entry_that_cannot_be_is_refused_before_the_run(copy, refused, config, entries):
    change(copy / config, **entries)
    refused(copy)


@pytest.mark.parametrize("part", ["unet", "base/vae", "base/image_encoder"])
def test_a_pipe_in_place_of_weights_is_not_waited_for(copy, refused, part):
    path = next((copy / part).glob("*.safetensors"))
    path.unlink()
    os.mkfifo(path)
    assert "is a named pipe, not a regular file" in refused(copy)
