"""Warnings about camera paths: each comes where it should, and only there."""

import math

import pytest
import torch

from ex4d_core.geometry.projective import look_at
from ex4d_core.preview.path_checks import (
    check_coverage,
    check_geometry,
    check_jumps,
    geometry_distances,
    position_steps,
    turn_steps,
)
from ex4d_core.types import CameraPath, DepthVideo, Intrinsics, Scene, Video

LENS = Intrinsics.from_fov(width=64, height=48)


def path_of(eyes, center=(0.0, 0.0, 4.0)):
    eyes = torch.tensor(eyes, dtype=torch.float64)
    return CameraPath(world_to_camera=look_at(eyes, torch.tensor(center, dtype=torch.float64)), intrinsics=LENS)


def scene_of(depth):
    frames = torch.zeros(*depth.shape, 3, dtype=torch.uint8)
    return Scene(video=Video(frames=frames, fps=12), depth=DepthVideo(depth=depth, kind="relative", intrinsics=LENS))


@pytest.fixture
def wall_with_box():
    """A wall 4 units away with a box before its middle, 2 units away: 4 frames."""
    depth = torch.full((4, 48, 64), 4.0)
    depth[:, 16:32, 24:40] = 2.0
    return scene_of(depth)


def warned(path, scene):
    return check_geometry(geometry_distances(path, scene.depth), subject=2.0)


def test_a_path_before_the_scene_has_the_distance_to_what_is_nearest(wall_with_box):
    path = path_of([(0, 0, 0), (0, 0, 1.0)])
    distances = geometry_distances(path, wall_with_box.depth)
    assert distances.tolist() == pytest.approx([2.0, 1.0], abs=0.01)
    assert warned(path, wall_with_box) == []


def test_a_path_through_the_box_goes_through_the_scene_where_it_does(wall_with_box):
    (warning,) = warned(path_of([(0, 0, 0), (0, 0, 1.5), (0, 0, 2.5), (0, 0, 3.0)], center=(0, 0, 9)), wall_with_box)
    assert (warning.kind, warning.frames) == ("geometry", (1,))
    assert "intersects the scene at frame 1;" in warning.sentence


def test_an_eye_in_a_surface_is_in_the_scene(wall_with_box):
    (warning,) = warned(path_of([(0, 0, 0), (0, 0, 1.99)], center=(0, 0, 9)), wall_with_box)
    assert warning.frames == (1,)


def test_a_path_behind_the_box_that_goes_around_it_does_not(wall_with_box):
    around = [(0, 0, 0), (1.6, 0, 2.0), (1.6, 0, 3.0), (0, 0, 3.0)]
    assert warned(path_of(around, center=(0, 0, 9)), wall_with_box) == []


def test_what_is_not_known_is_no_obstacle(wall_with_box):
    unknown = scene_of(torch.full((3, 48, 64), math.nan))
    path = path_of([(0, 0, 0), (0, 0, 3.0)], center=(0, 0, 9))
    assert geometry_distances(path, unknown.depth).isinf().all()
    assert warned(path, unknown) == []


def test_a_source_camera_that_moves_takes_the_scene_along():
    depth = torch.full((2, 48, 64), 4.0)
    cameras = path_of([(0, 0, 0), (0, 0, -3.0)])
    scene = scene_of(depth)
    moved = Scene(video=scene.video, depth=DepthVideo(depth=depth, kind="relative", intrinsics=LENS, cameras=cameras))
    still = path_of([(0, 0, 0), (0, 0, 0)])
    assert geometry_distances(still, moved.depth).tolist() == pytest.approx([4.0, 1.0], abs=0.01)


def test_frames_that_are_mostly_holes_are_named_with_the_worst():
    (warning,) = check_coverage(torch.tensor([1.0, 0.6, 0.3, 0.4]), frames=(0, 4, 8, 12))
    assert (warning.kind, warning.frames) == ("holes", (8, 12))
    assert "2 of 4 tested frames are mostly holes, from frame 8; only 30% of frame 8 is visible" in warning.sentence


def test_frames_that_are_mostly_known_are_fine():
    assert check_coverage(torch.tensor([1.0, 0.5])) == []


def test_steps_and_turns_are_those_of_the_camera():
    path = path_of([(0, 0, 0), (0, 3, 0)], center=(0, 3, 3))
    assert position_steps(path).tolist() == pytest.approx([3.0])
    assert turn_steps(path).tolist() == pytest.approx([45.0], abs=0.01)


def orbit(degrees):
    angles = [math.radians(angle) for angle in degrees]
    return path_of([(4 * math.sin(angle), 0, 4 - 4 * math.cos(angle)) for angle in angles])


@pytest.mark.parametrize(
    "degrees",
    [
        [0, 2, 4, 6, 8, 10],
        [0, 0.2, 1, 4, 9, 14, 17, 17.8, 18],  # eased
        [0, 0, 0, 0, 0, 0, 5, 10, 15, 20],  # stands, then goes
        [0] * 6,
        [0, 30],
        [0],
    ],
    ids=["even", "eased", "stands first", "stands", "two poses", "one pose"],
)
def test_a_path_without_jumps_has_none(degrees):
    assert check_jumps(orbit(degrees), subject=4.0) == []


@pytest.mark.parametrize(
    ("degrees", "frames"),
    [([0, 1, 2, 3, 33, 34, 35], (4,)), ([0, 1, 2, 3, 40, 4, 5, 6, 7], (4, 5)), ([0, 0, 0, 0, 20, 20, 20, 20], (4,))],
    ids=["a jump", "there and back", "between standing"],
)
def test_a_jump_is_named_by_the_frame_after_it(degrees, frames):
    (warning,) = check_jumps(orbit(degrees), subject=4.0)
    assert (warning.kind, warning.frames) == ("jump", frames)
    assert "position and direction" in warning.sentence


def test_a_turn_on_the_spot_is_a_jump_in_direction():
    poses = path_of([(0, 0, 0)] * 6).world_to_camera.clone()
    poses[3:] = look_at(torch.zeros(3, 3), torch.tensor([3.0, 0, 4.0]))
    (warning,) = check_jumps(CameraPath(world_to_camera=poses, intrinsics=LENS), subject=4.0)
    assert "jumps in direction at frame 3" in warning.sentence
