"""Facts about a transformer in one file: bf16, 8 bits with and without scales, GGUF; other parts from a folder."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.weights import hub_files, locate
from ex4d_backbone_wan.weights.loading import takes_images
from ex4d_backbone_wan.weights.single_file import check_single_file
from ex4d_core.errors import InputNotFound, InvalidInput, PluginFailed

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

FLOAT8 = torch.float8_e4m3fn


@pytest.fixture
def tensors(wan):
    """Tensors of the original transformer."""
    return wan.drawn(wan.transformer(), 1)


@pytest.fixture
def single(tmp_path, original):
    """Write the tensors into one file and return the options that use it."""

    def save(tensors, name="wan.safetensors", parts=original):
        save_file(tensors, tmp_path / name)
        return {"model": str(tmp_path / name), "parts": str(parts), "adapter": "none"}

    return save


def is_quantized(name, tensor):
    return name.startswith("blocks.") and tensor.ndim == 2


def loaded(load, original, options):
    return load(original, "transformer", given=options).state_dict()


def in_8_bits(tensors):
    return {name: t.to(FLOAT8) if is_quantized(name, t) else t for name, t in tensors.items()}


def in_32_bits(tensors):
    return {name: tensor.float() for name, tensor in tensors.items()}


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
def test_one_file_gives_the_network_of_the_folder(original, diffusers_folder, load, find, tensors, single, prefix):
    halves = {f"{prefix}{name}": tensor.bfloat16() for name, tensor in tensors.items()}
    wanted = loaded(
        load, original, single({name: t.bfloat16().float() for name, t in tensors.items()}, "a.safetensors")
    )
    for parts in (original, diffusers_folder):
        options = single(halves, parts=parts)
        network = load(original, "transformer", given=options)
        assert equal(network.state_dict(), wanted)
        assert network.config.num_layers == 3
        checkpoint = find(original, **options)
        assert (checkpoint.folder, takes_images(checkpoint)) == (parts, True)
        assert set(checkpoint.files) == {"transformer", "vae", "text_encoder", "image_encoder"}


def test_heads_have_the_size_that_the_folder_states(original, diffusers_folder, load, tensors, single):
    assert load(original, "transformer", given=single(tensors)).config.num_attention_heads == 1
    there = load(original, "transformer", given=single(tensors, parts=diffusers_folder))
    assert (there.config.num_attention_heads, there.config.attention_head_dim) == (2, 12)


def test_8_bits_without_scales_are_read(original, load, tensors, single):
    eights = in_8_bits(tensors)
    wanted = loaded(load, original, single(in_32_bits(eights), "a.safetensors"))
    assert equal(loaded(load, original, single(eights)), wanted)


@pytest.mark.parametrize("name", ["scale_weight", "weight_scale"])
@pytest.mark.parametrize("per_row", [False, True])
def test_8_bits_are_multiplied_by_their_scales(original, load, tensors, single, name, per_row):
    saved, plain = {"scaled_fp8": torch.zeros(2, dtype=FLOAT8)}, dict(tensors)
    for key, tensor in tensors.items():
        if not is_quantized(key, tensor):
            saved[key] = tensor
            continue
        scale = torch.rand(len(tensor), 1) + 0.5 if per_row else torch.tensor(0.25)
        saved[key] = (tensor / scale).to(FLOAT8)
        layer = key.removesuffix(".weight")
        saved[f"{layer}.{name}"] = scale
        saved[f"{layer}.scale_input" if name == "scale_weight" else f"{layer}.input_scale"] = torch.ones(1)
        saved[f"{layer}.comfy_quant"] = torch.zeros(3, dtype=torch.uint8)
        plain[key] = saved[key].float() * scale
    wanted = loaded(load, original, single(plain, "a.safetensors"))
    assert equal(loaded(load, original, single(saved)), wanted)


@pytest.mark.parametrize("kind", ["Q4_0", "Q5_1", "Q8_0", "BF16", "F16"])
def test_gguf_is_read(original, load, wan, single, tmp_path, kind):
    gguf = pytest.importorskip("gguf")
    tensors = wan.drawn(wan.transformer(width=32), 1)
    quantization = gguf.GGMLQuantizationType[kind]
    writer, plain = gguf.GGUFWriter(str(tmp_path / "wan.gguf"), "wan"), dict(tensors)
    for name, tensor in tensors.items():
        values = tensor.numpy()
        if not (is_quantized(name, tensor) and tensor.shape[1] % 32 == 0):
            writer.add_tensor(name, values)
            continue
        data = gguf.quants.quantize(values, quantization)
        writer.add_tensor(name, data, raw_dtype=quantization)
        plain[name] = torch.from_numpy(gguf.quants.dequantize(data, quantization))
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()
    options = single(plain, "a.safetensors")
    wanted = loaded(load, original, options)
    found = loaded(load, original, {**options, "model": str(tmp_path / "wan.gguf")})
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "size", "scales"),
    [("Q3_K", 110, (108,)), ("Q4_K", 144, (0, 2)), ("Q5_K", 176, (0, 2)), ("Q6_K", 210, (208,))],
)
def test_gguf_with_blocks_of_blocks_is_read(original, load, wan, single, tmp_path, kind, size, scales):
    gguf = pytest.importorskip("gguf")
    tensors, quantization = wan.drawn(wan.transformer(width=256), 1), gguf.GGMLQuantizationType[kind]
    writer, plain = gguf.GGUFWriter(str(tmp_path / "wan.gguf"), "wan"), dict(tensors)
    generator = np.random.default_rng(0)
    for name, tensor in tensors.items():
        if name != "blocks.1.self_attn.q.weight":
            writer.add_tensor(name, tensor.numpy())
            continue
        data = generator.integers(0, 256, (256, size), np.uint8)  # gguf does not quantize to these kinds
        for start in scales:
            data[:, start : start + 2] = np.frombuffer(np.float16(0.001).tobytes(), np.uint8)
        writer.add_tensor(name, data, raw_dtype=quantization)
        plain[name] = torch.from_numpy(gguf.quants.dequantize(data, quantization))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    options = single(plain, "a.safetensors")
    found = loaded(load, original, {**options, "model": str(tmp_path / "wan.gguf")})
    wanted = plain["blocks.1.self_attn.q.weight"]
    # diffusers computes in half precision.
    torch.testing.assert_close(
        found["blocks.1.attn1.to_q.weight"], wanted, rtol=1e-3, atol=2e-3 * float(wanted.abs().max())
    )


@pytest.mark.parametrize(
    "name", ["Wan2.2-T2V-A14B-HighNoise-Q4.gguf", "wan2_2_t2v_fp8.safetensors", "low_noise.safetensors"]
)
def test_text_to_video_files_of_wan_2_2_are_refused_by_their_names(name, tensors):
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    with pytest.raises(InvalidInput, match=r"is named as a file of Wan 2\.2, .*use a Wan2\.1 file, or rename it"):
        check_single_file(f"models/{name}", shapes)
    check_single_file("wan2.2/wan2.1_t2v.safetensors", shapes)


def test_gguf_requires_its_package(original, load, single, tensors, tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "gguf":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    (tmp_path / "wan.gguf").touch()
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(PluginFailed, match=r"wan\.gguf requires the package gguf, .*: pip install gguf"):
        load(original, "transformer", given={**single(tensors), "model": str(tmp_path / "wan.gguf")})


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\x00\x00\x00" + b"\xff" * 64])
def test_a_damaged_gguf_is_refused(original, load, single, tensors, tmp_path, content):
    pytest.importorskip("gguf")
    (tmp_path / "wan.gguf").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"wan\.gguf cannot be loaded as a GGUF file"):
        load(original, "transformer", given={**single(tensors), "model": str(tmp_path / "wan.gguf")})


def test_a_text_to_video_file_uses_no_image_encoder(original, find, load, wan, single):
    options = single(wan.drawn(wan.transformer(image=None, channels=16), 1))
    assert not takes_images(find(original, **options))
    assert load(original, "transformer", given=options).config.image_dim is None


def without_images(wan):
    return wan.drawn(wan.transformer(image=None), 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, wan: without_images(wan), "takes 36 channels without an image .*not Wan 2.1 but a file of Wan 2.2"),
        (lambda t, wan: wan.drawn(wan.transformer(image=None, channels=48), 1), "takes 48 channels without"),
        (
            lambda t, wan: {**t, "blocks.0.ffn.0.weight_scale_2": torch.ones(1)},
            "has scales per block .*NVFP4.*; use a file in bf16, fp8",
        ),
        (
            lambda t, wan: {**t, "blocks.0.ffn.0.weight_scale": torch.ones(32, 2)},
            r"has scales per block \(blocks\.0\.ffn\.0\.weight_scale\)",
        ),
        (
            lambda t, wan: {**t, "blocks.0.ffn.0.weight": t["blocks.0.ffn.0.weight"].to(torch.int8)},
            "in torch.int8; use bf16, fp8",
        ),
        (
            lambda t, wan: {**t, "vace_blocks.0.before_proj.bias": torch.ones(2)},
            "is a VACE model; run it with --backbone vace",
        ),
        (lambda t, wan: {"condition_embedder.time_proj.bias": torch.ones(2)}, "has the names of diffusers; put it"),
        (lambda t, wan: {**t, "more": torch.ones(1)}, "has unexpected tensors: more"),
        (lambda t, wan: {"more": torch.ones(1)}, r"have no tensor patch_embedding\.weight"),
    ],
)
def test_other_files_are_refused_with_the_reason(original, load, tensors, wan, single, change, message):
    with pytest.raises(InvalidInput, match=message):
        load(original, "transformer", given=single(change(tensors, wan)))


def test_the_other_parts_come_from_the_hub_without_its_transformer(tmp_path, tensors, single):
    path = single(tensors)["model"]
    (parts,) = hub_files(WanOptions(model=path, adapter="none"))
    assert parts.repo == WanOptions().parts
    assert all(
        parts.wants(name) for name in ("vae/config.json", "text_encoder/model-1.safetensors", "tokenizer/x.model")
    )
    assert not parts.wants("transformer/diffusion_pytorch_model-1.safetensors")


@pytest.mark.parametrize("name", ["gone.safetensors", "C:\\models\\wan, v2.gguf"])
def test_a_file_that_does_not_exist_is_named(name):
    with pytest.raises(InputNotFound, match=r"the model .* does not exist; check backbone\.model"):
        locate(WanOptions(model=name, adapter="none"))


def test_the_fingerprint_follows_the_file(original, find, tensors, single):
    one = find(original, **single(tensors)).fingerprint()
    other = find(original, **single({**tensors, "head.head.bias": torch.ones(64)}, "b.safetensors")).fingerprint()
    assert len({one, other, find(original).fingerprint()}) == 3
