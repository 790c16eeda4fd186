"""A prepared transformer computes what diffusers' does, with fewer steps of work."""

from __future__ import annotations

import pytest
import torch

from ex4d_backbone_wan.compute import acceleration, blocks, elementwise
from ex4d_core.errors import InvalidInput


@pytest.fixture
def contexts(monkeypatch):
    """Return a list that grows with each projection of a context."""
    made = []
    original = blocks.context_keys_values
    monkeypatch.setattr(blocks, "context_keys_values", lambda *args: made.append(1) or original(*args))
    return made


def test_on_the_cpu_everything_is_plain_torch():
    assert blocks.operations(torch.device("cpu")) is elementwise


@pytest.mark.parametrize("sizes", [{}, {"image_dim": None, "added_kv_proj_dim": None, "in_channels": 16}])
def test_exact_is_what_diffusers_computes(transformer_of, call, sizes):
    transformer = transformer_of(**sizes)
    expected = call(transformer)
    acceleration.prepare(transformer)
    torch.testing.assert_close(call(transformer), expected, atol=1e-5, rtol=1e-5)


def test_fast_is_near_what_diffusers_computes(transformer_of, call):
    transformer = transformer_of()
    expected = call(transformer)
    acceleration.prepare(transformer, speed="fast")
    assert 1e-4 < (call(transformer) - expected).norm() / expected.norm() < 0.1
    weight = transformer.blocks[0].ffn.net[2].weight
    assert weight.dtype == torch.float8_e4m3fn


def test_fast_takes_bfloat16_on_a_gpu_that_has_8_bits(transformer_of, monkeypatch):
    transformer = transformer_of()
    device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "A100")
    with pytest.raises(InvalidInput, match=r"A100 has no products of 8-bit floats.*--speed exact"):
        acceleration.prepare(transformer, speed="fast", device=device)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    with pytest.raises(InvalidInput, match=r"bfloat16, not torch.float32"):
        acceleration.prepare(transformer, speed="fast", device=device)


def test_the_context_of_a_prompt_is_projected_once_in_a_run(transformer_of, call, contexts):
    transformer, plain = transformer_of(), transformer_of()
    cache = acceleration.prepare(transformer)
    positive, negative = ({"encoder_hidden_states": text} for text in torch.randn(2, 2, 512, 32))
    with cache.run():
        for name, given, projected in [("positive", positive, 3), ("negative", negative, 6), ("positive", positive, 6)]:
            with cache.prompt(name):
                result = call(transformer, **given)
            torch.testing.assert_close(result, call(plain, **given), atol=1e-5, rtol=1e-5)
            assert len(contexts) == projected
    with cache.run(), cache.prompt("positive"):
        torch.testing.assert_close(call(transformer, **negative), call(plain, **negative), atol=1e-5, rtol=1e-5)


def test_nothing_stays_in_the_cache_after_a_run(transformer_of, call):
    transformer = transformer_of()
    cache = acceleration.prepare(transformer)
    with cache.run():
        with cache.step(calls=2), cache.prompt("positive"):
            call(transformer)
        assert cache._start is None
        assert len(cache._contexts) == 3
    assert not cache._contexts


def test_a_call_without_a_named_prompt_is_not_cached(transformer_of, call, contexts):
    transformer = transformer_of()
    cache = acceleration.prepare(transformer)
    first = call(transformer)
    assert torch.equal(call(transformer), first)
    assert len(contexts) == 6
    assert not cache._contexts


def test_the_padding_of_a_prompt_is_cached_once(transformer_of, call):
    transformer, plain = transformer_of(), transformer_of()
    cache = acceleration.prepare(transformer)
    text = torch.randn(2, 512, 32)
    text[0, 10:], text[1, 20:] = 0, 0
    given = {"encoder_hidden_states": text, "encoder_hidden_states_image": torch.randn(2, 257, 64)}
    with cache.run(), cache.prompt("positive"):
        torch.testing.assert_close(call(transformer, **given), call(plain, **given), atol=1e-5, rtol=1e-5)
        of_text, of_image = cache._contexts["positive", 0]
    assert (of_text.key.shape[1], of_text.repeats) == (21, 492)
    assert (of_image.key.shape[1], of_image.repeats) == (257, 1)


def test_the_calls_of_a_step_share_the_start_of_the_first_block(transformer_of):
    transformer, plain = transformer_of(), transformer_of()
    cache = acceleration.prepare(transformer)
    attended = []
    transformer.blocks[0].attn1.to_q.register_forward_hook(lambda *_: attended.append(1))
    torch.manual_seed(0)

    def same(latents, timestep):
        given = {"hidden_states": latents, "timestep": timestep, "encoder_hidden_states": torch.randn(1, 512, 32)}
        given["encoder_hidden_states_image"] = torch.ones(1, 257, 64)
        with torch.no_grad():
            result, expected = (each(**given, return_dict=False)[0] for each in (transformer, plain))
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)

    for calls, times in [(2, 1), (2, 2), (1, 3)]:
        latents, timestep = torch.randn(1, 36, 3, 8, 6), torch.tensor([900.0])
        with cache.step(calls=calls):
            for number in range(calls):
                same(latents, timestep)
                assert (cache._start is None) == (number == calls - 1)
        assert len(attended) == times
    for times in (4, 5):
        same(latents, timestep)
        assert len(attended) == times


def test_an_interrupted_step_leaves_nothing_in_the_cache(transformer_of, call):
    transformer = transformer_of()
    cache = acceleration.prepare(transformer)
    expected = call(transformer, seed=1)
    hook = transformer.blocks[1].register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), cache.step(calls=2), cache.prompt("positive"):
        call(transformer)
    hook.remove()
    assert torch.equal(call(transformer, seed=1), expected)
    with cache.step(calls=2):
        assert torch.equal(call(transformer, seed=1), expected)


def test_a_change_below_the_threshold_skips_all_blocks_but_the_first(transformer_of, call):
    transformer = transformer_of()
    acceleration.prepare(transformer)
    expected = call(transformer, seed=1)
    runs = []
    transformer.blocks[1].attn1.to_q.register_forward_hook(lambda *_: runs.append(1))
    with acceleration.skipping_steps(transformer, threshold=100.0):
        call(transformer, seed=0)
        skipped = call(transformer, seed=1)
    assert len(runs) == 1
    assert not torch.equal(skipped, expected)
    assert torch.equal(call(transformer, seed=1), expected)
    with acceleration.skipping_steps(transformer, threshold=0.0):
        call(transformer, seed=0)
        assert torch.equal(call(transformer, seed=1), expected)


@pytest.mark.gpu
@pytest.mark.parametrize(("how", "most"), [("exact", 2e-2), ("fast", 0.1)])
def test_on_a_gpu_it_is_near_what_diffusers_computes(transformer_of, call, how, most):
    transformer = transformer_of(attention_head_dim=32, added_kv_proj_dim=128).to("cuda", torch.bfloat16)
    expected = call(transformer)
    acceleration.prepare(transformer, speed=how)
    assert (call(transformer) - expected).norm() / expected.norm() < most
