"""Facts about EX-4D's adapter and LoRAs beside it."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from safetensors.torch import load_file, save_file

from ex4d_backbone_wan.weights import Lora
from ex4d_backbone_wan.weights.adapter import CAMERA_KEYS, CameraEncoder, camera_tokens
from ex4d_backbone_wan.weights.lora_files import read_lora
from ex4d_core.errors import InvalidInput

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")

LAYER = "blocks.1.self_attn.q"


@pytest.fixture
def plain(original, load):
    """The transformer without any adapter."""
    return load(original, "transformer", adapters=())


@pytest.fixture
def saved(tmp_path):
    """Write a LoRA file."""

    def save(tensors, name="lora.safetensors", **metadata):
        path = tmp_path / name
        save_file(tensors, path, metadata=metadata) if path.suffix == ".safetensors" else torch.save(tensors, path)
        return path

    return save


def pair(wan, layer, seed=8, inputs=None, outputs=None, names=("lora_A.weight", "lora_B.weight")):
    shapes = [(wan.rank, inputs or wan.width), (outputs or wan.width, wan.rank)]
    return wan.drawn(((f"{layer}.{name}", shape) for name, shape in zip(names, shapes, strict=True)), seed)


def product(tensors):
    a, b = (next(tensor for name, tensor in tensors.items() if f"lora_{side}" in name) for side in "AB")
    return b @ a


def test_a_merged_weight_is_its_own_plus_the_product(original, load, plain, wan):
    adapter = torch.load(original / "ex4d.ckpt", weights_only=True)
    merged = load(original, "transformer").state_dict()
    changed = {name for name, tensor in plain.state_dict().items() if not torch.equal(tensor, merged[name])}
    assert len(changed) == 10 * wan.layers
    a, b = (adapter[f"{LAYER}.lora_{side}.default.weight"] for side in "AB")
    whole = plain.blocks[1].attn1.to_q.weight + b @ a
    torch.testing.assert_close(merged["blocks.1.attn1.to_q.weight"], whole, rtol=0, atol=1e-6)


def test_a_merged_weight_of_16_bits_is_rounded_once(original, load, plain):
    adapter = torch.load(original / "ex4d.ckpt", weights_only=True)
    a, b = (adapter[f"{LAYER}.lora_{side}.default.weight"] for side in "AB")
    whole = plain.blocks[1].attn1.to_q.weight.bfloat16() + b @ a
    merged = load(original, "transformer", dtype=torch.bfloat16)
    assert torch.equal(merged.blocks[1].attn1.to_q.weight, whole.bfloat16())


@pytest.mark.gpu
def test_weights_that_stay_in_main_memory_are_merged_on_the_gpu(original, load):
    there = load(original, "transformer", merge_on=torch.device("cuda"))
    assert {parameter.device.type for parameter in there.parameters()} == {"cpu"}
    assert there.blocks[1].attn1.to_q.weight.is_pinned()
    for name, tensor in load(original, "transformer").state_dict().items():
        torch.testing.assert_close(there.state_dict()[name], tensor, rtol=0, atol=1e-5)


def test_apart_it_does_what_it_does_merged(original, load, denoise, plain):
    merged, apart = load(original, "transformer"), load(original, "transformer", merge=False)
    torch.testing.assert_close(denoise(apart), denoise(merged), rtol=0, atol=2e-5)
    assert (denoise(merged) - denoise(plain)).abs().max() > 0.1


def test_apart_it_is_in_32_bits_for_training(original, load):
    parameters = dict(load(original, "transformer", dtype=torch.bfloat16, merge=False).named_parameters())
    assert {p.dtype for name, p in parameters.items() if "lora_" in name} == {torch.float32}
    assert {p.dtype for name, p in parameters.items() if "base_layer" in name} == {torch.bfloat16}


def test_merged_it_leaves_the_plain_network_behind(original, load, plain):
    merged = load(original, "transformer")
    assert merged.state_dict().keys() == plain.state_dict().keys()
    assert {type(module) for module in merged.modules()} == {type(module) for module in plain.modules()}
    assert not any(parameter.requires_grad for parameter in merged.parameters())


def test_a_lora_is_stacked_with_its_weight(original, load, wan, saved):
    own = load(original, "transformer")
    extra = pair(wan, "blocks.0.self_attn.k")
    path = saved(extra)
    stacked = load(original, "transformer", given={"loras": f"{path}:0.5"})
    wanted = own.blocks[0].attn1.to_k.weight + 0.5 * product(extra)
    torch.testing.assert_close(stacked.blocks[0].attn1.to_k.weight, wanted, rtol=0, atol=1e-6)
    assert torch.equal(stacked.blocks[1].attn1.to_k.weight, own.blocks[1].attn1.to_k.weight)


@pytest.mark.parametrize("used", [names for n in range(4) for names in combinations(("adapter", "turbo", "lora"), n)])
def test_each_combination_is_the_base_plus_its_deltas(original, load, plain, wan, saved, used):
    adapter = torch.load(original / "ex4d.ckpt", weights_only=True)
    turbo, extra = pair(wan, LAYER, 2), pair(wan, LAYER, 3)
    bias = torch.linspace(-1, 1, wan.width)
    deltas = {
        "adapter": adapter[f"{LAYER}.lora_B.default.weight"] @ adapter[f"{LAYER}.lora_A.default.weight"],
        "turbo": 0.7 * product(turbo),
        "lora": 0.5 * product(extra),
    }
    file = saved({**turbo, f"{LAYER}.diff_b": bias}, "turbo.safetensors")
    given = {
        "adapter": {},
        "turbo": {"speed": "turbo", "turbo_lora": str(file), "turbo_weight": 0.7},
        "lora": {"loras": f"{saved(extra)}:0.5"},
    }
    options = {} if "adapter" in used else {"adapter": "none"}
    for name in used:
        options |= given[name]
    layer, base = load(original, "transformer", given=options).blocks[1].attn1.to_q, plain.blocks[1].attn1.to_q
    whole = base.weight + sum(deltas[name] for name in used)
    torch.testing.assert_close(layer.weight, whole, rtol=0, atol=1e-6)
    torch.testing.assert_close(layer.bias, base.bias + ("turbo" in used) * 0.7 * bias, rtol=0, atol=1e-6)


def test_several_loras_stand_apart_side_by_side(original, load, wan, saved, denoise):
    given = {
        "loras": f"{saved(pair(wan, LAYER), 'a.safetensors')}:0.5,{saved(pair(wan, LAYER, 3), 'b.safetensors')}:-1"
    }
    merged, apart = (load(original, "transformer", given=given, merge=merge) for merge in (True, False))
    torch.testing.assert_close(denoise(apart), denoise(merged), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "layer",
    [
        "blocks.1.self_attn.q",
        "blocks.1.attn1.to_q",
        "transformer.blocks.1.attn1.to_q",
        "base_model.model.blocks.1.attn1.to_q",
        "diffusion_model.blocks.1.self_attn.q",
        "pipe.dit.blocks.1.self_attn.q",
        "lora_unet_blocks_1_self_attn_q",
        "lora_unet__blocks_1_self_attn_q",
        "lycoris_blocks_1_attn1_to_q",
    ],
)
def test_names_of_several_trainers_are_understood(original, load, plain, wan, saved, layer):
    extra = pair(wan, layer)
    changed = load(original, "transformer", adapters=[Lora(path=saved(extra))])
    wanted = plain.blocks[1].attn1.to_q.weight + product(extra)
    torch.testing.assert_close(changed.blocks[1].attn1.to_q.weight, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("prefix", ["diffusion_model.", ""])
def test_alpha_scales_what_it_belongs_to(original, load, plain, wan, saved, prefix):
    layer = f"{prefix}{LAYER}"
    extra = pair(wan, layer, names=("lora_down.weight", "lora_up.weight"))
    path = saved({**extra, f"{layer}.alpha": torch.tensor(1.0)})
    before = load_file(path)
    changed = load(original, "transformer", adapters=[Lora(path=path)])
    whole = extra[f"{layer}.lora_up.weight"] @ extra[f"{layer}.lora_down.weight"]
    wanted = plain.blocks[1].attn1.to_q.weight + whole / wan.rank
    torch.testing.assert_close(changed.blocks[1].attn1.to_q.weight, wanted, rtol=0, atol=1e-6)
    assert all(torch.equal(tensor, before[name]) for name, tensor in load_file(path).items())


def test_a_lora_that_diffusers_has_saved_keeps_its_scale(original, load, plain, tmp_path):
    from peft import LoraConfig

    torch.manual_seed(0)
    trained = load(original, "transformer", adapters=())
    trained.add_adapter(LoraConfig(r=2, lora_alpha=6, target_modules=["to_q"], init_lora_weights=False))
    layer = trained.blocks[1].attn1.to_q
    product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    trained.save_lora_adapter(tmp_path)
    changed = load(original, "transformer", adapters=[Lora(path=next(tmp_path.glob("*.safetensors")))])
    wanted = plain.blocks[1].attn1.to_q.weight + 3 * product
    torch.testing.assert_close(changed.blocks[1].attn1.to_q.weight, wanted, rtol=0, atol=1e-6)


def test_a_bias_of_a_lora_is_added_to_the_layers(original, load, plain, wan, saved):
    layer = f"diffusion_model.{LAYER}"
    extra = {**pair(wan, layer), f"{layer}.diff_b": torch.ones(wan.width)}
    changed = load(original, "transformer", adapters=[Lora(path=saved(extra))])
    wanted = plain.blocks[1].attn1.to_q.bias + 1
    torch.testing.assert_close(changed.blocks[1].attn1.to_q.bias, wanted, rtol=0, atol=1e-6)


def test_deltas_of_whole_tensors_are_added_with_the_weight(original, load, plain, wan, saved):
    deltas = {
        "blocks.1.diff_m": ("blocks.1.scale_shift_table", (1, 6, wan.width)),
        "blocks.1.norm3.diff": ("blocks.1.norm2.weight", (wan.width,)),
        "blocks.1.self_attn.norm_k.diff": ("blocks.1.attn1.norm_k.weight", (wan.width,)),
        "blocks.1.ffn.2.diff": ("blocks.1.ffn.net.2.weight", (wan.width, 32)),
        "head.diff_m": ("scale_shift_table", (1, 2, wan.width)),
        "head.head.diff": ("proj_out.weight", (64, wan.width)),
        "head.head.diff_b": ("proj_out.bias", (64,)),
        "patch_embedding.diff": ("patch_embedding.weight", (wan.width, 36, 1, 2, 2)),
        "img_emb.proj.4.diff_b": ("condition_embedder.image_embedder.norm2.bias", (wan.width,)),
        "time_embedding.0.diff_b": ("condition_embedder.time_embedder.linear_1.bias", (wan.width,)),
        "time_projection.1.diff_b": ("condition_embedder.time_proj.bias", (6 * wan.width,)),
    }
    extra = wan.drawn(((f"diffusion_model.{name}", shape) for name, (_, shape) in deltas.items()), 4)
    changed = load(original, "transformer", adapters=[Lora(path=saved(extra), weight=0.5)]).state_dict()
    before = plain.state_dict()
    for name, (place, _) in deltas.items():
        wanted = before.pop(place) + 0.5 * extra[f"diffusion_model.{name}"]
        torch.testing.assert_close(changed[place], wanted, rtol=0, atol=1e-6)
    assert all(torch.equal(changed[name], tensor) for name, tensor in before.items())


def test_a_low_rank_change_of_the_patch_embedding_is_added(original, load, plain, wan, saved):
    down, up = torch.randn(wan.rank, 36, 1, 2, 2), torch.randn(wan.width, wan.rank, 1, 1, 1)
    extra = {"patch_embedding.lora_A.weight": down, "patch_embedding.lora_B.weight": up}
    changed = load(original, "transformer", adapters=[Lora(path=saved(extra))])
    wanted = plain.patch_embedding.weight + (up.flatten(1) @ down.flatten(1)).reshape(wan.width, 36, 1, 2, 2)
    torch.testing.assert_close(changed.patch_embedding.weight, wanted, rtol=0, atol=1e-5)


def test_deltas_beside_a_stacked_lora_are_all_added(original, load, plain, wan, saved):
    distill = {**pair(wan, LAYER, 1), "blocks.1.self_attn.q.diff_b": torch.ones(wan.width)}
    style = {**pair(wan, LAYER, 2), "blocks.1.self_attn.q.diff_b": torch.ones(wan.width)}
    files = [Lora(path=saved(distill, "a.safetensors")), Lora(path=saved(style, "b.safetensors"), weight=-2)]
    changed = load(original, "transformer", adapters=files).blocks[1].attn1.to_q
    own = plain.blocks[1].attn1.to_q
    wanted = own.weight + product(distill) - 2 * product(style)
    torch.testing.assert_close(changed.weight, wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(changed.bias, own.bias - 1, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("dora_scale", "DoRA"), ("lora_magnitude_vector.weight", "DoRA"), ("lokr_w1", "LoKr"), ("hada_w1_a", "LoHa")],
)
def test_other_kinds_of_adapters_are_refused_by_name(wan, saved, name, kind):
    path = saved({**pair(wan, LAYER), f"{LAYER}.{name}": torch.ones(4)})
    with pytest.raises(InvalidInput, match=rf"is a {kind}, which is not supported: it has .*; use a LoRA"):
        read_lora(path)


def test_a_delta_without_a_place_or_of_another_shape_is_listed(original, load, wan, saved):
    path = saved({"blocks.1.norm3.diff": torch.ones(5), "blocks.9.diff_m": torch.zeros(1, 6, wan.width)})
    message = r"unexpected tensors: blocks\.9\.scale_shift_table; .*another shape: blocks\.1\.norm2\.weight"
    with pytest.raises(InvalidInput, match=message):
        load(original, "transformer", adapters=[Lora(path=path)])


def test_a_tensor_that_is_not_part_of_a_lora_is_listed(original, load, wan, saved):
    path = saved({**pair(wan, LAYER), "lora_te_text.lora_down.weight": torch.ones(4, 4), "note": torch.ones(1)})
    with pytest.raises(InvalidInput, match=r"unexpected tensors: lora_te_text.*, note"):
        load(original, "transformer", adapters=[Lora(path=path)])


def test_matrices_without_a_place_are_listed(original, load, wan, saved):
    extra = pair(wan, "blocks.0.self_attn.q") | pair(wan, "blocks.7.self_attn.q") | pair(wan, "blocks.8.self_attn.q")
    path = saved(extra)
    with pytest.raises(
        InvalidInput, match=r"lora\.safetensors has unexpected tensors: .*blocks\.\{7\.\.8\}\.attn1\.to_q\.lora_A"
    ):
        load(original, "transformer", adapters=[Lora(path=path)])


def test_a_half_of_a_pair_is_not_enough(original, load, wan, saved):
    extra = pair(wan, LAYER)
    del extra[f"{LAYER}.lora_B.weight"]
    with pytest.raises(InvalidInput, match=r"lacks the tensors blocks\.1\.attn1\.to_q\.lora_B\.weight"):
        load(original, "transformer", adapters=[Lora(path=saved(extra))])


def test_an_adapter_for_another_wan_is_refused(original, load, wan, saved):
    path = saved(wan.drawn(wan.adapter(width=36), 5), "ex4d.ckpt")
    with pytest.raises(InvalidInput, match=r"has tensors of another shape: blocks\.\{0\.\.2\}"):
        load(original, "transformer", adapters=[Lora(path=path)])
    with pytest.raises(InvalidInput, match=r"trained for a transformer of width 36 and .* has 24; .*adapter=none"):
        load(original, "camera_encoder", given={"adapter": str(path)})


def test_a_file_without_a_lora_is_refused(wan, saved):
    camera = {name: tensor for name, tensor in wan.drawn(wan.adapter(), 5).items() if "latent" in name}
    for tensors in (camera, {"note": torch.ones(1)}):
        with pytest.raises(InvalidInput, match="has no LoRA; check which file it is"):
            read_lora(saved(tensors), skip=CAMERA_KEYS)
    with pytest.raises(InvalidInput, match=r"has lora_unet_text\.alpha without a low-rank matrix"):
        read_lora(saved({"lora_unet_text.alpha": torch.tensor(1.0)}))


def test_a_file_without_a_camera_encoder_is_no_adapter(original, load, wan, saved):
    with pytest.raises(InvalidInput, match=r"has no camera encoder .*backbone\.loras"):
        load(original, "camera_encoder", given={"adapter": str(saved(pair(wan, LAYER)))})


def test_a_camera_encoder_with_other_tensors_is_refused(copy, load, change):
    change(copy / "ex4d.ckpt", {"latent_encoder.2.bias": None, "latent_encoder.6.bias": torch.zeros(6)})
    with pytest.raises(
        InvalidInput,
        match=r"lacks the tensors latent_encoder\.2\.bias; it has unexpected tensors: latent_encoder\.6\.bias",
    ):
        load(copy, "camera_encoder")


def test_without_an_adapter_there_is_no_camera_encoder(original, load):
    assert load(original, "camera_encoder", given={"adapter": "none"}) is None


def test_a_token_is_made_for_each_patch(original, load, wan):
    encoder = load(original, "camera_encoder")
    color, mask = torch.randn(2, 16, 3, 6, 4), torch.randn(2, 16, 3, 6, 4)
    tokens = encoder(color, mask)
    assert tokens.shape == (2, 3 * 3 * 2, wan.width)
    by_hand = encoder.latent_patch_embedding(encoder.latent_encoder(torch.cat([color, mask], dim=1)))
    assert torch.equal(tokens[1, 2 * 6 + 1 * 2 + 1], by_hand[1, :, 2, 1, 1])


def test_the_camera_encoder_of_ex4d_has_23_million_parameters():
    with torch.device("meta"):
        encoder = CameraEncoder(channels=32, hidden=1024, width=5120)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == pytest.approx(23.1e6, rel=0.005)


@pytest.fixture
def tokens(wan):
    return torch.randn(1, 3 * 2 * 2, wan.width, generator=torch.Generator().manual_seed(4))


def embedded(transformer, batch=1):
    latents = torch.randn(batch, 36, 3, 4, 4, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        return transformer.patch_embedding(latents).flatten(2).transpose(1, 2)


def test_tokens_are_added_for_the_length_of_a_block(plain, tokens):
    without = embedded(plain)
    with camera_tokens(plain, tokens):
        assert torch.equal(embedded(plain), without + tokens)
    assert torch.equal(embedded(plain), without)


def test_each_sample_of_a_batch_gets_the_same_tokens(plain, tokens):
    without = embedded(plain, batch=2)
    with camera_tokens(plain, tokens):
        assert torch.equal(embedded(plain, batch=2), without + tokens)


def test_tokens_take_the_precision_of_the_transformer(original, load, tokens):
    transformer = load(original, "transformer", dtype=torch.bfloat16)
    with camera_tokens(transformer, tokens), torch.no_grad():
        assert transformer.patch_embedding(torch.randn(1, 36, 3, 4, 4).bfloat16()).dtype == torch.bfloat16


def test_no_tokens_change_nothing(plain):
    without = embedded(plain)
    with camera_tokens(plain, None):
        assert torch.equal(embedded(plain), without)


def test_tokens_are_gone_after_an_error(plain, tokens):
    with pytest.raises(KeyError), camera_tokens(plain, tokens):
        raise KeyError
    assert not plain.patch_embedding._forward_hooks


def test_tokens_of_another_size_are_refused(plain, tokens):
    message = "8 camera tokens of width 24 do not fit a video of 12 patches of width 24"
    with pytest.raises(InvalidInput, match=message), camera_tokens(plain, tokens[:, :8]):
        embedded(plain)


def test_layers_of_different_ranks_are_all_added_as_they_are(original, load, plain, wan, saved):
    down, up = torch.randn(7, wan.width), torch.randn(wan.width, 7)
    other = {"blocks.0.self_attn.q.lora_A.weight": down, "blocks.0.self_attn.q.lora_B.weight": up}
    extra = pair(wan, LAYER)
    changed = load(original, "transformer", adapters=[Lora(path=saved({**other, **extra}))])
    for block, whole in ((0, up @ down), (1, product(extra))):
        wanted = plain.blocks[block].attn1.to_q.weight + whole
        torch.testing.assert_close(changed.blocks[block].attn1.to_q.weight, wanted, rtol=0, atol=1e-4)
