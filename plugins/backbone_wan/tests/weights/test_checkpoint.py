"""Facts about where weights are looked for, and what tells them from others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.weights import Lora, hub_files, locate, parse_loras
from ex4d_core.errors import InputNotFound, InvalidConfig, InvalidInput
from ex4d_core.files import file_hash

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

HUB_FILES = (
    "transformer/config.json",
    "transformer/diffusion_pytorch_model-00001-of-00014.safetensors",
    "text_encoder/model-00005-of-00005.safetensors",
    "image_encoder/model.safetensors",
    "image_processor/preprocessor_config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "tokenizer/spiece.model",
)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """The hub's cache, with nothing in it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_in_cache(cache, repo, folder, commit="c0ffee"):
    """Lay a folder's files into the cache as the hub's client does: links to files named by their contents."""
    home = cache / f"models--{repo.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(commit)
    (home / "blobs").mkdir()
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        blob = home / "blobs" / f"{number:04}"
        shutil.copy(path, blob)
        link = home / "snapshots" / commit / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return home / "snapshots" / commit


def test_finding_weights_imports_neither_torch_nor_diffusers(original):
    code = (
        "import sys\nfrom ex4d_backbone_wan.options import WanOptions\n"
        f"print(WanOptions(model={str(original)!r}, adapter='none').fingerprint(), *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "diffusers", "transformers"} & set(done.stdout.split())


def test_what_is_needed_from_the_hub_is_named():
    wan, adapter = hub_files(WanOptions())
    assert wan.repo == "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers"
    assert all(wan.wants(path) for path in HUB_FILES)
    assert not any(wan.wants(path) for path in ("README.md", "model_index.json", "assets/logo.png", "Wan2.1_VAE.pth"))
    assert adapter.wants("ex4d.ckpt")
    assert not adapter.wants("README.md")


def test_an_adapter_that_is_a_file_is_not_needed_from_the_hub(original):
    assert len(hub_files(WanOptions(adapter=str(original / "ex4d.ckpt")))) == 1
    assert len(hub_files(WanOptions(adapter="none"))) == 1


def test_weights_that_are_not_here_are_named_with_the_command(empty_cache):
    with pytest.raises(InputNotFound, match=r"Wan-AI/Wan2\.1.* are not on this machine.*; type: ex4d fetch wan$"):
        locate(WanOptions())
    with pytest.raises(InputNotFound, match=r"lab/wan \(v2\).*--set backbone.model=lab/wan --set backbone.model_rev"):
        locate(WanOptions(model="lab/wan", model_revision="v2", steps=3))


def test_weights_in_the_hubs_cache_are_found(empty_cache, diffusers_folder, original, tmp_path):
    wan, ex4d = WanOptions().model, WanOptions().adapter
    snapshot = put_in_cache(empty_cache, wan, diffusers_folder)
    (tmp_path / "adapter").mkdir()
    shutil.copy(original / "ex4d.ckpt", tmp_path / "adapter")
    with pytest.raises(InputNotFound, match=ex4d):
        locate(WanOptions(adapter_revision="main"))
    adapter = put_in_cache(empty_cache, ex4d, tmp_path / "adapter")
    checkpoint = locate(WanOptions(model_revision="main", adapter_revision="main"))
    assert (checkpoint.layout, checkpoint.folder) == ("diffusers", snapshot)
    assert checkpoint.adapter == adapter / "ex4d.ckpt"
    assert len(checkpoint.files["transformer"]) > 1


def test_a_hub_model_without_an_image_encoder_is_found_only_if_it_needs_none(empty_cache, hub_copy):
    shutil.rmtree(hub_copy / "image_encoder")
    snapshot = put_in_cache(empty_cache, "lab/wan", hub_copy)
    options = WanOptions(model="lab/wan", model_revision="main", adapter="none")
    with pytest.raises(InputNotFound, match=r"has no image_encoder/\*\.safetensors, .*: ex4d fetch wan --set"):
        locate(options)
    config = json.loads((snapshot / "transformer" / "config.json").read_text())
    (snapshot / "transformer" / "config.json").unlink()
    (snapshot / "transformer" / "config.json").write_text(json.dumps({**config, "image_dim": None}))
    assert set(locate(options).files) == {"transformer", "vae", "text_encoder"}


def test_both_layouts_are_told_apart(original, diffusers_folder, find):
    assert find(original).layout == "original"
    assert find(diffusers_folder).layout == "diffusers"
    assert [path.name for path in find(original).files["vae"]] == ["Wan2.1_VAE.pth"]
    assert len(find(original).files["transformer"]) == 3


def test_an_adapter_may_be_a_folder(original):
    assert locate(WanOptions(model=str(original), adapter=str(original))).adapter == original / "ex4d.ckpt"


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("Wan2.1_VAE.pth", r"has no Wan2\.1_VAE\.\*, so it is not a Wan in the original layout"),
        ("models_t5_umt5-xxl-enc-bf16.pth", r"has no models_t5_"),
        ("models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth", r"has no models_clip_"),
        ("diffusion_pytorch_model-00002-of-00003.safetensors", r"lacks diffusion_pytorch_model-00002-of-00003"),
    ],
)
def test_a_folder_that_is_no_wan_says_what_it_lacks(copy, find, gone, message):
    (copy / gone).unlink()
    with pytest.raises(InputNotFound, match=message):
        find(copy)


def test_an_empty_folder_is_no_wan(tmp_path, find):
    with pytest.raises(InputNotFound, match=r"has no diffusion_pytorch_model\*\.safetensors, .*check the folder"):
        find(tmp_path)


