"""Facts about weights: both layouts, one file in bf16, 8 bits and GGUF, turbo, and models of other kinds."""

from __future__ import annotations

import json
import shutil

import attrs
import pytest
import torch
from safetensors.torch import load_file, save_file

from ex4d_backbone_vace.options import LARGE, SMALL, VaceOptions
from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.weights import hub_files, locate
from ex4d_backbone_wan.weights.loading import load_transformer
from ex4d_backbone_wan.weights.single_file import check_kind
from ex4d_core.errors import InvalidConfig, InvalidInput

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

CPU = torch.device("cpu")
NAMES = (
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    ("attn1.to_out.0", "self_attn.o"),
    ("attn2.to_out.0", "cross_attn.o"),
    ("attn1.to_", "self_attn."),
    ("attn2.to_", "cross_attn."),
    ("attn1.", "self_attn."),
    ("attn2.", "cross_attn."),
    ("ffn.net.0.proj", "ffn.0"),
    ("ffn.net.2", "ffn.2"),
    ("norm2.", "norm3."),
    ("proj_in", "before_proj"),
)
"""Names in diffusers, and in the files of the authors."""


def original(name):
    if name in ("scale_shift_table", "proj_out.weight", "proj_out.bias"):
        return name.replace("scale_shift_table", "head.modulation").replace("proj_out", "head.head")
    for ours, theirs in NAMES:
        name = name.replace(ours, theirs)
    return name.replace("proj_out", "after_proj").replace("scale_shift_table", "modulation")


@pytest.fixture
def tensors(tiny_vace):
    """Tensors of the transformer by the names of the authors."""
    saved = load_file(tiny_vace / "transformer" / "diffusion_pytorch_model.safetensors")
    return {original(name): tensor for name, tensor in saved.items()}


@pytest.fixture
def loaded(tiny_vace):
    """Load the transformer of a model, with the other parts of the tiny VACE."""

    def load(model, **given):
        checkpoint = locate(VaceOptions(model=str(model), parts=str(tiny_vace), **given))
        return load_transformer(checkpoint, device=CPU, dtype=torch.float32, store=True)

    return load


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def folder(tiny_vace, tensors, tmp_path):
    """The layout of the authors, but for the names in the smaller networks, which tests of Wan cover."""
    config = {"model_type": "vace", "num_heads": 2, "vace_layers": [0, 2], "vace_in_dim": 96}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors")
    for name in ("Wan2.1_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth"):
        torch.save({"a": torch.zeros(1)}, tmp_path / name)
    shutil.copytree(tiny_vace / "tokenizer", tmp_path / "google" / "umt5-xxl")
    return tmp_path


def test_both_layouts_and_one_file_give_the_same_network(tiny_vace, folder, loaded):
    wanted = loaded(tiny_vace).state_dict()
    from_folder = loaded(folder)
    assert equal(from_folder.state_dict(), wanted)
    assert list(from_folder.config.vace_layers) == [0, 2]
    single = loaded(folder / "diffusion_pytorch_model.safetensors")
    assert equal(single.state_dict(), wanted)
    assert (list(single.config.vace_layers), single.config.vace_in_channels) == ([0, 2], 96)


@pytest.mark.parametrize(("layers", "count", "wanted"), [(30, 15, range(0, 30, 2)), (40, 8, range(0, 40, 5))])
def test_one_file_of_the_real_sizes_has_their_layers(layers, count, wanted):
    from ex4d_backbone_wan.weights.layouts import _vace_config

    shapes = {"vace_patch_embedding.weight": (4, 96, 1, 2, 2)}
    shapes |= {f"vace_blocks.{number}.norm3.weight": (4,) for number in range(count)}
    assert _vace_config(shapes, {}, layers=layers)["vace_layers"] == list(wanted)


def test_8_bits_and_gguf_stay_small_in_the_branch_too(tiny_vace, loaded, tensors, tmp_path):
    from ex4d_backbone_wan.weights.stored import StoredLinear

    halves = {n: t.to(torch.float8_e4m3fn) if "blocks." in n and t.ndim == 2 else t for n, t in tensors.items()}
    save_file(halves, tmp_path / "vace.safetensors")
    network = loaded(tmp_path / "vace.safetensors")
    layer = network.vace_blocks[1].proj_out
    assert isinstance(layer, StoredLinear)
    assert isinstance(network.vace_blocks[0].ffn.net[2], StoredLinear)
    assert torch.equal(layer.weight, halves["vace_blocks.1.after_proj.weight"].float())


@pytest.mark.parametrize(
    ("kind", "keep", "message"),
    [
        ("wan", ("vace_", "blocks."), "is a VACE model; run it with --backbone vace"),
        ("vace", ("blocks.",), "is not a VACE model; use Wan2.1-VACE-1.3B or 14B, or run it with --backbone wan"),
        ("vace", ("vace_",), "has only the blocks that VACE adds to Wan2.1 T2V; use a file with the whole"),
    ],
)
def test_models_of_other_kinds_are_refused(tensors, kind, keep, message):
    with pytest.raises(InvalidInput, match=message):
        check_kind("x", {name: (1,) for name in tensors if name.startswith(keep)}, kind)


def test_every_tensor_is_accounted_for(loaded, tensors, tmp_path):
    save_file({**tensors, "vace_blocks.0.more": torch.ones(1)}, tmp_path / "more.safetensors")
    with pytest.raises(InvalidInput, match=r"unexpected tensors: vace_blocks\.0\.more"):
        loaded(tmp_path / "more.safetensors")
    del tensors["vace_blocks.1.after_proj.bias"]
    save_file(tensors, tmp_path / "fewer.safetensors")
    with pytest.raises(InvalidInput, match=r"vace_blocks\.1\.proj_out\.bias"):
        loaded(tmp_path / "fewer.safetensors")


def test_it_downloads_one_repository_and_the_lora_of_turbo_with_it():
    (small,) = hub_files(VaceOptions())
    assert (small.repo, small.size) == (SMALL, 32_000_000_000)
    large, lora = hub_files(VaceOptions(model=LARGE, speed="turbo"))
    assert (large.repo, lora.repo) == (LARGE, "lightx2v/Wan2.1-Distill-Loras")
    assert lora.patterns == ("wan2.1_t2v_14b_lora_rank64_lightx2v_4step.safetensors",)


def test_turbo_of_the_small_model_requires_another_lora():
    with pytest.raises(InvalidConfig, match=r"is for VACE 14B and the model is the 1\.3B; set backbone\.turbo_lora"):
        hub_files(VaceOptions(speed="turbo"))
    options = VaceOptions(speed="turbo", turbo_lora="OWNER/NAME/causvid.safetensors", turbo_steps=8, turbo_shift=2)
    assert [files.repo for files in hub_files(options)] == [SMALL, "OWNER/NAME"]
    assert (options.sampling_steps, options.sampling_guidance, options.sampling_shift) == (8, 1, 2)


def test_defaults_are_its_own_and_other_options_those_of_wan():
    options = VaceOptions()
    assert (options.sampling_steps, options.sampling_shift, options.eroded, options.scales) == (30, 8, (11, 11), (1,))
    names = {field.name for field in attrs.fields(VaceOptions)}
    missing = {field.name for field in attrs.fields(WanOptions)} - names
    assert missing == {"adapter", "adapter_revision"}


@pytest.mark.parametrize("text", ["", "one", "1,,1", "-1", "nan"])
def test_scales_that_are_no_numbers_are_refused(text):
    with pytest.raises(ValueError, match="conditioning_scale must be numbers from 0 to 10"):
        VaceOptions(conditioning_scale=text)
