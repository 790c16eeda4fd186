"""Fills of the `inpaint` backbone against true views of synthetic scenes, and its edge cases."""

from fractions import Fraction

import attrs
import cv2
import numpy as np
import pytest
import torch

from ex4d_backbone_inpaint.backbone import InpaintBackbone
from ex4d_backbone_inpaint.clip_model import SPAN, ClipModel
from ex4d_backbone_inpaint.options import InpaintOptions
from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.errors import Cancelled, InvalidInput
from ex4d_core.geometry.paths import orbit_eye
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.pipeline.stages import generate_video, render_guidance
from ex4d_core.progress import silent
from ex4d_core.testing._paint import checks, plain
from ex4d_core.testing._solids import Ellipsoid, Interior
from ex4d_core.testing.scenes import SyntheticScene, room_scene
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Guidance, Intrinsics, Scene, Video

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SIZE = {"width": 64, "height": 48}


def inpaint(guidance, scene=None, *, seed=0, progress=silent, **options):
    backbone = InpaintBackbone(InpaintOptions(**options), device=CPU)
    return generate_video(guidance, scene, backbone, seed=seed, progress=progress).frames


def still_path(num_frames, **size):
    return CameraPath(
        world_to_camera=torch.eye(4).repeat(num_frames, 1, 1), intrinsics=Intrinsics.from_fov(**(size or SIZE))
    )


def orbit(scene, yaw):
    last = max(scene.video.num_frames - 1, 1)
    eyes = [orbit_eye(yaw * n / last, 0.0, 4.4) for n in range(scene.video.num_frames)]
    return path_of_eyes(eyes, center=(0, 0, 4.4), intrinsics=scene.depth.intrinsics_at(0))


def guide(scene, path):
    builder, renderer = WatertightMesh(WatertightOptions(), device=CPU), ZBufferRenderer(RasterOptions(), device=CPU)
    return render_guidance(scene, path, builder, renderer)


def punched(frames, mask, cameras=None):
    return Guidance(color=frames * mask[..., None], mask=mask, fps=24, cameras=cameras)


def still_scene(color, depth, lens):
    """A clip with a depth that states that its camera does not move."""
    return Scene(
        video=Video(frames=color, fps=Fraction(12)),
        depth=DepthVideo(depth=depth, kind=DepthKind.METRIC, intrinsics=lens),
    )


def background(scene, pose, lens):
    """The static scene as frame 0 has it, float32 [H, W, 3], in pixels of the lens."""
    view = ClipModel(scene, InpaintOptions()).view(0, pose, lens).background
    return cv2.resize(view, (lens.width, lens.height), interpolation=cv2.INTER_AREA)


def error(frames, truth, where):
    return float((frames[where].float() - truth[where].float()).abs().mean())


@pytest.fixture(scope="module")
def ball_before_wall():
    """A ball that crosses a chequered wall from left to right."""
    wall = Interior(
        center=(0, 0, 0), half=(9, 9, 6), paint=checks((0.2, 0.3, 0.7), (0.9, 0.8, 0.3), size=1.6, axes=(0, 1))
    )

    def objects(time):
        return (wall, Ellipsoid(center=(-1.5 + time, 0, 3.5), radii=(0.5,) * 3, paint=plain((0.9, 0.1, 0.1))))

    return SyntheticScene(objects=objects)


@pytest.fixture(scope="module")
def orbiting():
    """The room, its guidance along an orbit of 40 degrees, and the truth."""
    scene = room_scene().clip(num_frames=6, fps=3, **SIZE)
    path = orbit(scene, 40)
    return scene, guide(scene, path), room_scene().novel_views(path, fps=3).frames


def test_known_pixels_are_kept_exactly_and_nothing_stays_hidden(orbiting):
    scene, guidance, _ = orbiting
    frames = inpaint(guidance, scene)
    assert frames.shape == guidance.color.shape
    assert torch.equal(frames[guidance.mask], guidance.color[guidance.mask])
    assert (frames[~guidance.mask].sum(dim=-1) > 0).all()


def test_the_same_call_gives_the_same_video_whatever_the_seed(orbiting):
    scene, guidance, _ = orbiting
    before = guidance.color.clone()
    assert torch.equal(inpaint(guidance, scene, seed=1), inpaint(guidance, scene, seed=2))
    assert torch.equal(guidance.color, before)


