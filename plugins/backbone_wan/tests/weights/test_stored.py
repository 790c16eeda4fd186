"""Facts about weights in 8 bits and GGUF that stay small: the same network as expanded, wherever it is placed."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from ex4d_backbone_wan.compute import acceleration, memory
from ex4d_backbone_wan.compute.memory import Placement
from ex4d_backbone_wan.weights import Lora
from ex4d_backbone_wan.weights.stored import StoredLinear

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")

WIDTH = 32


@pytest.fixture(params=["fp8", "scaled", "gguf"])
def small(request, wan, tmp_path, original):
    """Options for a transformer in a small file."""
    tensors = wan.drawn(wan.transformer(width=WIDTH), 1)
    name = f"wan.{'gguf' if request.param == 'gguf' else 'safetensors'}"
    if request.param == "gguf":
        save_gguf(tensors, tmp_path / name)
    else:
        save_file(in_8_bits(tensors, scaled=request.param == "scaled"), tmp_path / name)
    save_file(wan.drawn(wan.adapter(width=WIDTH), 5), tmp_path / "ex4d.safetensors")
    return {"model": str(tmp_path / name), "parts": str(original), "adapter": str(tmp_path / "ex4d.safetensors")}


def is_large(name, tensor):
    return name.startswith("blocks.") and tensor.ndim == 2


def in_8_bits(tensors, *, scaled):
    found = {}
    for name, tensor in tensors.items():
        if not is_large(name, tensor):
            found[name] = tensor
        elif scaled:
            scale = tensor.abs().amax(1, keepdim=True) / 448
            found[name] = (tensor / scale).to(torch.float8_e4m3fn)
            found[f"{name.removesuffix('.weight')}.weight_scale"] = scale
        else:
            found[name] = tensor.to(torch.float8_e4m3fn)
    return found


def save_gguf(tensors, path):
    gguf = pytest.importorskip("gguf")
    writer, kind = gguf.GGUFWriter(str(path), "wan"), gguf.GGMLQuantizationType.Q8_0
    for name, tensor in tensors.items():
        if is_large(name, tensor):
            writer.add_tensor(name, gguf.quants.quantize(tensor.numpy(), kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, tensor.numpy())
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()


def stored_layers(transformer):
    return {name: layer for name, layer in transformer.named_modules() if isinstance(layer, StoredLinear)}


def weights(transformer):
    return {name: layer.weight for name, layer in transformer.named_modules() if hasattr(layer, "weight")}


@pytest.fixture
def extra(wan, tmp_path):
    """A LoRA with alpha, and deltas of a bias and of a whole weight that was in 8 bits."""
    down, up = torch.randn(4, WIDTH), torch.randn(WIDTH, 4)
    tensors = {
        "blocks.1.self_attn.k.lora_down.weight": down,
        "blocks.1.self_attn.k.lora_up.weight": up,
        "blocks.1.self_attn.k.alpha": torch.tensor(2.0),
        "blocks.1.self_attn.k.diff_b": torch.ones(WIDTH),
        "blocks.2.self_attn.v.diff": torch.ones(WIDTH, WIDTH),
    }
    save_file(tensors, tmp_path / "extra.safetensors")
    return f"{tmp_path / 'extra.safetensors'}:0.5"


def test_stored_it_is_the_network_that_is_expanded_with_all_loras(original, load, small, extra, denoise):
    options = {**small, "loras": extra}
    stored = load(original, "transformer", given=options, store=True)
    expanded = load(original, "transformer", given=options)
    assert len(stored_layers(stored)) == 3 * 12 - 1  # all layers of 3 blocks but the one that a delta changes
    assert not stored_layers(expanded)
    for name, weight in weights(expanded).items():
        torch.testing.assert_close(weights(stored)[name], weight, rtol=0, atol=2e-5, msg=name)
    torch.testing.assert_close(stored.blocks[1].attn1.to_k.bias, expanded.blocks[1].attn1.to_k.bias)
    torch.testing.assert_close(denoise(stored), denoise(expanded), rtol=0, atol=1e-4)


def test_a_scale_of_diffusers_metadata_is_used(original, load, small, tmp_path):
    from peft import LoraConfig

    torch.manual_seed(0)
    trained = load(original, "transformer", given=small, adapters=())
    trained.add_adapter(LoraConfig(r=2, lora_alpha=6, target_modules=["to_q"], init_lora_weights=False))
    trained.save_lora_adapter(tmp_path / "lora")
    lora = Lora(path=next((tmp_path / "lora").glob("*.safetensors")), weight=0.5)
    stored, expanded = (
        load(original, "transformer", given=small, adapters=[lora], store=store).blocks[1].attn1.to_q.weight
        for store in (True, False)
    )
    torch.testing.assert_close(stored, expanded, rtol=0, atol=2e-5)


@pytest.mark.parametrize("speed", ["exact", "fast"])
@pytest.mark.parametrize("place", Placement)
def test_prepared_and_placed_it_computes_the_same(original, load, small, denoise, speed, place):
    stored, expanded = (load(original, "transformer", given=small, store=store) for store in (True, False))
    for transformer in (stored, expanded):
        acceleration.prepare(transformer, speed=speed)
    memory.place(stored, place, device=torch.device("cpu"))
    torch.testing.assert_close(denoise(stored), denoise(expanded), rtol=0, atol=1e-3 if speed == "exact" else 0.05)


def test_it_needs_less_memory(original, load, small):
    stored, expanded = (
        memory.needs(load(original, "transformer", given=small, dtype=torch.bfloat16, store=store), tokens=36)
        for store in (True, False)
    )
    assert stored.blocks + stored.context < 0.8 * (expanded.blocks + expanded.context)


def test_in_16_bits_it_differs_by_rounding(original, load, small):
    stored, expanded = (
        load(original, "transformer", given=small, dtype=torch.bfloat16, store=store).blocks[1].attn1.to_q.weight
        for store in (True, False)
    )
    assert stored.dtype == torch.bfloat16
    torch.testing.assert_close(stored, expanded, rtol=2**-7, atol=2**-8)
