"""Facts about the sampler and what it asks the transformer."""

from __future__ import annotations

import attrs
import pytest
import torch

from ex4d_backbone_wan.denoiser import Conditioning, LocalDenoiser, Schedule, integrate
from ex4d_backbone_wan.windows import cut_windows, latent_length, noise_of
from ex4d_core.errors import InvalidInput

diffusers = pytest.importorskip("diffusers")


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ignore(step, latents):
    pass


def test_noise_levels_go_from_1_to_0_and_stay_high_for_long():
    sigmas = Schedule(25, 5.0).sigmas
    assert (sigmas[0], sigmas[-1], len(sigmas)) == (1, 0, 26)
    assert sigmas[5] == pytest.approx(5 * 0.8 / (1 + 4 * 0.8))
    assert (sigmas.diff() < 0).all()
    assert Schedule(4, 1.0).sigmas.tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_the_transformer_counts_time_in_thousandths():
    assert torch.equal(Schedule(4, 1.0).timesteps, torch.tensor([1000.0, 750, 500, 250]))


@pytest.mark.parametrize("steps", [1, 4, 25])
def test_following_the_true_velocity_leads_to_the_clean_latents(steps):
    clean, start = noise(1, 16, 3, 4, 4, seed=1), noise(1, 16, 3, 4, 4)
    made = integrate(lambda latents, step: start - clean, start, schedule=Schedule(steps, 5.0), after_step=ignore)
    torch.testing.assert_close(made, clean, atol=1e-6, rtol=0)


