"""Camera errors of paths whose error is known."""

import attrs
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ex4d_core.cameras.files import CameraFile
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Intrinsics
from ex4d_evaluation import camera_errors
from ex4d_evaluation.cameras import umeyama


def path_of(camera_to_world, fov=60.0):
    lens = Intrinsics.from_fov(fov, width=64, height=48)
    return CameraFile(world_to_camera=np.linalg.inv(camera_to_world), intrinsics=(lens,))


@pytest.fixture
def poses():
    """Camera-to-world matrices of a camera that turns and moves, float64 [5, 4, 4]."""
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, 0.3, (5, 3))).as_matrix()
    poses[:, :3, 3] = rng.normal(size=(5, 3))
    return poses


def test_equal_paths_have_no_error(poses):
    found = camera_errors(path_of(poses), path_of(poses))
    assert set(found) == {"rot_sum", "trans_rel", "cam_mc", "rot_mean", "trans_umeyama", "fov"}
    assert max(found.values()) < 1e-7


def test_scale_and_world_do_not_matter(poses):
    moved = poses.copy()
    moved[:, :3, 3] *= 7
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = Rotation.from_euler("xyz", [1, 2, 3]).as_matrix(), [4, 5, 6]
    assert max(camera_errors(path_of(world @ moved), path_of(poses)).values()) < 1e-6


def test_a_rotated_path_has_the_error_of_its_rotation(poses):
    turned = poses.copy()
    turned[2:, :3, :3] = Rotation.from_rotvec([0, 0.1, 0]).as_matrix() @ turned[2:, :3, :3]
    found = camera_errors(path_of(turned), path_of(poses))
    assert found["rot_sum"] == pytest.approx(3 * 0.1)  # three of five frames
    assert found["rot_mean"] == pytest.approx(np.degrees(0.1) * 6 / 10)  # pairs of a turned and another frame: 2 * 3


def test_rot_sum_is_the_arc_cosine_of_the_trace(poses):
    turned = poses.copy()
    turned[1:, :3, :3] = turned[1:, :3, :3] @ Rotation.from_rotvec([0.2, 0.4, -0.3]).as_matrix()
    a, b = (np.linalg.inv(each[0]) @ each for each in (turned, poses))
    cosines = [(np.trace(x[:3, :3] @ y[:3, :3].T) - 1) / 2 for x, y in zip(a, b, strict=True)]
    assert camera_errors(path_of(turned), path_of(poses))["rot_sum"] == pytest.approx(
        np.arccos(np.clip(cosines, -1, 1)).sum()
    )


def test_cam_mc_adds_rotation_and_translation(poses):
    still = np.tile(np.eye(4), (2, 1, 1))
    still[1, 0, 3] = 2
    aside = still.copy()
    aside[1, :3, 3] = 0, 5, 0  # normalized: 90 degrees away
    found = camera_errors(path_of(aside), path_of(still))
    assert found["trans_rel"] == found["cam_mc"] == pytest.approx(np.sqrt(2))


def test_the_field_of_view_is_compared_in_degrees(poses):
    assert camera_errors(path_of(poses, 50), path_of(poses, 60))["fov"] == pytest.approx(10)
    without = attrs.evolve(path_of(poses), intrinsics=None)
    assert "fov" not in camera_errors(without, path_of(poses))


def test_a_camera_that_does_not_move_has_no_error_of_translation(poses):
    still = poses.copy()
    still[:, :3, 3] = 0
    assert set(camera_errors(path_of(poses), path_of(still))) == {"rot_sum", "rot_mean", "fov"}


def test_rounding_is_not_motion(poses):
    still = np.repeat(poses[1:2], 5, axis=0)  # away from the origin, as the validation cameras of DyCheck
    rounded = path_of(still.astype(np.float32).astype(np.float64))
    for pair in ((path_of(poses), rounded), (rounded, path_of(poses))):
        assert set(camera_errors(*pair)) == {"rot_sum", "rot_mean", "fov"}


def test_umeyama_finds_the_similarity_without_reflection():
    rng = np.random.default_rng(2)
    points = rng.normal(size=(6, 3))
    turn = Rotation.random(random_state=1).as_matrix()
    np.testing.assert_allclose(umeyama(points, 3 * points @ turn.T + [1, 2, 3]), 3 * points @ turn.T + [1, 2, 3])
    assert np.abs(umeyama(points, points * [1, 1, -1]) - points * [1, 1, -1]).max() > 0.1


def test_paths_of_other_length_are_refused(poses):
    with pytest.raises(InvalidInput, match="has 4 poses but the camera path has 5; estimate a pose for each frame"):
        camera_errors(path_of(poses[:4]), path_of(poses))
