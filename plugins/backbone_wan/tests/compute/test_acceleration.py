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
    monkeypatch.setattr(acceleration, "context_keys_values", lambda *args: made.append(1) or original(*args))
    return made


def test_on_the_cpu_everything_is_plain_torch():
    assert acceleration.operations(torch.device("cpu")) is elementwise


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
    with pytest.raises(InvalidInput, match=r"in bfloat16, not torch.float32"):
        acceleration.prepare(transformer, speed="fast", device=device)


def test_a_context_is_projected_once_and_kept_while_it_lives(transformer_of, call, contexts):
    transformer = transformer_of()
    keeper = acceleration.prepare(transformer)
    text, image = torch.randn(2, 512, 32), torch.randn(2, 257, 64)
    given = {"encoder_hidden_states": text, "encoder_hidden_states_image": image}
    first = call(transformer, **given)
    assert len(contexts) == 3
    assert torch.equal(call(transformer, **given), first)
    assert len(contexts) == 3
    kept = keeper._kept
    assert len(kept) == 1
    del text, image, given
    assert len(kept) == 0


def test_what_a_prompt_is_filled_up_with_is_kept_once(transformer_of, call):
    transformer, plain = transformer_of(), transformer_of()
    keeper = acceleration.prepare(transformer)
    text = torch.randn(2, 512, 32)
    text[0, 10:], text[1, 20:] = 0, 0
    given = {"encoder_hidden_states": text, "encoder_hidden_states_image": torch.randn(2, 257, 64)}
    torch.testing.assert_close(call(transformer, **given), call(plain, **given), atol=1e-5, rtol=1e-5)
    (of_text, of_image), *_ = keeper._kept[text][1].values()
    assert (of_text.key.shape[1], of_text.repeats) == (21, 492)
    assert (of_image.key.shape[1], of_image.repeats) == (257, 1)


def test_another_text_or_image_is_another_context(transformer_of, call, contexts):
    transformer, plain = transformer_of(), transformer_of()
    acceleration.prepare(transformer)
    text, other_text = torch.randn(2, 2, 512, 32)
    image, other_image = torch.randn(2, 2, 257, 64)
    for texts, images in [(text, image), (other_text, image), (text, other_image), (text, image)]:
        given = {"encoder_hidden_states": texts, "encoder_hidden_states_image": images}
        torch.testing.assert_close(call(transformer, **given), call(plain, **given), atol=1e-5, rtol=1e-5)
    assert len(contexts) == 4 * 3


def test_calls_with_the_same_latents_and_time_start_alike(transformer_of):
    transformer, plain = transformer_of(), transformer_of()
    acceleration.prepare(transformer)
    attended = []
    transformer.blocks[0].attn1.to_q.register_forward_hook(lambda *_: attended.append(1))
    torch.manual_seed(0)
    latents, other = torch.randn(2, 1, 36, 3, 8, 6)
    time, later = torch.tensor([900.0]), torch.tensor([100.0])

    def same(tokens, when, text):
        given = {"hidden_states": tokens, "timestep": when, "encoder_hidden_states": text}
        given["encoder_hidden_states_image"] = torch.ones(1, 257, 64)
        with torch.no_grad():
            made, expected = (each(**given, return_dict=False)[0] for each in (transformer, plain))
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)

    with acceleration.sharing_start(transformer):
        kept = transformer.blocks[0].kept._kept
        for tokens, when, times in [(latents, time, 1), (latents, time, 1), (latents, later, 2), (other, later, 3)]:
            same(tokens, when, torch.randn(1, 512, 32))
            assert len(attended) == times
        assert [len(starts) for _, starts in (kept[latents], kept[other])] == [1, 1]
        same(other, later, torch.randn(1, 512, 32))
        assert kept[other][1] == []  # its second call was its last
        del latents, tokens
        assert list(kept.keys()) == [other]
    for times in (4, 5):
        same(other, later, torch.randn(1, 512, 32))
        assert len(attended) == times


def test_a_call_that_breaks_off_leaves_no_start_behind(transformer_of, call):
    transformer = transformer_of()
    acceleration.prepare(transformer)
    expected = call(transformer, seed=1)
    with acceleration.sharing_start(transformer):
        hook = transformer.blocks[1].register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            call(transformer)
        hook.remove()
        assert transformer.blocks[0].kept._now is None
        assert torch.equal(call(transformer, seed=1), expected)
    assert not hasattr(transformer.blocks[0], "kept")


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