def test_frames_with_an_anchor_are_that_anchor_under_the_noise_of_each_step():
    schedule, start, anchor = Schedule(5, 5.0), noise(1, 16, 3, 4, 4), noise(1, 16, 2, 4, 4, seed=1)
    seen = []

    def velocity(latents, step):
        seen.append(latents)
        return torch.full_like(latents, 7.0)

    made = integrate(velocity, start, schedule=schedule, anchor=anchor, after_step=ignore)
    for sigma, latents in zip(schedule.sigmas, [*seen, made], strict=True):
        wanted = (1 - sigma) * anchor + sigma * start[:, :, :2]
        torch.testing.assert_close(latents[:, :, :2], wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(made[:, :, 2:], start[:, :, 2:] - 7, atol=1e-5, rtol=0)


def test_going_on_from_a_step_gives_what_going_through_gives():
    schedule, start, kept = Schedule(6, 3.0), noise(1, 16, 2, 4, 4), {}

    def velocity(latents, step):
        return latents.sin() * (step + 1)

    whole = integrate(velocity, start, schedule=schedule, anchor=start[:, :, :1] + 1, after_step=kept.__setitem__)
    assert list(kept) == [1, 2, 3, 4, 5, 6]
    rest = integrate(velocity, kept[2], schedule=schedule, first_step=2, anchor=start[:, :, :1] + 1, after_step=ignore)
    assert torch.equal(rest, whole)


def static_clips(schedule):
    """The velocity of an ideal model of clips in which nothing moves and each latent pixel is a normal number.

    Given T frames x = (1 - s) clean + s noise, the mean of what `clean` can be is (1 - s) sum(x) / (s^2 + T (1 - s)^2).
    """

    def velocity(latents, step):
        sigma = float(schedule.sigmas[step])
        keep, frames = 1 - sigma, latents.shape[2]
        clean = keep * latents.sum(dim=2, keepdim=True) / (sigma**2 + frames * keep**2)
        return (latents - clean) / sigma

    return velocity


@pytest.mark.parametrize("overlap", [1, 5, 9, 25])
def test_windows_of_a_static_clip_join_by_their_shared_latents_and_noise(overlap):
    schedule, windows = Schedule(25, 5.0), cut_windows(90, window=49, overlap=overlap)
    shared, own = noise(1, 16, 13, 16, 16), noise(1, 16, 13, 16, 16, seed=1)
    first = integrate(static_clips(schedule), shared, schedule=schedule, after_step=ignore)
    known = latent_length(overlap)

    def seam(start, anchor):
        second = integrate(static_clips(schedule), start, schedule=schedule, anchor=anchor, after_step=ignore)
        return (second[:, :, known] - first[:, :, -1]).abs().mean() / first.std()

    assert seam(own, None) > 1
    assert seam(noise_of(windows[1], shared), first[:, :, -known:]) < 0.1


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_latents_that_are_not_finite_stop_it_at_their_step(bad):
    done = []

    def velocity(latents, step):
        return latents * (bad if step == 2 else 1)

    with pytest.raises(InvalidInput, match=r"the latents are not finite after step 3 of 5; check the weights"):
        integrate(velocity, noise(1, 16, 1, 4, 4), schedule=Schedule(5, 5.0), after_step=lambda s, x: done.append(s))
    assert done == [1, 2]


@pytest.fixture(scope="module")
def transformer():
    config = {
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": 36,
        "text_dim": 8,
        "freq_dim": 16,
        "ffn_dim": 16,
        "num_layers": 1,
        "image_dim": 8,
        "added_kv_proj_dim": 24,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return diffusers.WanTransformer3DModel(**config).eval()


def told(**given):
    values = {
        "text": noise(1, 512, 8, seed=2),
        "negative_text": noise(1, 512, 8, seed=3),
        "image": noise(1, 17, 8, seed=4),
        "y": noise(1, 20, 2, 4, 4, seed=5),
        "camera": noise(1, 8, 24, seed=6),
    }
    return Conditioning(**{**values, **given})


def denoise(transformer, conditioning, *, guidance=5.0, **given):
    denoiser = LocalDenoiser(transformer, device=torch.device("cpu"), dtype=torch.float32, **given)
    start = noise(1, 16, 2, 4, 4)
    return denoiser.denoise(conditioning, start, schedule=Schedule(2, 5.0), guidance=guidance, after_step=ignore)


def test_both_halves_of_the_guidance_at_once_give_what_one_after_the_other_gives(transformer):
    apart, batched = denoise(transformer, told()), denoise(transformer, told(), batch_guidance=True)
    torch.testing.assert_close(batched, apart, atol=1e-5, rtol=0)


def test_guidance_of_1_asks_nothing_of_the_negative_prompt(transformer):
    calls = []
    handle = transformer.register_forward_hook(lambda *_: calls.append(1))
    same = denoise(transformer, told(), guidance=1)
    other = denoise(transformer, told(negative_text=noise(1, 512, 8, seed=9)), guidance=1)
    handle.remove()
    assert len(calls) == 4
    assert torch.equal(same, other)


@pytest.mark.parametrize("field", ["text", "negative_text", "image", "y", "camera"])
def test_everything_that_it_is_told_counts(transformer, field):
    other = attrs.evolve(told(), **{field: -getattr(told(), field)})
    assert (denoise(transformer, told()) - denoise(transformer, other)).abs().max() > 1e-4


def test_all_steps_are_worked_out_in_the_context_that_was_asked_for(transformer):
    from contextlib import contextmanager

    happened = []

    @contextmanager
    def around():
        happened.append("in")
        yield
        happened.append("out")

    handle = transformer.register_forward_hook(lambda *_: happened.append("call"))
    denoise(transformer, told(), guidance=1, around=around)
    handle.remove()
    assert happened == ["in", "call", "call", "out"]


def test_every_step_is_told_the_same_tensors_so_that_what_they_give_can_be_kept(transformer):
    texts = []
    handle = transformer.register_forward_pre_hook(
        lambda module, args, kwargs: texts.append(kwargs["encoder_hidden_states"]), with_kwargs=True
    )
    denoise(transformer, told(), batch_guidance=True)
    handle.remove()
    assert len(texts) == 2
    assert texts[0] is texts[1]
