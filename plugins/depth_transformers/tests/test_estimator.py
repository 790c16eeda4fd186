"""Facts about the depth of a clip, on tiny models with random weights."""

from __future__ import annotations

import shutil
from fractions import Fraction

import pytest
import torch

from ex4d_core.errors import Cancelled, InvalidInput
from ex4d_core.geometry.inverse_depth_options import NEAREST
from ex4d_core.progress import silent
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import DepthKind, Intrinsics, Video

pytest.importorskip("transformers")

KINDS = {
    "depth_anything": DepthKind.AFFINE_INVERSE,
    "dpt": DepthKind.AFFINE_INVERSE,
    "depth_pro": DepthKind.METRIC,
    "zoedepth": DepthKind.METRIC,
    "glpn": DepthKind.METRIC,
}

METRIC = {"depth_estimation_type": "metric", "max_depth": 20}
"""What makes a Depth Anything metric."""


def flicker(depth, same=slice(None)):
    """Mean change from frame to frame as a share of the median depth, on pixels that do not change."""
    return float((depth[1:] - depth[:-1]).abs()[:, same].mean() / depth.median())


@pytest.mark.parametrize("model_type", KINDS)
def test_depth_has_the_length_and_size_of_the_clip_and_the_kind_of_the_model(estimator, clip, model_type):
    depth = estimator(model_type).estimate(clip(3, width=71, height=45), progress=silent)
    assert depth.depth.shape == (3, 45, 71)
    assert depth.kind is KINDS[model_type]
    assert depth.depth.isfinite().all()
    assert (depth.depth > 0).all()
    assert depth.depth[0].std() > 0


@pytest.mark.parametrize("model_type", KINDS)
def test_a_clip_of_one_frame_has_depth(estimator, clip, model_type):
    assert estimator(model_type).estimate(clip(1), progress=silent).depth.shape == (1, 50, 70)


@pytest.mark.parametrize("size", [(16, 16), (16, 90), (131, 17)])
@pytest.mark.parametrize("model_type", KINDS)
def test_sizes_that_do_not_divide_and_narrow_ones_have_depth(estimator, clip, model_type, size):
    width, height = size
    depth = estimator(model_type).estimate(clip(1, width=width, height=height), progress=silent)
    assert depth.depth.shape == (1, height, width)


def test_inverse_depth_lies_between_near_and_far(estimator, clip):
    depth = estimator().estimate(clip(4), progress=silent).depth
    assert depth.min() == pytest.approx(NEAREST)
    assert depth.max() == pytest.approx(100)


@pytest.mark.parametrize("model_type", KINDS)
def test_how_many_frames_are_taken_at_once_changes_nothing(estimator, clip, model_type):
    one, three = (estimator(model_type, batch=batch).estimate(clip(5), progress=silent).depth for batch in (1, 3))
    torch.testing.assert_close(one, three, rtol=1e-3, atol=1e-3)


def test_depth_is_what_the_library_makes_of_it(checkpoint, estimator, clip):
    """Depth Anything, unsteadied: the model's own map of the processor's picture, in the size of the clip."""
    transformers = pytest.importorskip("transformers")
    video = clip(2)
    model = transformers.AutoModelForDepthEstimation.from_pretrained(checkpoint())
    processor = transformers.DPTImageProcessorPil.from_pretrained(checkpoint())
    with torch.no_grad():
        said = model(**processor(images=list(video.frames.numpy()), return_tensors="pt"))
    inverse = torch.nn.functional.interpolate(said.predicted_depth[:, None], size=(50, 70), mode="bilinear")[:, 0]
    relative = (inverse - inverse.min()) / (inverse.max() - inverse.min())
    depth = estimator(steady=False).estimate(video, progress=silent).depth
    assert (NEAREST / depth - relative.clamp(min=NEAREST / 100)).abs().max() < 0.03


def test_depth_pro_gives_meters_and_the_lens(checkpoint, estimator, clip):
    transformers = pytest.importorskip("transformers")
    video = clip(3)
    component = estimator("depth_pro", steady=False)
    depth = component.estimate(video, progress=silent)
    model = transformers.AutoModelForDepthEstimation.from_pretrained(checkpoint("depth_pro"))
    pictures = torch.nn.functional.interpolate(
        video.frames.movedim(-1, 1) / 127.5 - 1, size=(128, 128), mode="bilinear"
    )
    with torch.no_grad():
        said = model(pixel_values=pictures)
    fov = said.field_of_view.median()
    focal = 70 / (2 * torch.tan(torch.deg2rad(fov) / 2))
    assert depth.intrinsics[0].fx == pytest.approx(float(focal), rel=1e-4)
    assert depth.intrinsics[0].fy == depth.intrinsics[0].fx
    canonical = torch.nn.functional.interpolate(said.predicted_depth[:, None], size=(50, 70), mode="bilinear")[:, 0]
    torch.testing.assert_close(depth.depth, focal / (70 * canonical), rtol=1e-3, atol=1e-4)


