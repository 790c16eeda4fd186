"""What Wan takes of a GPU's memory, and what waits where."""

from __future__ import annotations

import diffusers
import pytest
import torch
from torch import nn

from ex4d_backbone_wan.compute import acceleration, memory
from ex4d_backbone_wan.compute.memory import GIBI, Needs, Placement
from ex4d_backbone_wan.conditioning import decode, encode
from ex4d_core.errors import InvalidInput

CPU = torch.device("cpu")
NEEDS = Needs(blocks=20 * GIBI, context=8 * GIBI, block=GIBI, rest=GIBI, kept=GIBI, working=GIBI, start=GIBI // 4)


def test_needs_are_the_same_wherever_the_weights_are(transformer_of):
    transformer = transformer_of()
    needs = memory.needs(transformer, tokens=36)
    state = transformer.state_dict().values()
    rope = sum(each.nbytes for each in transformer.rope.buffers())
    assert needs.blocks + needs.context + needs.rest == sum(each.nbytes for each in state) + rope
    acceleration.prepare(transformer)
    assert memory.needs(transformer, tokens=36) == needs
    memory.place(transformer, Placement.STREAMED, device=CPU)
    assert memory.needs(transformer, tokens=36) == needs


def test_without_guidance_one_prompt_and_one_set_of_activations_are_held(transformer_of):
    transformer = transformer_of()
    both, one = (memory.needs(transformer, tokens=36, guided=guided) for guided in (True, False))
    assert (one.kept, one.start) == (both.kept // 2, 0)
    assert both.of(Placement.RESIDENT) - one.of(Placement.RESIDENT) == both.kept // 2 + both.start
    assert both.of(Placement.STREAMED) - one.of(Placement.STREAMED) == both.kept // 2 + both.working


@pytest.mark.parametrize(
    ("budget", "place"),
    [(32, Placement.RESIDENT), (31.6, Placement.CONTEXT_APART), (24, Placement.CONTEXT_APART), (7, Placement.STREAMED)],
)
def test_the_fastest_place_that_keeps_the_budget_is_chosen(budget, place):
    assert memory.choose(NEEDS, budget * GIBI) is place


def test_a_budget_that_nothing_keeps_is_said_with_the_least_that_is_needed():
    with pytest.raises(InvalidInput, match=r"^3.0 GiB .* 6.5 GiB with weights in main memory; .*num_frames"):
        memory.choose(NEEDS, 3 * GIBI)


@pytest.mark.parametrize("place", Placement)
def test_it_computes_the_same_wherever_its_weights_are(transformer_of, call, place):
    transformer = transformer_of()
    acceleration.prepare(transformer)
    expected = call(transformer)
    memory.place(transformer, place, device=CPU)
    assert torch.equal(call(transformer), expected)
    assert torch.equal(call(transformer), expected)


def test_what_is_set_apart_stays_where_it_is(transformer_of):
    transformer = transformer_of()
    memory.place(transformer, Placement.CONTEXT_APART, device=torch.device("meta"))
    attn = transformer.blocks[0].attn2
    assert attn.to_k.weight.device == CPU
    assert attn.to_q.weight.device.type == "meta"


def test_a_model_in_pieces_computes_the_same():
    pytest.importorskip("diffusers")
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.GELU(), nn.Linear(8, 2))), torch.randn(3, 4)
    expected = model(x)
    memory.in_pieces(model, device=CPU)
    assert torch.equal(model(x), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("how", ["exact", "fast"])
@pytest.mark.parametrize("place", [Placement.CONTEXT_APART, Placement.STREAMED])
def test_weights_that_wait_in_main_memory_come_in_time(transformer_of, call, place, how):
    sizes = {"attention_head_dim": 32, "added_kv_proj_dim": 128, "num_layers": 24, "ffn_dim": 4096}
    device = torch.device("cuda")
    transformer = transformer_of(**sizes).to(torch.bfloat16)
    acceleration.prepare(transformer.to(device), speed=how)
    expected = call(transformer)
    needs = memory.needs(transformer, tokens=36)
    transformer.to("cpu")
    memory.place(transformer, place, device=device)
    for _ in range(4):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        torch.testing.assert_close(call(transformer), expected)
    if place is Placement.STREAMED:
        # A few blocks are under way at once, and keys and values of one of two prompts are kept.
        assert torch.cuda.max_memory_allocated() - before < needs.blocks // 2 + needs.kept // 2


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(17, 3, 256, 256), (49, 3, 512, 512), (9, 3, 480, 832)])
def test_the_vae_needs_no_more_memory_than_is_said(shape):
    device = torch.device("cuda")
    vae = diffusers.AutoencoderKLWan().to(device, torch.bfloat16).eval().requires_grad_(False)
    frames, _, height, width = shape
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with torch.no_grad():
        encode(vae, torch.zeros(shape))
        decode(vae, torch.zeros(1, 16, (frames + 3) // 4, height // 8, width // 8))
    used, needed = torch.cuda.max_memory_allocated() - before, memory.vae_bytes(shape, itemsize=2)
    assert 0.5 * needed < used < needed
