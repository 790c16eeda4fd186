"""Nothing that somebody plants in the folder of a depth model runs, asks or reaches a hub; what is spoilt is named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from ex4d_core.errors import Ex4dError
from ex4d_depth_transformers.options import TransformersOptions
from tests.helpers.planted import DAMAGES, EVIL, change, plant, watched

pytest.importorskip("transformers")

PICTURES = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def copy(checkpoint, tmp_path):
    """Give a copy of a tiny checkpoint that may be spoilt."""

    def make(model_type="depth_anything") -> Path:
        return Path(shutil.copytree(checkpoint(model_type), tmp_path / "copy"))

    return make


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
    from ex4d_depth_transformers.networks import load_network

    options = TransformersOptions(model=str(folder))
    options.fingerprint()
    return load_network(options, device=torch.device("cpu"))


@pytest.mark.parametrize("model_type", ["dpt", "zoedepth", "depth_anything", "depth_pro", "glpn"])
def test_what_is_planted_beside_the_weights_changes_nothing(checkpoint, copy, model_type, tmp_path, monkeypatch):
    expected = load(checkpoint(model_type)).predict(PICTURES).maps
    with watched(monkeypatch, tmp_path / "mark"):
        network = load(plant(copy(model_type), tmp_path / "mark"))
    assert torch.equal(network.predict(PICTURES).maps, expected)


@pytest.mark.parametrize("model_type", ["dpt", "zoedepth", "depth_anything"])
@pytest.mark.parametrize("timm", [True, False])
def test_a_backbone_of_another_repository_is_not_asked_for(copy, refused, model_type, timm):
    folder = copy(model_type)
    change(folder / "config.json", backbone=EVIL, backbone_config=None, use_timm_backbone=timm, is_hybrid=False)
    assert "another repository, 'evil/repo'" in refused(folder)


def test_code_for_an_unknown_kind_of_model_does_not_run(copy, refused, tmp_path):
    folder = plant(copy(), tmp_path / "mark")
    change(folder / "config.json", model_type="evil")
    assert "a model of type 'evil'" in refused(folder)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_a_spoilt_configuration_is_named(copy, refused, name, damage):
    folder = copy()
    DAMAGES[damage](folder / name)
    refused(folder)


@pytest.mark.parametrize(
    "entries",
    [
        *(
            {"image_mean": "red"},
            {"image_mean": [1, 2]},
            {"image_std": [1, 0, 1]},
            {"image_std": [1, float("1e300"), 1]},
        ),
        *({"size": "large"}, {"size": {"height": None}}, {"size": {"width": -5}}, {"size": 10**5}, {"do_pad": "yes"}),
        *({"ensure_multiple_of": "14"}, {"resample": [3]}),
    ],
    ids=str,
)
def test_a_preprocessor_says_numbers(copy, refused, entries):
    folder = copy()
    change(folder / "preprocessor_config.json", **entries)
    assert f"preprocessor_config.json gives {next(iter(entries))} as " in refused(folder)


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "cut", "device"])
def test_a_file_of_weights_that_is_none_is_named(copy, refused, kind):
    folder = copy()
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.unlink()
    if kind == "cut":
        path.write_bytes(data[:-100])
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"loop": path.name, "device": "/dev/zero"}[kind])
    refused(folder)


@pytest.mark.parametrize(
    "place", ["../secret.safetensors", "/etc/passwd", "", 3, "a/b.safetensors", "gone.safetensors"]
)
def test_an_index_names_files_beside_it(copy, refused, place):
    folder = copy()
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": place}}))
    refused(folder)


def test_a_network_that_is_larger_than_its_files_gets_no_memory(copy, refused):
    folder = copy("dpt")
    change(folder / "config.json", hidden_size=2**17, num_attention_heads=2)
    assert "describes a network of" in refused(folder)