def test_without_a_field_of_view_depth_pro_is_right_up_to_scale(estimator, clip, checkpoint):
    depth = estimator(checkpoint("depth_pro", use_fov_model=False)).estimate(clip(2), progress=silent)
    assert depth.kind is DepthKind.RELATIVE
    assert depth.intrinsics == (Intrinsics.from_fov(width=70, height=50),)


def test_a_field_of_view_that_no_lens_has_is_refused(estimator, clip, checkpoint, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(checkpoint("depth_pro"), tmp_path / "copy")
    tensors = load_file(folder / "model.safetensors")
    tensors["fov_model.head.layers.4.bias"] = torch.tensor([-50.0])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match=r"field of view of -.* degrees"):
        estimator(folder).estimate(clip(1), progress=silent)


def test_a_metric_depth_anything_is_metric(estimator, clip, checkpoint):
    depth = estimator(checkpoint("depth_anything", **METRIC)).estimate(clip(2), progress=silent)
    assert depth.kind is DepthKind.METRIC
    assert depth.depth.max() <= 20 * 1.1  # steadying moves the scale of a frame a little


def test_the_user_may_say_what_the_numbers_mean(estimator, clip):
    assert estimator(kind="relative").estimate(clip(2), progress=silent).kind is DepthKind.RELATIVE
    assert estimator("zoedepth", kind="inverse").estimate(clip(2), progress=silent).kind is DepthKind.AFFINE_INVERSE


@pytest.fixture
def unsteady(monkeypatch):
    """Make an estimator's model say the truth about a static room, with another scale and shift for each frame."""

    def make(component, truth, *, shift):
        from ex4d_depth_transformers.networks import Prediction

        generator = torch.Generator().manual_seed(0)

        def predict(_, pictures):
            maps = []
            for _ in range(len(pictures)):
                noisy = truth * (1 + 0.005 * torch.randn(truth.shape, generator=generator))
                scale = torch.exp(0.2 * torch.randn(1, generator=generator))
                maps.append(noisy * scale + shift * torch.randn(1, generator=generator))
            return Prediction(maps=torch.stack(maps), fov=None)

        monkeypatch.setattr(type(component.network), "predict", predict)
        return component

    return make


@pytest.fixture(scope="module")
def static_room():
    scene = room_scene().frozen_at(0.0).clip(num_frames=1, width=96, height=64)
    return scene.depth.depth[0], Video(frames=scene.video.frames.expand(24, -1, -1, -1).clone(), fps=Fraction(24))


@pytest.mark.parametrize("inverse", [True, False])
def test_a_static_clip_flickers_twenty_times_less_when_it_is_steadied(
    estimator, unsteady, static_room, checkpoint, inverse
):
    depth, video = static_room
    says = 1 / depth if inverse else depth
    model = checkpoint() if inverse else checkpoint("depth_anything", **METRIC)
    flickers = {}
    for steady in (False, True):
        component = unsteady(estimator(model, steady=steady), says, shift=0.03 if inverse else 0.0)
        made = component.estimate(video, progress=silent).depth
        flickers[steady] = flicker(made, (1 / depth > 0.15) if inverse else slice(None))
    assert flickers[True] < flickers[False] / 20


def test_meters_stay_meters_when_they_are_steadied(estimator, unsteady, static_room, checkpoint):
    depth, video = static_room
    made = (
        unsteady(estimator(checkpoint("depth_anything", **METRIC)), depth, shift=0.0)
        .estimate(video, progress=silent)
        .depth
    )
    assert made.median() == pytest.approx(float(depth.median()), rel=0.15)


def test_equal_frames_of_a_model_stay_equal(estimator, clip):
    video = Video(frames=clip(1).frames.expand(6, -1, -1, -1).clone(), fps=Fraction(24))
    depth = estimator(batch=1).estimate(video, progress=silent).depth
    torch.testing.assert_close(depth, depth[:1].expand_as(depth), rtol=1e-5, atol=1e-5)


def test_the_two_sides_of_a_cut_are_scaled_on_their_own(estimator, static_room, clip):
    _, room = static_room
    other = torch.flip(clip(1, width=96, height=64).frames, [1])
    frames = torch.cat([room.frames[:3], other.expand(3, -1, -1, -1)])
    depth = estimator().estimate(Video(frames=frames, fps=Fraction(24)), progress=silent).depth
    for clip_run in (depth[:3], depth[3:]):
        assert clip_run.min() == pytest.approx(NEAREST)
        assert clip_run.max() == pytest.approx(100)


