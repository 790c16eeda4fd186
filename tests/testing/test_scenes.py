"""The synthetic scenes are a truth that others may be measured by."""

import math

import pytest
import torch

from ex4d_core.geometry.projective import look_at, transform_points, unproject_depth
from ex4d_core.testing._paint import plain
from ex4d_core.testing._solids import Box, Capsule, Ellipsoid, Interior, Solid
from ex4d_core.testing.scenes import SyntheticScene, room_scene
from ex4d_core.types import CameraPath, Intrinsics

K = Intrinsics.from_focal(60.0, width=64, height=48)
GREY = plain((0.5, 0.5, 0.5))


def depth_of(*solids: Solid, pose=None):
    scene = SyntheticScene(objects=lambda time: solids)
    return scene.view(0.0, torch.eye(4) if pose is None else pose, K).depth


def slopes():
    """Return x / z and y / z of the rays through the middles of the pixels."""
    return (torch.arange(64) + 0.5 - K.cx) / K.fx, ((torch.arange(48) + 0.5 - K.cy) / K.fy)[:, None]


def test_a_wall_is_at_its_distance_along_z_at_every_pixel():
    depth = depth_of(Interior(center=(0, 0, 0), half=(9, 9, 5), paint=GREY))
    torch.testing.assert_close(depth, torch.full((48, 64), 5.0))


def test_a_floor_below_the_camera_has_the_depth_of_its_row():
    depth = depth_of(Interior(center=(0, 0, 0), half=(99, 1.5, 99), paint=GREY))
    down = slopes()[1].expand(48, 64)
    torch.testing.assert_close(depth[down > 0.05], 1.5 / down[down > 0.05])


def test_a_sphere_has_the_depth_of_the_formula_inside_its_outline_and_nothing_around():
    depth = depth_of(Ellipsoid(center=(0, 0, 4), radii=(1, 1, 1), paint=GREY))
    x, y = slopes()
    length2 = (x**2 + y**2 + 1).double()
    rest = 16 - 15 * length2
    expected = torch.where(rest >= 0, (4 - rest.clamp_min(0).sqrt()) / length2, torch.inf).float()
    torch.testing.assert_close(depth, expected)
    assert torch.isfinite(depth).sum() > 700


def test_box_and_capsule_begin_at_their_front():
    box = depth_of(Box(center=(0, 0, 5), half=(1, 1, 0.5), paint=GREY))
    capsule = depth_of(Capsule.between((0, -1, 5), (0, 1, 5), radius=0.5, paint=GREY))
    torch.testing.assert_close(box[20:28, 28:36], torch.full((8, 8), 4.5))
    assert capsule.amin() == pytest.approx(4.5, abs=3e-3)
    assert torch.isfinite(capsule).sum() == pytest.approx(60**2 * (2 * 1.0 + math.pi * 0.25) / 25, rel=0.06)


def test_nearer_things_hide_farther_ones_whatever_their_order():
    near, far = (Ellipsoid(center=(0, 0, z), radii=(1, 1, 1), paint=GREY) for z in (3, 6))
    assert torch.equal(depth_of(near, far), depth_of(far, near))
    assert depth_of(near, far)[24, 32] == pytest.approx(2, abs=1e-3)


@pytest.mark.slow
def test_a_point_of_the_source_depth_is_what_another_camera_sees_there_unless_something_hides_it():
    scene, size = room_scene(), Intrinsics.from_fov(width=48, height=48)
    source = scene.view(0.5, torch.eye(4), size)
    pose = look_at(torch.tensor([[1.2, -0.3, 0.4]]), torch.tensor([0.0, 0.0, 4.4]))[0]
    points = transform_points(pose, unproject_depth(source.depth, size).reshape(-1, 3))[::17]
    colors = source.color.reshape(-1, 3)[::17].float()
    views = [scene.view(0.5, pose, one_pixel_towards(point)) for point in points]
    behind = points[:, 2] - torch.stack([view.depth[0, 0] for view in views])
    seen = behind < 1e-4
    assert behind.amin() > -1e-4  # nothing that the source saw is in front of what is there
    assert 0.7 < seen.float().mean() < 0.95
    difference = (colors - torch.stack([view.color[0, 0] for view in views]).float()).abs().mean(dim=-1)[seen]
    assert difference.median() < 5


def one_pixel_towards(point):
    """Return a camera of one pixel whose middle is where a point in the camera's frame is seen."""
    x, y, z = point.tolist()
    return Intrinsics(fx=60, fy=60, cx=0.5 - 60 * x / z, cy=0.5 - 60 * y / z, width=1, height=1)


def test_the_source_clip_is_the_novel_view_from_the_source_camera():
    scene = room_scene()
    clip = scene.clip(num_frames=3, width=40, height=24, fps=8)
    path = CameraPath(world_to_camera=torch.eye(4).repeat(3, 1, 1), intrinsics=clip.depth.intrinsics)
    assert torch.equal(scene.novel_views(path, fps=8).frames, clip.video.frames)
    assert clip.depth.cameras is None


def test_a_clip_is_the_same_each_time_and_another_seed_is_another_clip():
    first, again, other = (
        scene.clip(num_frames=2, width=32, height=32) for scene in (room_scene(), room_scene(), room_scene(seed=1))
    )
    assert torch.equal(first.video.frames, again.video.frames)
    assert torch.equal(first.depth.depth, again.depth.depth)
    assert not torch.equal(first.video.frames, other.video.frames)


def test_the_room_fills_the_picture_and_something_moves():
    clip = room_scene().clip(num_frames=2, width=64, height=64, fps=2)
    depth = clip.depth.depth
    assert torch.isfinite(depth).all()
    assert 2.5 < depth.amin() < depth.amax() < 10
    moved = ((depth[1] - depth[0]).abs() > 0.1).float().mean()
    assert 0.02 < moved < 0.3


def test_a_frozen_scene_stands_still():
    clip = room_scene().frozen_at(0.7).clip(num_frames=2, width=32, height=32, fps=1)
    assert torch.equal(clip.video.frames[0], clip.video.frames[1])


def test_a_source_camera_may_move_and_its_poses_come_with_the_depth():
    poses = look_at(torch.tensor([[0.0, 0, 0], [0.5, 0, 0]]), torch.tensor([0.0, 0, 4]))
    cameras = CameraPath(world_to_camera=poses, intrinsics=Intrinsics.from_fov(width=32, height=24))
    clip = room_scene().frozen_at(0.0).clip(cameras=cameras)
    assert clip.video.frames.shape == (2, 24, 32, 3)
    assert clip.depth.cameras is cameras
    assert not torch.equal(clip.video.frames[0], clip.video.frames[1])
