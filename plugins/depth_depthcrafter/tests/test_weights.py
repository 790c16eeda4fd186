"""Facts about where weights are looked for and which are refused."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import torch

from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_depth_depthcrafter.options import DepthCrafterOptions
from ex4d_depth_depthcrafter.weights import hub_files, locate, weight_files

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

UNET_FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "copy")
    return tmp_path / "copy"


def load(folder, dtype=torch.float32):
    from ex4d_depth_depthcrafter.networks import load_networks

    options = DepthCrafterOptions(unet=str(folder / "unet"), base=str(folder / "base"))
    return load_networks(locate(options), device=torch.device("cpu"), dtype=dtype, offload="none")


def change(path, **tensors):
    from safetensors.torch import load_file, save_file

    changed = {**load_file(path), **tensors}
    save_file({key: value for key, value in changed.items() if value is not None}, path, metadata={"format": "pt"})


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """The hub's cache, with nothing in it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_weights_that_are_not_here_are_named_with_the_command(empty_cache):
    with pytest.raises(
        InputNotFound,
        match=r"tencent/DepthCrafter \(c1a22b.*\) are not on this machine.*; type: ex4d fetch depthcrafter$",
    ):
        locate(DepthCrafterOptions())


def test_the_command_has_the_names_that_were_given(empty_cache, checkpoint):
    options = DepthCrafterOptions(unet=str(checkpoint / "unet"), base="lab/svd", base_revision="v2", steps=3)
    command = f"ex4d fetch depthcrafter --set depth.unet={checkpoint}/unet --set depth.base=lab/svd "
    with pytest.raises(InputNotFound, match=f"lab/svd .*type: {command}--set depth.base_revision=v2$"):
        locate(options)


def test_the_smaller_weights_and_nothing_else_are_fetched():
    unet, base = hub_files(DepthCrafterOptions())
    assert [unet.repo, base.repo] == ["tencent/DepthCrafter", "stabilityai/stable-video-diffusion-img2vid"]
    assert all(re.fullmatch("[0-9a-f]{40}", files.revision) for files in (unet, base))
    on_the_hub = ["vae/diffusion_pytorch_model", "image_encoder/model", "unet/diffusion_pytorch_model"]
    wanted = [f"{name}{kind}.safetensors" for name in on_the_hub for kind in ("", ".fp16")]
    assert [name for name in wanted if base.wants(name)] == [f"{name}.fp16.safetensors" for name in on_the_hub[:2]]
    assert [name for name in ("assets/visualization.gif", "config.json") if unet.wants(name)] == ["config.json"]


def test_weights_are_found_in_the_cache_of_the_hub(empty_cache, checkpoint):
    for name, source in (("models--lab--depth", "unet"), ("models--lab--svd", "base")):
        (empty_cache / name / "refs").mkdir(parents=True)
        (empty_cache / name / "refs" / "main").write_text("0" * 40)
        shutil.copytree(checkpoint / source, empty_cache / name / "snapshots" / ("0" * 40))
    found = locate(DepthCrafterOptions(unet="lab/depth", unet_revision="main", base="lab/svd", base_revision="0" * 40))
    assert found.unet == empty_cache / "models--lab--depth" / "snapshots" / ("0" * 40)
    assert found.folder("vae").is_dir()


def test_weights_of_32_bits_do_where_those_of_16_are_on_the_hub_only(empty_cache, checkpoint):
    repo = empty_cache / "models--lab--svd"
    shutil.copytree(checkpoint / "base", repo / "snapshots" / ("0" * 40))
    names = [path.relative_to(checkpoint / "base").as_posix() for path in (checkpoint / "base").rglob("*.*")]
    names += [name.replace(".safetensors", ".fp16.safetensors") for name in names if name.endswith(".safetensors")]
    (repo / "trees").mkdir()
    entry = {"size": 1, "blob_id": "0" * 40}
    listed = dict.fromkeys(names, entry)  # as the hub's client keeps it
    (repo / "trees" / f"{'0' * 40}.json").write_text(json.dumps({"format_version": 1, "files": listed}))
    found = locate(DepthCrafterOptions(unet=str(checkpoint / "unet"), base="lab/svd", base_revision="0" * 40))
    assert found.base == repo / "snapshots" / ("0" * 40)