@pytest.mark.parametrize("cores", [1, 3])
def test_the_video_does_not_depend_on_the_number_of_cores(orbiting, monkeypatch, cores):
    scene, guidance, _ = orbiting
    here = inpaint(guidance, scene)
    monkeypatch.setattr("ex4d_backbone_inpaint.backbone.available_cores", lambda: cores)
    assert torch.equal(inpaint(guidance, scene), here)


def test_along_an_orbit_the_fill_is_nearer_to_the_truth_than_black(orbiting):
    scene, guidance, truth = orbiting
    hidden = ~guidance.mask
    assert hidden.float().mean() > 0.15
    black, full = error(guidance.color, truth, hidden), error(inpaint(guidance, scene), truth, hidden)
    assert full < 0.4 * black


def test_a_surface_behind_a_moving_object_comes_from_frames_that_show_it(ball_before_wall):
    """With the camera to the side, the wall behind the ball is found, color for color."""
    scene = ball_before_wall.clip(num_frames=7, fps=2, **SIZE)
    eyes = [(0.8, 0.0, 0.0)] * 7
    path = path_of_eyes(eyes, center=(0, 0, 5), intrinsics=scene.depth.intrinsics_at(0))
    guidance, truth = guide(scene, path), ball_before_wall.novel_views(path, fps=2).frames
    is_wall = (truth[..., 0].int() - truth[..., 1]).abs() < 60  # the ball's far side was never seen
    shadow = ~guidance.mask & (guidance.mask.sum(dim=0) > 4) & is_wall
    assert shadow.sum() > 300
    around, full = (
        error(inpaint(guidance, scene, scene_frames=0), truth, shadow),
        error(inpaint(guidance, scene), truth, shadow),
    )
    assert full < 0.3 * around


def test_a_moving_object_leaves_no_ghost_at_its_places_in_other_frames(ball_before_wall):
    """The whole wall is hidden in one frame: the ball of the other times is not pasted there."""
    scene = ball_before_wall.clip(num_frames=7, fps=2, **SIZE)
    path = still_path(7)
    mask = torch.ones(7, 48, 64, dtype=torch.bool)
    ball_now = scene.depth.depth[3] < 5
    mask[3] = ball_now
    frames = inpaint(punched(scene.video.frames, mask, path), scene)
    red = (frames[3, ..., 0].int() - frames[3, ..., 2].int() > 90) & (frames[3, ..., 1] < 80)
    assert not (red & ~ball_now).any()
    assert error(frames[3], scene.video.frames[3], ~mask[3]) < 12


def test_a_source_camera_that_moves_shows_what_its_other_frames_saw():
    still = room_scene().frozen_at(0.0)
    lens = Intrinsics.from_fov(**SIZE)
    eyes = [(0.25 * n, 0.0, 0.0) for n in range(6)]
    scene = still.clip(cameras=path_of_eyes(eyes, center=(0, 0, 4.4), intrinsics=lens))
    path = path_of_eyes([(0.6, 0.0, 0.0)] * 6, center=(0, 0, 4.4), intrinsics=lens)
    guidance, truth = guide(scene, path), still.novel_views(path).frames
    hidden = ~guidance.mask
    around = error(inpaint(guidance, scene, scene_frames=0), truth, hidden)
    assert error(inpaint(guidance, scene), truth, hidden) < 0.75 * around


def test_a_still_clip_seen_from_a_still_camera_does_not_flicker():
    scene = room_scene().frozen_at(0.5).clip(num_frames=5, **SIZE)
    path = path_of_eyes([(1.5, 0.0, 0.5)] * 5, center=(0, 0, 4.4), intrinsics=scene.depth.intrinsics_at(0))
    guidance = guide(scene, path)
    frames = inpaint(guidance, scene)
    assert (~guidance.mask).float().mean() > 0.1
    assert (frames == frames[:1]).all()


def test_smoothing_over_time_makes_the_fill_of_a_moving_camera_steadier(orbiting):
    scene, guidance, _ = orbiting
    hidden = ~(guidance.mask[1:] | guidance.mask[:-1])
    raw, steady = (
        inpaint(guidance, scene, scene_frames=0, steadiness=steadiness).float().diff(dim=0).abs()[hidden].mean()
        for steadiness in (0, 3)
    )
    assert steady < 0.85 * raw


