"""The `sketch` depth estimator: depth without weights, for any clip."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from ex4d_core.builtin.depth_sketch import SketchDepth
from ex4d_core.builtin.depth_sketch_options import SketchOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.pipeline.session import Session
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import silent
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import CameraPath, DepthKind, Intrinsics, Scene, Video

CPU = torch.device("cpu")


def inverse_depth(frames, **options) -> np.ndarray:
    video = Video(frames=torch.as_tensor(np.ascontiguousarray(frames)), fps=Fraction(24))
    found = SketchDepth(SketchOptions(**options), device=CPU).estimate(video, progress=silent)
    assert found.depth.shape == video.frames.shape[:3]
    assert torch.isfinite(found.depth).all()
    return 1 / found.depth.numpy()


def correlations(inverse: np.ndarray, depth: torch.Tensor) -> tuple[float, float]:
    """Return the mean correlation per frame with true inverse depth, and that of a vertical ramp."""
    ramp = np.broadcast_to(np.arange(inverse.shape[1])[:, None], inverse.shape[1:])
    truth = 1 / depth.numpy()

    def mean(maps: np.ndarray) -> float:
        return float(np.mean([np.corrcoef(maps[n].ravel(), truth[n].ravel())[0, 1] for n in range(len(truth))]))

    return mean(inverse), mean(np.broadcast_to(ramp, inverse.shape))


@pytest.fixture(scope="module")
def walking() -> Scene:
    """A camera at rest films a walker."""
    return room_scene().clip(num_frames=10, width=160, height=160, fps=12)


@pytest.fixture(scope="module")
def passing() -> Scene:
    """A camera moves past furniture that does not move."""
    poses = torch.eye(4).repeat(8, 1, 1)
    poses[:, 0, 3] = torch.linspace(0.2, -0.2, 8)
    cameras = CameraPath(world_to_camera=poses, intrinsics=Intrinsics.from_fov(width=160, height=120))
    return room_scene().frozen_at(0.0).clip(cameras=cameras)


def test_what_walks_is_nearer_than_what_is_behind_it(walking):
    truth = walking.depth.depth
    inverse = inverse_depth(walking.video.frames)
    for frame in range(1, len(truth) - 1):
        walker = (truth[frame] < 4.6) & ((truth[frame] - truth).abs().amax(dim=0) > 0.5)
        walker[:60] = False  # the balloon
        around = torch.nn.functional.max_pool2d(walker[None].float(), 9, 1, 4)[0].bool() & ~walker & (truth[frame] > 5)
        assert np.median(inverse[frame][walker]) > np.median(inverse[frame][around]) * 1.1


def test_parallax_corrects_the_vertical_position(passing):
    ours, ramp = correlations(inverse_depth(passing.video.frames), passing.depth.depth)
    assert ours > ramp + 0.2


def test_a_static_photo_has_the_depth_of_a_plane(walking):
    frames = walking.video.frames[:1]
    depth = 1 / inverse_depth(frames)[0]
    rows = np.median(1 / depth, axis=1)
    assert np.all(np.diff(rows) > -1e-3)
    assert depth.max() > 2 * depth.min()


def test_smooth_blue_above_is_far():
    frame = np.full((64, 96, 3), (90, 80, 60), np.uint8)
    frame[:24] = (150, 190, 235)
    frame += np.random.default_rng(0).integers(0, 8, frame.shape, dtype=np.uint8)
    inverse = inverse_depth(frame[None], far=50.0)[0]
    assert inverse[:16].max() < 0.5 * inverse[32:].min()


@pytest.mark.parametrize(
    ("frames", "height", "width"), [(1, 16, 16), (3, 16, 16), (3, 40, 20), (2, 2, 70), (2, 70, 2), (2, 1, 1)]
)
def test_any_clip_has_depth(frames, height, width):
    colors = np.random.default_rng(1).integers(0, 255, (frames, height, width, 3), dtype=np.uint8)
    inverse_depth(colors)


@pytest.mark.parametrize("level", [0, 3, 255])
def test_frames_of_one_color_have_the_depth_of_a_plane(level):
    inverse = inverse_depth(np.full((4, 48, 64, 3), level, np.uint8))
    assert np.abs(np.diff(inverse, axis=0)).max() < 1e-5
    assert np.diff(inverse[0, -20:].mean(axis=1)).min() > 0


def test_a_cut_does_not_mix_shots(walking):
    shot = walking.video.frames[:3].numpy()
    dark = np.zeros_like(shot)
    joined = inverse_depth(np.concatenate([shot, dark]))
    assert np.abs(joined[3:] - inverse_depth(dark)).max() < 0.01


def test_the_same_clip_has_the_same_depth(walking):
    first, second = (inverse_depth(walking.video.frames[:4]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_near_and_far_bound_the_depth(walking):
    depth = 1 / inverse_depth(walking.video.frames[:2], near=2.0, far=5.0)
    assert depth.min() >= 2.0 - 1e-5
    assert depth.max() <= 5.0 + 1e-5


def test_far_must_be_more_than_near():
    with pytest.raises(ValueError, match="far must be more than near"):
        SketchOptions(near=3.0, far=3.0)


def test_a_clip_without_frames_is_refused():
    with pytest.raises(InvalidInput, match="the clip has no frames"):
        inverse_depth(np.zeros((0, 16, 16, 3), np.uint8))


@pytest.mark.parametrize("named", ["auto", "sketch"])
def test_it_announces_itself_once_with_the_command_for_an_estimate(named, monkeypatch):
    pytest.importorskip("ex4d_depth_transformers")
    monkeypatch.setattr(Session, "lacks_weights", lambda self, offer: bool(offer.spec.weights))
    session, notes = Session(depth=named, device="cpu", download="no"), []
    monkeypatch.setattr(session.reporter, "note", notes.append)
    clip = np.zeros((1, 16, 16, 3), np.uint8)
    _ = session.open_clip(clip).estimated_depth
    (note,) = [text for text in notes if "sketch" in text or "ex4d fetch" in text]
    assert note.startswith("depth: sketch (a sketch from position, parallax, motion and color, not an estimate; ")
    assert "99 MB: type ex4d fetch transformers)" in note


def test_every_other_estimator_is_selected_before_it():
    offers = Registry().offers("depth")
    (ours,) = [offer.spec.auto for offer in offers if offer.name == "sketch"]
    assert all(offer.spec.auto > ours for offer in offers if offer.name != "sketch" and offer.spec.auto is not None)


def test_only_the_order_of_near_and_far_is_claimed(walking):
    video = Video(frames=walking.video.frames[:1], fps=Fraction(24))
    found = SketchDepth(SketchOptions(), device=CPU).estimate(video, progress=silent)
    assert found.kind is DepthKind.AFFINE_INVERSE
