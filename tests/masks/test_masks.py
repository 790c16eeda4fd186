"""Facts about simulated masks: what is hidden, that it moves with the scene, and that it is like a real rendering's."""

from __future__ import annotations

import sys
import types
from fractions import Fraction
from functools import cache

import attrs
import cv2
import numpy as np
import pytest
import torch

from benchmarks.core.mask_comparison import differences, pooled
from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.errors import ComponentNotFound, InputNotFound, InvalidConfig, InvalidInput
from ex4d_core.geometry.paths import arc_eye, normalized_times
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.masks import FlowTracker, MaskOptions, Tracks, kind_of, measure, simulate_masks
from ex4d_core.masks.cotracker import CoTracker
from ex4d_core.masks.erosion import erode, sample_erosion_sizes
from ex4d_core.masks.tracking import staying
from ex4d_core.pictures.contact_sheet import contact_sheet, frames_on_sheet
from ex4d_core.pipeline.stages import WrongComponent, render_guidance
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import CameraPath, DepthVideo, Intrinsics, Scene, Video

CPU = torch.device("cpu")
SIDE = 96
KINDS = ("rendering", "tracking")


@cache
def room(frames=7, side=96) -> Scene:
    return room_scene().clip(num_frames=frames, width=side, height=side)


def texture(height, width, seed=0):
    """Return smooth noise, uint8 [H, W, 3], in which flow finds its way."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4 + 2, width // 4 + 2, 3))
    return (
        cv2.resize(noise.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        .clip(0, 255)
        .astype(np.uint8)
    )


@cache
def panning(frames=9, step=2) -> Scene:
    """A flat picture 4 units away that goes by: `step` pixels to the left in each frame."""
    wide = texture(SIDE, SIDE + step * frames)
    video = torch.from_numpy(np.stack([wide[:, step * t : step * t + SIDE] for t in range(frames)]))
    return flat(video)


@cache
def crossing(frames=9, step=3) -> Scene:
    """A still wall 4 units away, and a box of 32 x 32 pixels 2 units away that goes to the right."""
    video = np.repeat(texture(SIDE, SIDE)[None], frames, axis=0)
    depth = torch.full((frames, SIDE, SIDE), 4.0)
    box = 255 - texture(32, 32, seed=1)
    for t in range(frames):
        where = np.s_[t, 32:64, 16 + step * t : 48 + step * t]
        video[where] = box
        depth[where] = 2.0
    return flat(torch.from_numpy(video), depth)


def flat(frames, depth=None) -> Scene:
    depth = torch.full(frames.shape[:3], 4.0) if depth is None else depth
    lens = Intrinsics.from_fov(width=frames.shape[2], height=frames.shape[1])
    return Scene(
        video=Video(frames=frames, fps=Fraction(24)), depth=DepthVideo(depth=depth, kind="metric", intrinsics=lens)
    )


def regions_alone(**more) -> MaskOptions:
    """Options for a tracking mask that grows to its last frame and is not eroded."""
    return MaskOptions(kind="tracking", erosion=None, return_probability=0, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_shown_are_the_original_frames_and_black(kind):
    scene = room()
    made = simulate_masks(scene, options=MaskOptions(kind=kind), seed=1)
    assert torch.equal(made.color, scene.video.frames * made.mask[..., None])
    assert 0.05 < made.mask[1:].float().mean() < 0.95
    assert made.fps == scene.video.fps


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_frame_0_is_known_in_full(kind, seed):
    assert simulate_masks(panning(), options=MaskOptions(kind=kind), seed=seed).mask[0].all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_the_mask_and_nothing_else_does(kind):
    options = MaskOptions(kind=kind)
    first = simulate_masks(crossing(), options=options, seed=3).mask
    torch.manual_seed(99)
    assert torch.equal(first, simulate_masks(crossing(), options=options, seed=3, tracker=FlowTracker()).mask)
    assert not torch.equal(first, simulate_masks(crossing(), options=options, seed=4).mask)


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_camera_that_moves_is_gone_along_with(kind):
    scene, poses = crossing(), torch.eye(4).repeat(9, 1, 1)
    poses[:, 0, 3] = torch.linspace(0, 50, 9)
    cameras = CameraPath(world_to_camera=poses, intrinsics=scene.depth.intrinsics)
    moving = attrs.evolve(scene, depth=attrs.evolve(scene.depth, cameras=cameras))
    masks = [simulate_masks(each, options=MaskOptions(kind=kind), seed=2).mask for each in (scene, moving)]
    assert torch.equal(*masks)


def test_the_input_is_not_changed():
    scene = crossing()
    frames, depth = scene.video.frames.clone(), scene.depth.depth.clone()
    for kind in KINDS:
        simulate_masks(scene, options=MaskOptions(kind=kind), seed=0)
    assert torch.equal(scene.video.frames, frames)
    assert torch.equal(scene.depth.depth, depth)


def test_mixed_gives_both_kinds_and_the_same_masks_as_each():
    options = MaskOptions(kind="mixed")
    kinds = [kind_of(options, seed) for seed in range(200)]
    assert 70 < kinds.count("rendering") < 130
    assert {kind_of(MaskOptions(kind="mixed", rendering_share=1), seed) for seed in range(20)} == {"rendering"}
    for seed in (kinds.index("rendering"), kinds.index("tracking")):
        alone = simulate_masks(crossing(), options=MaskOptions(kind=kinds[seed]), seed=seed)
        assert torch.equal(simulate_masks(crossing(), options=options, seed=seed).mask, alone.mask)


def test_what_is_hidden_goes_with_a_picture_that_goes_by():
    """From frame 6 to 7 everything goes 2 pixels to the left; only growth and the borders may differ."""
    scene = panning()
    hidden = ~simulate_masks(
        scene.video, options=regions_alone(anchors=1, blob_area_without_depth=(0.5, 0.5)), seed=2
    ).mask
    before, after = hidden[6, 8:-8, 10:-8], hidden[7, 8:-8, 8:-10]
    assert before.any()
    assert (before & ~after).float().sum() / before.sum() < 0.03
    there = hidden[7, 8:-8, 10:-8]
    assert (before & ~there).sum() > 4 * (before & ~after).sum()  # it is not simply in the same place


def test_what_is_hidden_of_a_thing_stays_on_it():
    """Points of the box go 3 pixels to the right in each frame, those of the wall stay; covered ones are lost."""
    scene, start = crossing(), 4
    rows, columns = torch.meshgrid(torch.arange(2, SIDE, 4), torch.arange(2, SIDE, 4), indexing="ij")
    points = torch.stack([columns, rows], dim=-1).reshape(-1, 2) + 0.5
    tracks = staying(FlowTracker().track(scene.video, points, start), scene.depth, start)
    at = points.long()
    on_box = scene.depth.depth[start, at[:, 1], at[:, 0]] == 2
    for frame in (0, 8):
        seen = tracks.visible[frame]
        moved = tracks.positions[frame] - points
        inner = on_box & seen
        assert inner.sum() > 0.5 * on_box.sum()
        assert (moved[inner, 0] - 3 * (frame - start)).abs().median() < 2
        assert moved[~on_box & seen].norm(dim=-1).median() < 0.25
        spot = tracks.positions[frame].long().clamp(0, SIDE - 1)
        depth_there = scene.depth.depth[frame, spot[:, 1], spot[:, 0]]
        assert ((depth_there == 2) == on_box)[seen].float().mean() > 0.97


def test_a_region_has_no_gaps_where_what_it_is_on_comes_nearer():
    class Nearing:
        """Follows points away from the middle, 3.5 times as far in the last frame as in the first."""

        def track(self, video, points, start):
            grown = 1 + torch.linspace(0, 2.5, video.num_frames)[:, None, None]
            positions = SIDE / 2 + (points - SIDE / 2) * grown / grown[start]
            return Tracks(positions=positions, visible=torch.ones(positions.shape[:2], dtype=torch.bool))

    video = flat(panning().video.frames[:1].repeat(9, 1, 1, 1)).video
    options = regions_alone(anchors=1, blob_area_without_depth=(1.0, 1.0))
    hidden = ~simulate_masks(video, options=options, tracker=Nearing(), seed=1).mask
    assert hidden[-1, 20:-20, 20:-20].all()


def test_a_point_whose_depth_jumps_is_lost_from_there_on():
    depth = crossing().depth
    still = Tracks(positions=torch.full((9, 1, 2), 46.5), visible=torch.ones(9, 1, dtype=torch.bool))
    # The box is over the pixel in column 46 from frame 0 on, and leaves it after frame 10 only; column 60 it reaches.
    assert staying(still, depth, 0).visible.all()
    later = Tracks(positions=torch.full((9, 1, 2), 60.5), visible=still.visible)
    later.positions[..., 1] = 40.5
    reached = next(t for t in range(9) if depth.depth[t, 40, 60] == 2)
    assert staying(later, depth, 0).visible[:, 0].tolist() == [t < reached for t in range(9)]
    assert staying(later, depth, 8).visible[:, 0].tolist() == [t >= reached for t in range(9)]


def test_a_still_clip_has_regions_that_stay_and_only_grow():
    frames = panning().video.frames[:1].repeat(7, 1, 1, 1)
    hidden = ~simulate_masks(flat(frames).video, options=regions_alone(), seed=5).mask
    assert not (hidden[:-1] & ~hidden[1:]).any()
    assert hidden[-1].sum() > hidden[1].sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_one_frame_is_known_in_full(kind):
    scene = flat(panning().video.frames[:1])
    assert simulate_masks(scene, options=MaskOptions(kind=kind), seed=0).mask.all()


@pytest.mark.parametrize("size", [(16, 16), (16, 200), (33, 47)])
@pytest.mark.parametrize("kind", KINDS)
def test_any_size_has_masks(kind, size):
    frames = torch.from_numpy(np.stack([texture(*size, seed=t) for t in range(3)]))
    made = simulate_masks(flat(frames), options=MaskOptions(kind=kind), seed=0)
    assert made.mask.shape == (3, *size)


def test_a_clip_without_depth_has_tracking_masks_only():
    video = panning().video
    options = MaskOptions(kind="tracking", blob_area_without_depth=(0.4, 0.4), return_probability=0, erosion=None)
    mask = simulate_masks(video, options=options, seed=0).mask
    assert (1 - mask[-1].float().mean()).item() == pytest.approx(0.4, abs=0.1)
    with pytest.raises(InvalidInput, match="requires depth; pass a Scene, or MaskOptions"):
        simulate_masks(video, options=MaskOptions(kind="rendering"))


@pytest.mark.parametrize("kind", KINDS)
def test_depth_that_knows_nothing_is_refused(kind):
    frames = panning().video.frames
    scene = flat(frames, torch.full(frames.shape[:3], torch.nan))
    with pytest.raises(InvalidInput, match="no pixel of the first frame has a valid depth"):
        simulate_masks(scene, options=MaskOptions(kind=kind))


def test_a_tracker_that_answers_with_another_size_is_named():
    class Short:
        def track(self, video, points, start):
            shape = (video.num_frames - 1, len(points))
            return Tracks(positions=torch.zeros(*shape, 2), visible=torch.zeros(shape, dtype=torch.bool))

    with pytest.raises(WrongComponent, match="Short returned positions of"):
        simulate_masks(panning(), options=MaskOptions(kind="tracking"), tracker=Short())


def test_nothing_is_hidden_where_a_tracker_loses_everything():
    class Blind:
        def track(self, video, points, start):
            shape = (video.num_frames, len(points))
            return Tracks(positions=torch.zeros(*shape, 2), visible=torch.zeros(shape, dtype=torch.bool))

    assert simulate_masks(panning(), options=MaskOptions(kind="tracking"), tracker=Blind()).mask.all()


def test_what_is_known_shrinks_once_by_what_the_options_say():
    whole = simulate_masks(crossing(), options=MaskOptions(kind="rendering", erosion=None), seed=1).mask
    shown = simulate_masks(crossing(), options=MaskOptions(kind="rendering", erosion=(2, 8)), seed=1).mask
    assert torch.equal(shown[1:], erode(whole, sample_erosion_sizes(len(whole), (2, 8), seed=1))[1:])
    assert shown.sum() < whole.sum()


@pytest.mark.parametrize(
    "wrong",
    [{"angles": (60, 30)}, {"angles": (0, 200)}, {"pitch": (0, 90)}, {"blob_area": (-0.1, 0.5)}, {"erosion": (0, 3)}],
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidConfig, match="must be two ascending numbers between"):
        MaskOptions(**wrong)


def real_masks(scene: Scene, angle: float) -> list[torch.Tensor]:
    radius = subject_distance(scene.depth)
    masks = []
    for end in (angle, -angle):
        eyes = [arc_eye(share * end, radius) for share in normalized_times(scene.video.num_frames)]
        path = path_of_eyes(eyes, center=(0.0, 0.0, radius), intrinsics=scene.depth.intrinsics_at(0))
        builder, renderer = (
            WatertightMesh(WatertightOptions(), device=CPU),
            ZBufferRenderer(RasterOptions(), device=CPU),
        )
        masks.append(render_guidance(scene, path, builder, renderer).mask)
    return masks


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_simulated_masks_are_like_those_of_real_renderings(kind):
    """Over 30, 60 and 90 degrees of the synthetic room, at a small size; `benchmarks/masks.py` measures real clips."""
    angles = (30, 60, 90)
    scene = room()
    real = pooled(
        measure(erode(mask, sample_erosion_sizes(len(mask), (1, 2), seed=0)))
        for angle in angles
        for mask in real_masks(scene, angle)
    )
    made = pooled(
        measure(
            simulate_masks(
                scene,
                options=MaskOptions(
                    kind=kind, angles=(angle, angle), return_probability=0, erosion=(1, 2), point_spacing=2
                ),
                seed=seed,
            ).mask
        )
        for angle in angles
        for seed in range(3)
    )
    off = differences(made, real)
    assert off["known"] < 0.15
    assert off["known_last"] < 0.2
    assert off["sizes"] < 0.25
    assert off["flicker"] < 2.5
    assert off["holes"] < 3


def test_a_sheet_of_the_frames_on_it_is_the_sheet_of_all():
    scene = panning()
    rows = {"clip": scene.video.frames, "known": simulate_masks(scene, options=MaskOptions(kind="tracking")).mask}
    picks = frames_on_sheet(scene.video.num_frames)
    assert len(picks) < scene.video.num_frames
    assert torch.equal(contact_sheet(rows), contact_sheet({name: frames[picks] for name, frames in rows.items()}))


@pytest.fixture
def predictor(monkeypatch):
    """CoTracker's predictor as its README documents it, where every point goes 2 pixels to the right a frame."""
    calls = []

    class CoTrackerPredictor(torch.nn.Module):
        def __init__(self, checkpoint, offline, v2, window_len):
            super().__init__()
            assert (offline, v2) == (True, False)

        def forward(self, video, queries, backward_tracking):
            calls.append((tuple(video.shape), len(queries[0])))
            assert backward_tracking
            time = torch.arange(video.shape[1])[None, :, None] - queries[:, None, :, 0]
            found = queries[:, None, :, 1:] + torch.stack([2 * time, 0 * time], dim=-1)
            return found, found[..., 0] < video.shape[-1] - 1

    module = types.ModuleType("cotracker.predictor")
    module.CoTrackerPredictor = CoTrackerPredictor
    monkeypatch.setitem(sys.modules, "cotracker", types.ModuleType("cotracker"))
    monkeypatch.setitem(sys.modules, "cotracker.predictor", module)
    return calls