def test_without_the_scene_or_the_cameras_surroundings_fill_the_holes(orbiting):
    scene, guidance, truth = orbiting
    alone = inpaint(guidance, None)
    assert torch.equal(inpaint(attrs.evolve(guidance, cameras=None), scene), alone)
    assert error(alone, truth, ~guidance.mask) < 0.5 * error(guidance.color, truth, ~guidance.mask)


def test_everything_known_comes_back_unchanged():
    frames = torch.randint(0, 256, (3, 17, 23, 3), dtype=torch.uint8)
    assert torch.equal(inpaint(punched(frames, torch.ones(3, 17, 23, dtype=torch.bool))), frames)


def test_a_frame_of_which_nothing_is_known_takes_the_mean_of_the_rest_and_gray_if_there_is_none():
    frames = torch.full((2, 16, 16, 3), 200, dtype=torch.uint8)
    mask = torch.tensor([True, False])[:, None, None].expand(2, 16, 16).clone()
    assert (inpaint(punched(frames, mask)) == 200).all()
    assert (inpaint(punched(frames, torch.zeros_like(mask))) == 127).all()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 200), (33, 16)])
def test_any_size_and_a_single_frame_are_filled(height, width):
    frames = torch.full((1, height, width, 3), 90, dtype=torch.uint8)
    mask = torch.zeros(1, height, width, dtype=torch.bool)
    mask[:, :, :5] = True
    assert (inpaint(punched(frames, mask)) == 90).all()


def test_a_single_frame_with_its_scene_is_filled():
    scene = room_scene().clip(num_frames=1, **SIZE)
    path = path_of_eyes([(1.0, 0.0, 0.0)], center=(0, 0, 4.4), intrinsics=scene.depth.intrinsics_at(0))
    frames = inpaint(guide(scene, path), scene)
    assert (frames.sum(dim=-1) > 0).all()


def test_depth_with_holes_and_guidance_of_another_size_are_taken():
    scene = room_scene().clip(num_frames=3, **SIZE)
    depth = scene.depth.depth.clone()
    depth[:, 10:20, 10:20] = torch.nan
    scene = attrs.evolve(scene, depth=attrs.evolve(scene.depth, depth=depth))
    small = guide(scene, orbit(scene, 20))
    resized = attrs.evolve(small, color=small.color[:, ::2, ::2].clone(), mask=small.mask[:, ::2, ::2].clone())
    frames = inpaint(resized, scene)
    assert frames.shape == (3, 24, 32, 3)
    assert torch.equal(frames[resized.mask], resized.color[resized.mask])


@pytest.mark.parametrize("moves", [False, True])
def test_without_any_known_depth_the_clip_is_a_wall(moves):
    scene = room_scene().clip(num_frames=2, **SIZE)
    walk = path_of_eyes([(0.0, 0.0, 0.0), (0.1 * moves, 0.0, 0.0)], center=(0, 0, 5), intrinsics=scene.depth.intrinsics)
    unknown = torch.full_like(scene.depth.depth, torch.nan)
    scene = attrs.evolve(scene, depth=attrs.evolve(scene.depth, depth=unknown, cameras=walk))
    guidance = punched(scene.video.frames, torch.zeros(2, 48, 64, dtype=torch.bool), walk)
    assert error(inpaint(guidance, scene), scene.video.frames, ~guidance.mask) < 40


def test_guidance_and_scene_of_different_lengths_are_refused():
    scene = room_scene().clip(num_frames=2, width=16, height=16)
    mask = torch.ones(3, 16, 16, dtype=torch.bool)
    with pytest.raises(InvalidInput, match="guidance has 3 frames but the source video has 2"):
        inpaint(punched(torch.zeros(3, 16, 16, 3, dtype=torch.uint8), mask), scene)


def test_guidance_without_frames_is_refused():
    empty = torch.zeros(0, 16, 16, dtype=torch.bool)
    with pytest.raises(InvalidInput, match="no frames"):
        inpaint(punched(torch.zeros(0, 16, 16, 3, dtype=torch.uint8), empty))


def test_progress_is_reported_for_each_frame_and_may_cancel():
    told = []
    guidance = punched(torch.zeros(3, 16, 16, 3, dtype=torch.uint8), torch.zeros(3, 16, 16, dtype=torch.bool))
    inpaint(guidance, progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]

    def stop(done, total):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        inpaint(guidance, progress=stop)


