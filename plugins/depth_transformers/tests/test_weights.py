"""Facts about where weights are looked for and which are refused."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_depth_transformers.model_aliases import MODELS
from ex4d_depth_transformers.options import TransformersOptions
from ex4d_depth_transformers.weights import hub_files, locate

pytest.importorskip("transformers")

WEIGHTS = "model.safetensors"


@pytest.fixture
def copy(checkpoint, tmp_path):
    """Give a copy of a tiny checkpoint that may be spoilt."""

    def make(model_type="depth_anything"):
        return shutil.copytree(checkpoint(model_type), tmp_path / "copy")

    return make


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """The hub's cache, with nothing in it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def load(folder, **given):
    from ex4d_depth_transformers.networks import load_network

    return load_network(TransformersOptions(model=str(folder), **given), device=torch.device("cpu"))


def change(folder, **tensors):
    from safetensors.torch import load_file, save_file

    changed = {**load_file(folder / WEIGHTS), **tensors}
    kept = {key: value for key, value in changed.items() if value is not None}
    save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})


@pytest.mark.parametrize("name", MODELS)
def test_a_short_name_stands_for_a_repository(name):
    (files,) = hub_files(TransformersOptions(model=name))
    assert files.repo == MODELS[name].repo
    assert files.repo.count("/") == 1


def test_a_model_that_is_not_here_is_named_with_the_command(empty_cache):
    with pytest.raises(
        InputNotFound, match=r"depth-anything/Depth-Anything-V2-Small-hf .*type: ex4d fetch transformers$"
    ):
        locate(TransformersOptions())
    with pytest.raises(InputNotFound, match=r"type: ex4d fetch transformers --set depth\.model=depth-pro$"):
        locate(TransformersOptions(model="depth-pro"))


def test_weights_are_found_in_the_cache_of_the_hub(empty_cache, checkpoint):
    folder = empty_cache / "models--lab--depth"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    shutil.copytree(checkpoint(), folder / "snapshots" / ("0" * 40))
    assert locate(TransformersOptions(model="lab/depth")) == folder / "snapshots" / ("0" * 40)


def test_what_is_neither_a_folder_nor_a_name_is_named():
    with pytest.raises(InputNotFound, match="'depth-anything-v3' is not a depth model"):
        locate(TransformersOptions(model="depth-anything-v3"))


@pytest.mark.parametrize("gone", ["config.json", "preprocessor_config.json", WEIGHTS])
def test_a_folder_that_is_no_checkpoint_says_what_it_lacks(copy, gone):
    folder = copy()
    (folder / gone).unlink()
    with pytest.raises(InputNotFound, match=r"copy has no .*; check the folder"):
        load(folder)


def test_missing_tensors_are_listed(copy):
    folder = copy()
    change(folder, **{"head.conv1.bias": None, "head.conv2.bias": None})
    with pytest.raises(InvalidInput, match=r"copy lacks the tensors head\.conv1\.bias, head\.conv2\.bias"):
        load(folder)


def test_foreign_tensors_are_listed(copy):
    folder = copy()
    change(folder, **{"lora.down": torch.zeros(1), "lora.up": torch.zeros(1)})
    with pytest.raises(InvalidInput, match=r"unexpected tensors: lora\.down, lora\.up"):
        load(folder)


def test_a_tensor_of_another_shape_is_named(copy):
    folder = copy()
    change(folder, **{"head.conv3.bias": torch.zeros(3)})
    with pytest.raises(InvalidInput, match=r"head\.conv3\.bias"):
        load(folder)


def test_a_damaged_file_is_named(copy):
    folder = copy()
    (folder / WEIGHTS).write_bytes(b"half of a downlo")
    with pytest.raises(InvalidInput, match="copy cannot be loaded as a depth_anything"):
        load(folder)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_configuration_is_named(copy, text):
    folder = copy()
    (folder / "config.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"config\.json is not (valid JSON|a JSON object)"):
        load(folder)


def test_a_model_for_something_else_is_refused_with_those_that_would_do(copy):
    folder = copy()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(InvalidInput, match=r"of type 'bert', .*depth_anything"):
        load(folder)


def test_a_part_that_is_never_reached_may_be_missing(copy):
    """Intel/dpt-large lacks it."""
    from safetensors.torch import load_file

    folder = copy("dpt")
    prefix = "neck.fusion_stage.layers.0.residual_layer1."
    unused = [key for key in load_file(folder / WEIGHTS) if key.startswith(prefix)]
    assert unused
    change(folder, **dict.fromkeys(unused))
    pictures = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = load(folder).predict(pictures).maps
    change(folder, **{key: torch.zeros(8) if key.endswith("bias") else torch.zeros(8, 8, 3, 3) for key in unused})
    assert torch.equal(maps, load(folder).predict(pictures).maps)


def test_the_fingerprint_follows_the_contents_and_not_the_place(checkpoint, copy):
    def fingerprint(folder):
        return TransformersOptions(model=str(folder)).fingerprint()

    folder = copy()
    assert fingerprint(folder) == fingerprint(checkpoint())
    change(folder, **{"head.conv1.bias": torch.ones(4)})
    assert fingerprint(folder) != fingerprint(checkpoint())


def test_loading_says_nothing(checkpoint, capfd):
    load(checkpoint())
    assert capfd.readouterr() == ("", "")


def test_a_short_name_that_is_misspelt_is_told_the_nearest():
    with pytest.raises(InputNotFound, match="did you mean 'depth-anything-v2-small'"):
        hub_files(TransformersOptions(model="depth-anything-v2-smal"))
