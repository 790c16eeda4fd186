"""Poses in depth files whose direction is not stated."""

import numpy as np
import pytest

from tests.depth_io import scene
from tests.depth_io.reader import npz, opened
from tests.depth_io.scene import COUNT, HEIGHT, LENS, WIDTH

C2W, W2C = scene.poses(), np.linalg.inv(scene.poses())
FAR80 = scene.filled(80).astype(np.float32)


def wall():
    """Depth of the plane z = 5 of the world, seen from the poses."""
    rays = np.einsum("tij,thwj->thwi", C2W[:, :3, :3], scene.camera_points(np.ones((COUNT, HEIGHT, WIDTH))))
    return (5 - C2W[:, 2, 3, None, None]) / rays[..., 2]


WALL = wall()


def test_a_file_per_frame_may_hold_its_lens_and_pose(tmp_path):
    for index in range(COUNT):
        np.savez(tmp_path / f"{index}.npz", depth=FAR80[index], intrinsics=LENS, cam_c2w=C2W[index])
    depth, _ = opened(tmp_path)
    assert np.allclose(depth.intrinsics[-1].matrix(), LENS)
    assert np.allclose(depth.cameras.world_to_camera.numpy(), scene.from_first(), atol=1e-5)


@pytest.mark.parametrize(("name", "poses"), [("poses", W2C), ("poses", C2W), ("extrinsics", C2W), ("pose", W2C)])
def test_the_direction_of_poses_is_that_in_which_depth_agrees(tmp_path, name, poses):
    depth, said = opened(npz(depth=WALL, K=LENS, **{name: poses})(tmp_path))
    assert np.allclose(depth.cameras.world_to_camera.numpy(), scene.from_first(), atol=1e-5)
    assert f"poses of {name} ({'camera-to-world' if poses is C2W else 'world-to-camera'})" in said


def test_poses_that_disagree_with_the_depth_are_named(tmp_path):
    depth, said = opened(npz(depth=WALL, K=LENS, cam_c2w=W2C)(tmp_path))
    assert depth.cameras is not None
    assert "has poses cam_c2w with which its depth disagrees; they may be world-to-camera" in said
    _, said = opened(npz(depth=WALL, intrinsics=LENS, kind="relative", world_to_camera=C2W)(tmp_path))
    assert "has poses world_to_camera with which its depth disagrees; they may be camera-to-world" in said
    _, said = opened(npz(depth=WALL, intrinsics=LENS, kind="relative", world_to_camera=W2C)(tmp_path))
    assert "disagrees" not in said


@pytest.mark.parametrize("name", ["poses", "R_t"])
def test_poses_of_an_unknown_direction_are_said_to_be_ignored(tmp_path, name):
    depth, said = opened(npz(depth=FAR80, K=LENS, **{name: C2W})(tmp_path))
    assert depth.cameras is None
    assert f"ignores {name}, whose meaning its name does not state" in said
