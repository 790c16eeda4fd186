"""Doubtful poses move towards those between trusted frames; all others are left exactly as they are."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ex4d_depth_anything3.poses import frame_confidence, settled

BAD = [7, 8, 20]


def walk(frames=40):
    """Return world-to-camera poses of a smooth walk, and the same with a jump in the bad frames."""
    time = np.linspace(0, 1, frames)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, :3] = Rotation.from_euler("y", 200 * time[:, None], degrees=True).as_matrix()
    eyes = np.stack([np.sin(3 * time), 0 * time, 2 * time], axis=1)
    poses[:, :3, 3] = -np.einsum("nij,nj->ni", poses[:, :3, :3], eyes)
    jumping = poses.copy()
    jumping[BAD, :3, :3] = Rotation.from_euler("x", [10], degrees=True).as_matrix() @ jumping[BAD, :3, :3]
    jumping[BAD, :3, 3] += 0.3
    return poses, jumping


def doubt(frames=40, value=0.0):
    confidence = np.random.default_rng(0).uniform(0.8, 1.2, frames)
    confidence[BAD] = value
    return confidence


def test_doubtful_poses_are_between_their_neighbors():
    poses, jumping = walk()
    found = settled(jumping, doubt(), least=0.5)
    np.testing.assert_allclose(found, poses, atol=0.01)
    others = np.delete(np.arange(len(poses)), BAD)
    np.testing.assert_array_equal(found[others], jumping[others])
    np.testing.assert_allclose(found[:, :3, :3] @ found[:, :3, :3].mT, np.tile(np.eye(3), (40, 1, 1)), atol=1e-9)


def test_a_pose_keeps_the_share_of_its_confidence():
    poses, jumping = walk()
    confidence = np.ones(40)
    confidence[BAD] = 0.25
    found = settled(jumping, confidence, least=0.5)
    off, whole = (np.linalg.norm(each[BAD, :3, 3] - poses[BAD, :3, 3], axis=1) for each in (found, jumping))
    np.testing.assert_allclose(off / whole, 0.5, atol=0.05)


@pytest.mark.parametrize("least", [0, 0.5])
def test_shaking_poses_are_unchanged_where_they_are_trusted(least):
    _, shaking = walk()
    confidence = np.random.default_rng(1).uniform(0.8, 1.2, 40)
    np.testing.assert_array_equal(settled(shaking, confidence, least=least), shaking)
    np.testing.assert_array_equal(settled(shaking, doubt(), least=0), shaking)


def test_poses_without_trusted_neighbors_are_unchanged():
    poses = walk()[0][:3]
    np.testing.assert_array_equal(settled(poses, np.array([0.0, 1, 1]), least=0.5), poses)
    np.testing.assert_array_equal(settled(poses, np.array([1.0, 1, 0]), least=0.5), poses)
    np.testing.assert_array_equal(settled(poses[:1], np.array([1.0]), least=0.5), poses[:1])


def test_confidence_is_that_of_what_counts():
    weight = np.zeros((2, 2, 2), np.float32)
    weight[0, 0] = [1, 3]
    np.testing.assert_array_equal(frame_confidence(weight), [2, 0])
