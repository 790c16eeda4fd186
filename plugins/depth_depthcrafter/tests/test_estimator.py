"""Facts about the depth of a clip, on a tiny model with random weights."""

from __future__ import annotations

import pytest
import torch

from ex4d_core.errors import Cancelled, InvalidInput
from ex4d_core.geometry.inverse_depth_options import NEAREST
from ex4d_core.progress import silent
from ex4d_core.types import DEFAULT_FOV, DepthKind, Intrinsics

pytestmark = pytest.mark.slow

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

CPU = torch.device("cpu")


@pytest.fixture
def estimator(options):
    from ex4d_depth_depthcrafter.estimator import DepthCrafter

    def make(**given):
        return DepthCrafter(options(**given), device=CPU)

    return make


def test_depth_has_the_length_and_size_of_the_clip_and_lies_between_near_and_far(estimator, clip):
    video = clip(9, width=80, height=48)
    depth = estimator(max_side=64).estimate(video, progress=silent)
    assert depth.depth.shape == (9, 48, 80)
    assert depth.kind is DepthKind.AFFINE_INVERSE
    assert depth.intrinsics == (Intrinsics.from_fov(DEFAULT_FOV, width=80, height=48),)
    assert depth.depth.min() >= NEAREST * (1 - 1e-6)
    assert depth.depth.max() <= 100


def test_a_clip_of_one_frame_has_depth(estimator, clip):
    assert estimator().estimate(clip(1), progress=silent).depth.shape == (1, 64, 64)


def test_the_seed_fixes_everything_and_the_clip_stays_as_it_was(estimator, clip):
    video = clip(5)
    before = video.frames.clone()
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    component = estimator()
    first, again = (component.estimate(video, progress=silent).depth for _ in range(2))
    other = estimator(seed=43).estimate(video, progress=silent).depth
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(video.frames, before)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_offloading_changes_nothing(estimator, clip, offload):
    plain = estimator().estimate(clip(5), progress=silent).depth
    component = estimator(offload=offload)
    for _ in range(2):
        torch.testing.assert_close(component.estimate(clip(5), progress=silent).depth, plain, rtol=1e-6, atol=1e-6)


def test_the_networks_are_loaded_once(estimator, clip, monkeypatch):
    from ex4d_depth_depthcrafter import estimator as module

    loads, load = [], module.load_networks
    monkeypatch.setattr(module, "load_networks", lambda *a, **k: loads.append(1) or load(*a, **k))
    component = estimator()
    assert loads == []
    for _ in range(2):
        component.estimate(clip(1), progress=silent)
    assert loads == [1]


@pytest.mark.parametrize("num_frames", [1, 4, 7])
def test_progress_starts_at_nothing_grows_and_ends_at_all(estimator, clip, num_frames):
    told = []
    estimator(decode_chunk=2).estimate(clip(num_frames), progress=lambda *step: told.append(step))
    done = [step[0] for step in told]
    assert done[0] == 0
    assert done == sorted(done)
    assert {step[1] for step in told} == {done[-1]}


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_it_stops_when_asked_and_can_be_used_again(estimator, clip, share):
    def stop(done, total):
        if done >= share * total:
            raise Cancelled("stopped")

    component = estimator(offload="model")
    with pytest.raises(Cancelled):
        component.estimate(clip(5), progress=stop)
    again = component.estimate(clip(5), progress=silent).depth
    assert torch.equal(again, estimator().estimate(clip(5), progress=silent).depth)


def test_guidance_pulls_the_result(estimator, clip):
    plain, guided = (estimator(guidance=g).estimate(clip(2), progress=silent).depth for g in (1.0, 3.0))
    assert not torch.allclose(plain, guided)


def test_windows_without_overlap_are_independent(estimator, clip):
    depth = estimator(overlap=0).estimate(clip(9), progress=silent).depth
    assert depth.shape[0] == 9
    assert depth.isfinite().all()


def test_each_frame_attends_to_its_own_embedding(estimator):
    from ex4d_depth_depthcrafter.networks import per_frame_attention

    unet = estimator().diffusion._networks.unet
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(1, 3, 8, 8, 8, generator=generator)
    embeddings = torch.randn(3, 32, generator=generator) * 10
    ids = torch.tensor([[7.0, 127.0, 0.02]])

    def predict(context):
        with torch.no_grad(), per_frame_attention(unet, context):
            return unet(sample, 1.0, encoder_hidden_states=context[None, :1], added_time_ids=ids).sample

    with torch.no_grad():
        stock = unet(sample, 1.0, encoder_hidden_states=embeddings[None, :1], added_time_ids=ids).sample
    same = predict(embeddings[:1].expand(3, -1))
    torch.testing.assert_close(same, stock)
    assert not torch.allclose(predict(embeddings), stock, atol=1e-4)
    with torch.no_grad():
        after = unet(sample, 1.0, encoder_hidden_states=embeddings[None, :1], added_time_ids=ids).sample
    assert torch.equal(after, stock)


def test_a_clip_without_frames_is_refused(estimator, clip):
    with pytest.raises(InvalidInput, match="no frames"):
        estimator().estimate(clip(0), progress=silent)


def test_a_result_that_is_no_number_is_refused(estimator, clip):
    component = estimator()
    component.diffusion._networks.vae.decoder.conv_in.weight.fill_(float("nan"))
    with pytest.raises(InvalidInput, match=r"NaN or infinity.*depth\.dtype"):
        component.estimate(clip(1), progress=silent)


@pytest.mark.parametrize(
    ("offload", "says"),
    [
        ("none", r"try --set depth\.offload=model, and smaller depth\.max_side"),
        ("model", r"try --set depth\.offload=sequential, and smaller depth\.max_side"),
        ("sequential", r"try smaller depth\.max_side, depth\.window and depth\.decode_chunk"),
    ],
)
def test_a_device_that_is_too_small_says_what_would_fit(estimator, clip, monkeypatch, offload, says):
    component = estimator(offload=offload)

    def too_much(*_, **__):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(component.diffusion, "inverse_depth", too_much)
    with pytest.raises(InvalidInput, match=rf"too little memory for 2 frames at 64x64.*{says}"):
        component.estimate(clip(2), progress=silent)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_come_close_to_thirty_two(estimator, clip, dtype):
    exact = estimator().estimate(clip(5), progress=silent).depth
    rough = estimator(dtype=dtype).estimate(clip(5), progress=silent).depth
    assert (NEAREST / rough - NEAREST / exact).abs().mean() < 0.05