def test_black_between_shots_is_far_and_a_black_clip_is_refused(estimator, static_room, monkeypatch):
    from ex4d_depth_transformers.networks import Prediction

    _, room = static_room
    black = torch.zeros_like(room.frames[:2])
    component = estimator()
    network = type(component.network)
    say = network.predict

    def predict(self, pictures):
        said = say(self, pictures)
        lit = pictures.flatten(1).std(dim=1) > 0.5
        return Prediction(maps=said.maps * lit[:, None, None], fov=None)

    monkeypatch.setattr(network, "predict", predict)
    both = Video(frames=torch.cat([room.frames[:2], black]), fps=Fraction(24))
    assert (component.estimate(both, progress=silent).depth[2:] == 100).all()
    with pytest.raises(InvalidInput, match="the same depth for the whole clip"):
        component.estimate(Video(frames=black, fps=Fraction(24)), progress=silent)
    monkeypatch.setattr(network, "predict", lambda *_: Prediction(maps=torch.ones(4, 8, 8), fov=None))
    with pytest.raises(InvalidInput, match="the same depth for the whole clip"):  # in either shot
        component.estimate(both, progress=silent)


def test_the_clip_stays_as_it_was(estimator, clip):
    video = clip(3)
    before = video.frames.clone()
    estimator().estimate(video, progress=silent)
    assert torch.equal(video.frames, before)


def test_the_model_is_loaded_once(estimator, clip, monkeypatch):
    from ex4d_depth_transformers import estimator as module

    loads, load = [], module.load_network
    monkeypatch.setattr(module, "load_network", lambda *a, **k: loads.append(1) or load(*a, **k))
    component = estimator()
    assert loads == []
    for _ in range(2):
        component.estimate(clip(1), progress=silent)
    assert loads == [1]


def test_progress_counts_frames(estimator, clip):
    told = []
    estimator(batch=2).estimate(clip(5), progress=lambda *step: told.append(step))
    assert told == [(0, 5), (2, 5), (4, 5), (5, 5)]


def test_it_stops_when_asked_and_can_be_used_again(estimator, clip):
    def stop(done, total):
        if done >= 2:
            raise Cancelled("stopped")

    component = estimator(batch=2)
    with pytest.raises(Cancelled):
        component.estimate(clip(5), progress=stop)
    again = component.estimate(clip(5), progress=silent).depth
    assert torch.equal(again, estimator(batch=2).estimate(clip(5), progress=silent).depth)


def test_a_clip_without_frames_is_refused(estimator, clip):
    with pytest.raises(InvalidInput, match="no frames"):
        estimator().estimate(clip(0), progress=silent)


@pytest.mark.parametrize("model_type", KINDS)
@pytest.mark.parametrize("steady", [True, False])
def test_a_result_that_is_no_number_is_refused_with_what_to_do(estimator, clip, model_type, steady):
    component = estimator(model_type, steady=steady)
    for parameter in component.network.model.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(InvalidInput, match=r"NaN or infinity in frame 0; try --set depth\.dtype"):
        component.estimate(clip(2), progress=silent)


def test_a_device_that_is_too_small_says_what_would_fit(estimator, clip, monkeypatch):
    def too_much(*_):
        raise torch.OutOfMemoryError("no room")

    component = estimator(batch=3)
    monkeypatch.setattr(type(component.network), "predict", too_much)
    with pytest.raises(
        InvalidInput,
        match=(
            r"cpu has too little memory for 3 frames of 84x56 with .*; try --set depth\.batch=1, "
            r"or --set depth\.max_side=42, or a smaller model, --set depth\.model=depth-anything-v2-small"
        ),
    ):
        component.estimate(clip(3), progress=silent)


def test_a_device_that_cannot_hold_the_model_says_which_would_fit(estimator, clip, monkeypatch):
    from ex4d_depth_transformers import estimator as module

    def too_much(*_, **__):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(module, "load_network", too_much)
    with pytest.raises(InvalidInput, match=r"too little memory for .*depth\.model=depth-anything-v2-small"):
        estimator().estimate(clip(1), progress=silent)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_come_close_to_thirty_two(estimator, clip, dtype):
    exact, rough = (estimator(dtype=name).estimate(clip(3), progress=silent).depth for name in ("float32", dtype))
    assert (NEAREST / rough - NEAREST / exact).abs().mean() < 0.05