def test_a_hole_beside_a_near_thing_continues_the_wall_behind_it():
    """A red post before a blue wall: what it hid is blue, up to the back of the post, which is as thick as wide."""
    lens = Intrinsics.from_fov(**SIZE)
    color, depth = torch.zeros(1, 48, 64, 3, dtype=torch.uint8), torch.full((1, 48, 64), 8.0)
    color[..., 2] = 200
    color[:, :, 28:36], depth[:, :, 28:36] = torch.tensor([200, 0, 0], dtype=torch.uint8), 2.0
    scene = still_scene(color, depth, lens)
    path = path_of_eyes([(0.8, 0.0, 0.0)], center=(0, 0, 8), intrinsics=lens)
    guidance = guide(scene, path)
    frames = inpaint(guidance, scene)[0]
    hidden = ~guidance.mask[0]
    hidden[:3] = hidden[-3:] = hidden[:, :3] = hidden[:, -3:] = False
    post = (guidance.mask[0] & (guidance.color[0, ..., 0] > 150)).any(dim=0).nonzero()
    hidden[:, : int(post.max()) + 6] = False  # its back
    assert hidden.sum() > 50
    assert (frames[hidden][:, 2] > 180).all()
    assert (frames[hidden][:, 0] < 30).all()


def test_a_ball_is_round_from_the_side(ball_before_wall):
    """Most hidden pixels that show the ball have its color, and none that are farther than a pixel from it."""
    scene = ball_before_wall.clip(num_frames=4, fps=4, width=128, height=96)
    eyes = [(0.45 * n, 0.0, 0.0) for n in range(4)]
    path = path_of_eyes(eyes, center=(0, 0, 3.5), intrinsics=scene.depth.intrinsics_at(0))
    guidance, truth = guide(scene, path), ball_before_wall.novel_views(path, fps=4).frames
    frames = inpaint(guidance, scene)
    filled, true = (each[..., 0].int() - each[..., 1:].int().amax(dim=-1) > 60 for each in (frames, truth))
    hidden = ~guidance.mask
    assert (hidden & true).sum() > 100
    assert (filled & true)[hidden].sum() > 0.6 * true[hidden].sum()
    beside = torch.nn.functional.max_pool2d(true.float(), 3, stride=1, padding=1) > 0
    assert (filled & ~beside)[hidden].sum() < 0.02 * true[hidden].sum()


def test_colors_mixed_with_a_near_thing_do_not_outline_it_on_the_wall_behind_it():
    """As above, with a pixel between post and wall that is purple, at the depth of the wall."""
    lens = Intrinsics.from_fov(**SIZE)
    color, depth = torch.zeros(1, 48, 64, 3, dtype=torch.uint8), torch.full((1, 48, 64), 8.0)
    color[..., 2] = 200
    color[:, :, 27:37, 0] = 100
    color[:, :, 28:36], depth[:, :, 28:36] = torch.tensor([200, 0, 0], dtype=torch.uint8), 2.0
    pose = torch.eye(4)
    pose[0, 3] = -1.5  # so that the post is to the left of the view
    view = background(still_scene(color, depth, lens), pose, lens)
    assert view[8:-8, 8:40, 0].max() < 20


def test_colors_beyond_the_model_depend_on_the_elevation_only():
    """From behind, where the model has nothing, the sky is above and the ground below."""
    lens = Intrinsics.from_fov(**SIZE)
    color = torch.full((1, 48, 64, 3), 40, dtype=torch.uint8)
    color[:, :24, :, 2] = 220
    depth = (20 / (torch.arange(48) - 23.5).clamp_min(0.5))[None, :, None].expand(1, 48, 64).clone()
    backward = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
    view = background(still_scene(color, depth, lens), backward, lens)
    assert view[4, :, 2].min() > view[-4, :, 2].max() + 80