def test_a_shard_of_the_hubs_layout_that_is_gone_is_named(hub_copy, find):
    gone = sorted((hub_copy / "transformer").glob("*.safetensors"))[0]
    gone.unlink()
    with pytest.raises(InputNotFound, match=rf"lacks {gone.name}, .*index\.json"):
        find(hub_copy)


def test_a_configuration_that_is_gone_or_damaged_is_named(hub_copy, find):
    path = hub_copy / "transformer" / "config.json"
    path.write_text("{")
    with pytest.raises(InvalidInput, match=r"transformer/config\.json is not valid JSON"):
        find(hub_copy)
    path.unlink()
    with pytest.raises(InputNotFound, match=r"transformer has no config\.json"):
        find(hub_copy)


@pytest.mark.parametrize("name", ["models/ex4d.ckpt", "/nowhere/ex4d.safetensors"])
def test_an_adapter_that_is_no_file_says_so(original, name):
    with pytest.raises(InputNotFound, match=r"adapter .*; check backbone\.adapter"):
        locate(WanOptions(model=str(original), adapter=name))


def test_a_folder_without_an_adapter_says_so(original, tmp_path):
    with pytest.raises(InputNotFound, match=r"has no ex4d\.ckpt or ex4d\.safetensors"):
        locate(WanOptions(model=str(original), adapter=str(tmp_path)))


def test_loras_are_read_from_a_text(tmp_path):
    for name in ("a.safetensors", "b:c.safetensors"):
        (tmp_path / name).touch()
    assert parse_loras("") == ()
    assert parse_loras(f"{tmp_path}/a.safetensors:0.8, {tmp_path}/a.safetensors,{tmp_path}/b:c.safetensors:-1") == (
        Lora(path=tmp_path / "a.safetensors", weight=0.8),
        Lora(path=tmp_path / "a.safetensors", weight=1.0),
        Lora(path=tmp_path / "b:c.safetensors", weight=-1.0),
    )


@pytest.mark.parametrize(
    "name",
    ["C:\\loras\\style.safetensors", "style, v2.safetensors", "style:v2.safetensors", "a b:0.5", "a,b.safetensors:1"],
)
def test_a_lora_that_exists_is_taken_by_its_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for file in (name, "other.safetensors"):
        Path(file).touch()
    assert parse_loras(name) == (Lora(path=Path(name)),)
    other = Lora(path=Path("other.safetensors"), weight=2)
    assert parse_loras(f"other.safetensors:2,{name}:-0.5") == (other, Lora(path=Path(name), weight=-0.5))
    assert parse_loras(f"{name}, other.safetensors:2") == (Lora(path=Path(name)), other)


@pytest.mark.parametrize("text", ["a.safetensors:much", ":1", "a.safetensors:nan", "a.safetensors:inf"])
def test_loras_that_cannot_be_understood_are_refused(text):
    with pytest.raises(InvalidConfig, match=r"backbone\.loras must be FILE:WEIGHT, separated by commas, not"):
        parse_loras(text)


def test_a_lora_that_does_not_exist_is_named():
    with pytest.raises(InputNotFound, match=r"LoRA nowhere\.safetensors .*; check backbone\.loras"):
        parse_loras("nowhere.safetensors:1")
    with pytest.raises(InputNotFound, match=r"LoRA C:\\nowhere\.safetensors does not exist; check backbone\.loras"):
        parse_loras("C:\\nowhere.safetensors")


def test_the_fingerprint_follows_the_contents_and_not_the_place(original, copy, find, change):
    assert find(copy).fingerprint() == find(original).fingerprint()
    change(copy / "Wan2.1_VAE.pth", {"conv2.bias": torch.ones(16)})
    assert find(copy).fingerprint() != find(original).fingerprint()


def test_the_fingerprint_follows_the_adapter_the_loras_and_the_configuration(original, copy, find):
    lora = f"{original / 'ex4d.ckpt'}:0.5"
    (copy / "config.json").write_text(json.dumps({"num_heads": 4}))
    checkpoints = [
        find(original),
        find(original, adapter="none"),
        find(original, loras=lora),
        find(original, loras=lora.replace("0.5", "0.6")),
        find(copy),
    ]
    assert len({checkpoint.fingerprint() for checkpoint in checkpoints}) == len(checkpoints)


def test_files_of_the_hubs_cache_are_told_by_their_names(empty_cache, diffusers_folder, monkeypatch):
    put_in_cache(empty_cache, "lab/wan", diffusers_folder)
    monkeypatch.setattr("ex4d_core.hub.identity.file_hash", None)  # so that reading a file would fail
    options = WanOptions(model="lab/wan", model_revision="main", adapter="none")
    assert options.fingerprint() == options.fingerprint()


def test_a_change_of_one_byte_is_seen_and_an_unchanged_file_is_read_once(original, copy, find, tmp_path, monkeypatch):
    monkeypatch.setenv("EX4D_CACHE", str(tmp_path / "digests"))
    before, read = find(copy).fingerprint(), []
    with (copy / "Wan2.1_VAE.pth").open("r+b") as file:
        file.seek(-40, 2)
        file.write(b"x")
    monkeypatch.setattr("ex4d_core.hub.identity.file_hash", lambda path: read.append(path.name) or file_hash(path))
    assert find(copy).fingerprint() != before
    assert "Wan2.1_VAE.pth" in read
    del read[:]
    find(copy).fingerprint()
    assert read == []