@pytest.mark.parametrize("name", ["/nowhere/at/all", "../weights", "owner/a--b", "depthcrafter"])
def test_what_is_neither_a_folder_nor_a_name_on_the_hub_is_named(checkpoint, name):
    with pytest.raises(InputNotFound, match=f"there is no folder {name}"):
        locate(DepthCrafterOptions(unet=name, base=str(checkpoint / "base")))


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("unet/config.json", "unet has no config.json"),
        (f"unet/{UNET_FILE}", r"unet has no \*.safetensors"),
        ("base/vae/config.json", "vae has no config.json"),
        ("base/scheduler/scheduler_config.json", "scheduler has no scheduler_config.json"),
        ("base/feature_extractor/preprocessor_config.json", "feature_extractor has no preprocessor_config.json"),
    ],
)
def test_a_folder_that_is_no_checkpoint_says_what_it_lacks(copy, gone, message):
    (copy / gone).unlink()
    with pytest.raises(InputNotFound, match=f"{message}.*check the folder"):
        load(copy)


def test_missing_and_foreign_tensors_are_listed(copy):
    path = copy / "unet" / UNET_FILE
    change(path, **{"conv_in.bias": None, "conv_out.bias": None})
    with pytest.raises(InvalidInput, match=r"unet lacks the tensors conv_in\.bias, conv_out\.bias"):
        load(copy)


def test_foreign_tensors_are_listed(copy):
    change(copy / "unet" / UNET_FILE, **{"lora.down": torch.zeros(1), "lora.up": torch.zeros(1)})
    with pytest.raises(InvalidInput, match=r"unexpected tensors: lora\.down, lora\.up"):
        load(copy)


def test_a_tensor_of_another_shape_is_named(copy):
    change(copy / "unet" / UNET_FILE, **{"conv_in.bias": torch.zeros(3)})
    with pytest.raises(InvalidInput, match=r"conv_in\.bias"):
        load(copy)


def test_an_encoder_with_other_tensors_is_refused_too(copy):
    path = copy / "base" / "image_encoder" / "model.safetensors"
    change(path, **{"visual_projection.weight": None})
    with pytest.raises(InvalidInput, match=r"image_encoder lacks the tensors visual_projection\.weight"):
        load(copy)


def test_a_damaged_file_is_named(copy):
    (copy / "unet" / UNET_FILE).write_bytes(b"half of a downlo")
    with pytest.raises(InvalidInput, match="unet cannot be loaded as a UNetSpatioTemporalConditionModel"):
        load(copy)


def test_an_encoder_saved_by_an_older_transformers_loads(copy):
    """Its keys begin with `vision_model.`, and a table of positions comes along."""
    from safetensors.torch import load_file, save_file

    path = copy / "base" / "image_encoder" / "model.safetensors"
    old = {
        key if key.startswith(("vision_model.", "visual_projection.")) else f"vision_model.{key}": value
        for key, value in load_file(path).items()
    }
    old["vision_model.embeddings.position_ids"] = torch.arange(50)[None]
    save_file(old, path, metadata={"format": "pt"})
    ours = load(copy).image_encoder.state_dict()
    assert all(torch.equal(ours[key], value) for key, value in load_file(path).items() if key in ours)


def test_half_sized_weights_are_taken_where_they_are_enough(copy):
    folder = copy / "base" / "vae"
    assert weight_files(folder, half=True) is None
    shutil.copy(folder / UNET_FILE, folder / "diffusion_pytorch_model.fp16.safetensors")
    assert weight_files(folder, half=True) == "fp16"
    assert weight_files(folder, half=False) is None
    (folder / UNET_FILE).unlink()
    assert weight_files(folder, half=False) == "fp16"
    assert load(copy).vae.dtype == torch.float32


def test_only_the_encoder_of_the_vae_stays_in_32_bits(copy):
    networks = load(copy, torch.float16)
    assert networks.encode_dtype == torch.float32
    assert networks.vae.decoder.conv_in.weight.dtype == torch.float16
    assert load(copy, torch.bfloat16).encode_dtype == torch.bfloat16


def test_the_fingerprint_follows_the_contents_and_not_the_place(checkpoint, copy):
    def fingerprint(folder):
        return DepthCrafterOptions(unet=str(folder / "unet"), base=str(folder / "base")).fingerprint()

    assert fingerprint(copy) == fingerprint(checkpoint)
    change(copy / "unet" / UNET_FILE, **{"conv_in.bias": torch.ones(32)})
    assert fingerprint(copy) != fingerprint(checkpoint)


def test_loading_says_nothing(copy, capfd):
    load(copy)
    assert capfd.readouterr() == ("", "")