def test_a_long_clip_with_a_moving_camera_gets_a_model_for_each_part():
    lens = Intrinsics.from_fov(width=16, height=12)
    frames = 4 * SPAN
    walk = path_of_eyes([(0.1 * n, 0.0, 0.0) for n in range(frames)], center=(0, 0, 900), intrinsics=lens)
    shade = (torch.arange(frames) * 255 // frames)[:, None, None, None]
    scene = Scene(
        video=Video(frames=shade.expand(frames, 12, 16, 3).to(torch.uint8), fps=Fraction(12)),
        depth=DepthVideo(
            depth=torch.full((frames, 12, 16), 50.0), kind=DepthKind.METRIC, intrinsics=lens, cameras=walk
        ),
    )
    model = ClipModel(scene, InpaintOptions())
    early, late = (float(model.view(n, walk.world_to_camera[n], lens).background.mean()) for n in (10, frames - 10))
    assert late > early + 80


def test_a_source_camera_that_moves_without_poses_lends_nothing_to_other_times():
    """A camera pans along a wall that gets brighter: the model shows the wall as it is in each frame."""
    noise = np.random.default_rng(0).integers(0, 120, (96, 164, 3)).astype(np.uint8)
    wall = cv2.GaussianBlur(noise, (0, 0), 1.5) + np.arange(164, dtype=np.uint8)[:, None] // 2
    color = torch.stack([torch.from_numpy(wall[:, 3 * n : 3 * n + 128]) for n in range(13)])
    lens = Intrinsics.from_fov(width=128, height=96)
    model = ClipModel(still_scene(color, torch.full((13, 96, 128), 8.0), lens), InpaintOptions())
    for frame in (0, 12):
        assert abs(model.view(frame, torch.eye(4), lens).background.mean() - color[frame].float().mean()) < 6


def test_a_bright_thing_at_the_edge_of_the_picture_does_not_continue_beyond_it_for_long():
    lens = Intrinsics.from_fov(**SIZE)
    color = torch.full((1, 48, 64, 3), 40, dtype=torch.uint8)
    color[:, 16:32, 52:] = torch.tensor([230, 200, 40], dtype=torch.uint8)
    scene = still_scene(color, torch.full((1, 48, 64), 8.0), lens)
    pose = torch.eye(4)
    pose[0, 3] = -2 * 8 * 64 / lens.fx / 2  # one picture to the right
    view = background(scene, pose, lens)
    assert abs(view[:, 48:] - 40).max() < 190 / 4  # of 190 levels at the edge


def test_what_a_wide_thing_hides_has_the_color_of_the_far_side():
    """A red house, wider than anything that counts as foreground, before a blue mountain."""
    lens = Intrinsics.from_fov(**SIZE)
    color, depth = torch.zeros(1, 48, 64, 3, dtype=torch.uint8), torch.full((1, 48, 64), 40.0)
    color[..., 2] = 200
    color[:, :, :40], depth[:, :, :40] = torch.tensor([200, 0, 0], dtype=torch.uint8), 8.0
    scene = still_scene(color, depth, lens)
    path = path_of_eyes([(2.0, 0.0, 0.0)], center=(2, 0, 40), intrinsics=lens)
    guidance = guide(scene, path)
    hidden = ~guidance.mask[0, 4:-4]
    hidden[:, :3] = hidden[:, 44:] = False  # the rest is outside of the picture
    assert hidden.sum() > 100
    filled = inpaint(guidance, scene)[0, 4:-4][hidden].int()
    assert (filled[:, 2] > filled[:, 0] + 100).float().mean() > 0.9


def test_a_floor_is_background_and_continues_beyond_the_picture():
    """A gray floor before a far green wall, with a red post on it that the edge of the picture cuts."""
    lens = Intrinsics.from_fov(**SIZE)
    floor = (lens.fy * 1.5 / (torch.arange(48) - 23.5).clamp_min(0.5)).clamp(max=40)
    depth = floor[None, :, None].expand(1, 48, 64).clone()
    color = torch.zeros(1, 48, 64, 3, dtype=torch.uint8)
    color[..., 1] = 200
    color[depth < 40] = torch.tensor([90, 90, 90], dtype=torch.uint8)
    color[:, 10:44, 58:], depth[:, 10:44, 58:] = torch.tensor([200, 0, 0], dtype=torch.uint8), 4.0
    pose = torch.eye(4)
    pose[0, 3] = -3.0  # to the right: the right half of the view is outside of the picture
    view = background(still_scene(color, depth, lens), pose, lens)
    assert np.abs(view[40:, 27:] - 90).max() < 3
    assert view[:, 27:, 0].max() < 95