def test_cotracker_is_given_pixel_centers_and_points_in_parts(predictor, tmp_path):
    (tmp_path / "scaled_offline.pth").touch()
    tracker = CoTracker(tmp_path / "scaled_offline.pth", device=CPU, points_at_once=2)
    points = torch.tensor([[10.5, 20.5], [90.5, 3.5], [0.5, 0.5]])
    tracks = tracker.track(panning().video, points, 2)
    assert predictor == [((1, 9, 3, SIDE, SIDE), 2), ((1, 9, 3, SIDE, SIDE), 1)]
    assert torch.equal(tracks.positions[2], points)
    assert torch.equal(tracks.positions[0], points - torch.tensor([4.0, 0.0]))
    assert tracks.visible[:, 1].tolist() == [2 * (t - 2) + 90 < SIDE - 1 for t in range(9)]


def test_without_cotracker_the_error_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cotracker", None)
    with pytest.raises(
        ComponentNotFound, match=r"run: pip install git\+https://github.com/facebookresearch/co-tracker"
    ):
        CoTracker(tmp_path / "scaled_offline.pth", device=CPU)


def test_a_missing_cotracker_checkpoint_is_named(predictor, tmp_path):
    with pytest.raises(InputNotFound, match=r"run: hf download facebook/cotracker3 scaled_offline.pth"):
        CoTracker(tmp_path / "scaled_offline.pth", device=CPU)


def test_cotracker_is_used_where_its_weights_are_named(predictor, tmp_path):
    (tmp_path / "weights.pth").touch()
    options = MaskOptions(kind="tracking", cotracker=str(tmp_path / "weights.pth"))
    made = simulate_masks(room(), options=options, seed=1)
    assert predictor
    assert not torch.equal(made.mask, simulate_masks(room(), options=MaskOptions(kind="tracking"), seed=1).mask)
    missing = MaskOptions(kind="tracking", cotracker="none.pth")
    with pytest.raises(InputNotFound, match=r"CoTracker checkpoint none.pth does not exist"):
        simulate_masks(room(), options=missing)
