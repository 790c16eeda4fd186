"""The subject of a scene: the middle of the foreground, or what look_at names."""

import attrs
import pytest
import torch

from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.subject import subject_point
from ex4d_core.types import CameraPath, Origin
from tests.helpers.spoken_paths import LENS, SCENE, said, scene


def test_the_subject_is_the_middle_of_the_foreground():
    x, y, z = subject_point(SCENE, "auto")
    assert z == 2
    assert x * LENS.fx / z + LENS.cx == pytest.approx(19, abs=0.6)
    assert y * LENS.fy / z + LENS.cy == pytest.approx(13, abs=0.6)


def test_the_subject_is_steady_where_depth_flickers_and_one_frame_is_bad():
    flicker = SCENE.depth.depth * (1 + 0.05 * torch.tensor([1, -1, 1, -1, 1, -1, 1, -1, 1.0]))[:, None, None]
    flicker[3] = 0.1
    x, y, z = subject_point(scene(depth=flicker), "auto")
    assert (x, y, z) == pytest.approx(subject_point(SCENE, "auto"), rel=0.06)


def test_the_subject_is_in_the_world_where_the_source_camera_moves():
    poses = torch.eye(4).repeat(9, 1, 1)
    poses[:, 0, 3] = 1.0  # every camera but the first is at x = -1
    poses[0, 0, 3] = 0.0
    moving = scene(cameras=CameraPath(world_to_camera=poses, intrinsics=LENS))
    assert subject_point(moving, "auto")[0] == pytest.approx(subject_point(SCENE, "auto")[0] - 1)


@pytest.mark.parametrize(("look_at", "distance"), [("2.5", 2.5), ("nearest", 2.15), ("19,13", 2.0), ("1,1", 6.0)])
def test_what_to_look_at_can_be_said(look_at, distance):
    x, y, z = subject_point(SCENE, look_at)
    assert z == pytest.approx(distance)
    if "," in look_at:
        column, row = map(float, look_at.split(","))
        assert (x / z * LENS.fx + LENS.cx, y / z * LENS.fy + LENS.cy) == pytest.approx((column + 0.5, row + 0.5))
    else:
        assert (x, y) == (0, 0)


def test_a_pixel_is_one_of_the_clip_as_it_was_filmed():
    origin = Origin(
        frame_indices=tuple(range(9)), source_frames=9, source_width=128, source_height=48, left=32, top=0, width=64,
        height=48,
    )  # fmt: skip
    x, _, z = subject_point(scene(origin=origin), "70,26")
    assert x / z * LENS.fx + LENS.cx == pytest.approx(19.5)
    with pytest.raises(InvalidInput, match=r"10,10 is outside .*, x is from 32 to 96 and y from 0 to 48"):
        subject_point(scene(origin=origin), "10,10")


def test_a_pixel_without_depth_is_refused():
    unknown = attrs.evolve(SCENE.depth, valid=torch.zeros(9, 24, 32, dtype=torch.bool))
    with pytest.raises(InvalidInput, match="no valid depth at the look_at pixel 3,3"):
        subject_point(attrs.evolve(SCENE, depth=unknown), "3,3")


def test_an_orbit_keeps_a_subject_beside_the_axis_where_it_is():
    path = said("orbit:yaw=70,pitch=-20")
    subject = torch.tensor([*subject_point(SCENE, "auto").tolist(), 1.0])
    torch.testing.assert_close(path.world_to_camera @ subject, subject.expand(9, 4), atol=1e-5, rtol=0)
