"""Where points are, and where cameras see them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.projective import clip_from_camera, look_at, transform_points, unproject_depth
from ex4d_core.types import CameraPath, Intrinsics

CAMERA = Intrinsics(fx=40, fy=50, cx=2.5, cy=1, width=4, height=3)
coordinate = st.floats(-50, 50, width=32)


def test_a_pixel_is_seen_along_the_ray_through_its_center():
    points = unproject_depth(torch.full((3, 4), 2.0), CAMERA)
    assert points.dtype == torch.float32
    torch.testing.assert_close(points[2, 1], torch.tensor([(1.5 - 2.5) / 40 * 2, (2.5 - 1) / 50 * 2, 2.0]))


def test_the_corner_of_a_pixel_can_be_asked_for():
    points = unproject_depth(torch.full((3, 4), 2.0), CAMERA, pixel_center=0)
    torch.testing.assert_close(points[1, 3], torch.tensor([(3 - 2.5) / 40 * 2, 0.0, 2.0]))


def test_depth_of_another_size_than_the_camera_is_refused():
    with pytest.raises(InvalidInput, match=r"intrinsics are for 4x3 but the depth map is 3x4; scale one"):
        unproject_depth(torch.ones(4, 3), CAMERA)


def test_a_camera_at_the_origin_that_looks_ahead_has_the_identity_as_its_pose():
    pose = look_at(torch.zeros(1, 3), torch.tensor([0.0, 0.0, 3.0]))
    assert torch.equal(pose, torch.eye(4)[None])


@given(st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=1, max_size=4), st.floats(0, 2 * math.pi))
def test_what_is_looked_at_is_in_the_middle_and_down_stays_down(eyes, turn):
    eye = torch.tensor(eyes)
    center = eye + torch.tensor([3 * math.sin(turn), 0.5, 3 * math.cos(turn)])
    path = CameraPath(world_to_camera=look_at(eye, center), intrinsics=CAMERA)
    below = torch.tensor([0.0, 1.0, 0.0])
    distance = math.hypot(3, 0.5)
    for pose, aim in zip(path.world_to_camera, center, strict=True):
        seen = transform_points(pose, torch.stack([aim, aim + below]))
        torch.testing.assert_close(seen[0], torch.tensor([0.0, 0.0, distance]), atol=2e-4, rtol=0)
        assert seen[1, 1] > 0
        assert abs(seen[1, 0]) < 2e-4


def test_a_camera_at_what_it_looks_at_is_refused():
    with pytest.raises(InvalidInput, match="at the point that it looks at"):
        look_at(torch.zeros(2, 3), torch.tensor([[0.0, 0, 1], [0, 0, 0]]))


@pytest.mark.parametrize("up", [-1.0, 1.0])
def test_a_camera_that_looks_straight_up_or_down_is_refused(up):
    with pytest.raises(InvalidInput, match="looks straight up or down"):
        look_at(torch.zeros(1, 3), torch.tensor([0.0, up, 0.0]))


def test_points_at_large_distances_keep_their_digits():
    pose = look_at(torch.tensor([[1.0, 0.2, 0.3]]), torch.tensor([0.0, 0.0, 2.0]))[0]
    points = torch.randn(100, 3, generator=torch.Generator().manual_seed(0)) * 1e4
    exact = points.double() @ pose[:3, :3].double().T + pose[:3, 3].double()
    assert ((transform_points(pose, points) - exact).norm(dim=1) <= 1e-7 * exact.norm(dim=1)).all()


def clip(point, camera=CAMERA, near=0.5, far=8.0):
    x, y, z, w = clip_from_camera(camera, near=near, far=far) @ torch.tensor([*point, 1.0])
    assert w == pytest.approx(point[2])
    return float(x / w), float(y / w), float(z / w)


def test_clip_space_ends_at_the_planes():
    assert clip((0.0, 0.0, 0.5))[2] == pytest.approx(-1)
    assert clip((0.0, 0.0, 8.0))[2] == pytest.approx(1)


@given(st.floats(0, 4), st.floats(0, 3), st.floats(0.6, 7))
def test_clip_space_spans_the_image_with_its_first_row_at_the_top(u, v, z):
    x, y, _ = clip(((u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z, z))
    assert x == pytest.approx(2 * u / CAMERA.width - 1, abs=1e-5)
    assert y == pytest.approx(1 - 2 * v / CAMERA.height, abs=1e-5)


@pytest.mark.parametrize(("near", "far"), [(0, 1), (-1, 1), (2, 2), (3, 1)])
def test_planes_in_the_wrong_order_are_refused(near, far):
    with pytest.raises(InvalidInput, match="give 0 < near < far"):
        clip_from_camera(CAMERA, near=near, far=far)
