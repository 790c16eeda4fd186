"""Pieces of a clip in worlds of their own become one: exactly if they are exact, and with little drift if not."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ex4d_depth_anything3.pieces import Piece, Similarity, join, similarity_of, starts

ROOM = np.array([4.0, 2.5, 6.0])
"""Half of the sides of the room in which the camera moves."""

TANGENT = np.array([0.6, 0.4])


def walk(frames):
    """Return world-to-camera poses of a walk through the room, [frames, 4, 4]."""
    time = np.linspace(0, 1, frames)
    turns = np.stack([10 * np.sin(9 * time), 200 * time, 5 * np.cos(7 * time)], axis=1)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, :3] = Rotation.from_euler("xyz", turns, degrees=True).as_matrix()
    eyes = np.stack([2 * np.sin(5 * time), 0.3 * np.sin(40 * time), 3 * np.cos(4 * time)], axis=1)
    poses[:, :3, 3] = -np.einsum("nij,nj->ni", poses[:, :3, :3], eyes)
    return poses


def depth_of(poses, height=14, width=21):
    """Return the depth of the walls of the room, [n, height, width]."""
    rays = np.ones((height, width, 3))
    rays[..., 0] = (2 * (np.arange(width) + 0.5) / width - 1) * TANGENT[0]
    rays[..., 1] = ((2 * (np.arange(height) + 0.5) / height - 1) * TANGENT[1])[:, None]
    directions = rays @ poses[:, None, :3, :3]
    eyes = -np.einsum("nji,nj->ni", poses[:, :3, :3], poses[:, :3, 3])[:, None, None]
    return np.max([(np.sign(directions) * ROOM - eyes) / directions], axis=0).min(axis=-1)


def estimates(poses, *, chunk, overlap, noise=0.0, seed=0):
    """Yield the truth of each chunk in a world and unit of its own, with relative noise of depth and poses."""
    rng = np.random.default_rng(seed)
    for start in starts(len(poses), chunk=chunk, overlap=overlap):
        part = poses[start : start + chunk]
        turns = Rotation.from_rotvec(noise * 0.1 * rng.standard_normal((len(part), 3))).as_matrix()
        noisy = part.copy()
        noisy[:, :3, :3] = turns @ part[:, :3, :3]
        noisy[:, :3, 3] += noise * rng.standard_normal((len(part), 3))
        depth = depth_of(part) * np.exp(noise * rng.standard_normal((len(part), 1, 1)))
        depth *= np.exp(noise * rng.standard_normal(depth.shape))
        piece = Piece(
            start=start,
            depth=depth.astype(np.float32),
            weight=np.ones(depth.shape, np.float32),
            world_to_camera=noisy,
            tangent=np.tile(TANGENT, (len(part), 1)),
            meters=2.0,
        )
        if start > 0:
            turn = Rotation.from_rotvec(rng.normal(size=3)).as_matrix()
            piece = piece.moved(Similarity(scale=float(np.exp(rng.normal())), rotation=turn, shift=rng.normal(size=3)))
        yield piece


def joined(pieces):
    found = list(join(pieces))
    assert [piece.start for piece in found[1:]] == [piece.stop for piece in found[:-1]]
    depth, poses = (np.concatenate([getattr(piece, name) for piece in found]) for name in ("depth", "world_to_camera"))
    return depth, poses, found


@pytest.mark.parametrize(("frames", "chunk", "overlap"), [(5, 8, 2), (40, 16, 4), (41, 10, 9), (30, 4, 1)])
def test_exact_pieces_give_the_exact_clip(frames, chunk, overlap):
    poses = walk(frames)
    depth, found, pieces = joined(estimates(poses, chunk=chunk, overlap=overlap))
    np.testing.assert_allclose(depth, depth_of(poses), rtol=1e-3)
    np.testing.assert_allclose(found, poses, atol=1e-3)
    np.testing.assert_allclose([piece.meters for piece in pieces], 2.0, rtol=1e-3)


def test_drift_over_500_frames_is_small():
    poses = walk(500)
    depth, found, _ = joined(estimates(poses, chunk=64, overlap=16, noise=0.02))
    apart = np.linalg.norm(np.linalg.inv(found)[:, :3, 3] - np.linalg.inv(poses)[:, :3, 3], axis=1)
    assert apart[-50:].mean() < 0.15  # the room is 8 x 5 x 12 wide, noise of one pose 0.02
    scale = np.median(depth[-50:] / depth_of(poses[-50:]))
    assert scale == pytest.approx(1, abs=0.04)


def test_points_that_disagree_do_not_count():
    rng = np.random.default_rng(1)
    source = rng.normal(size=(1000, 3))
    turn = Rotation.from_rotvec(rng.normal(size=3)).as_matrix()
    target = 3 * source @ turn.T + [1, 2, 3]
    target[:300] += 20 * rng.normal(size=(300, 3))
    found = similarity_of(source, target, np.ones(1000))
    assert found.scale == pytest.approx(3, rel=1e-3)
    np.testing.assert_allclose(found.rotation, turn, atol=1e-3)
    np.testing.assert_allclose(found.shift, [1, 2, 3], atol=1e-2)


def test_pieces_cover_the_clip_and_share_frames():
    for frames in range(1, 200, 7):
        first = starts(frames, chunk=20, overlap=6)
        assert first[0] == 0
        assert max(frames - 20, 0) == first[-1]
        assert all(after - before <= 14 for before, after in pairwise(first))
