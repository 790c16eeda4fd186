"""Interpolate poses of low confidence, and no others.

A hand-held camera shakes, so smooth poses are wrong poses: the target camera would shake instead. But a frame that the
model cannot locate, such as a blurred one, has a low confidence, and its pose jumps. Only such poses change.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation, Slerp

from ex4d_depth_anything3.pieces import Array, Maps, centers


def frame_confidence(weight: Maps) -> Array:
    """Return the mean confidence of each frame, [n], over pixels with confidence [n, h, w] above 0."""
    seen = np.maximum((weight > 0).sum(axis=(1, 2)), 1)
    mean: Array = weight.sum(axis=(1, 2), dtype=np.float64) / seen
    return mean


def settled(world_to_camera: Array, confidence: Array, *, least: float) -> Array:
    """Return poses with the doubtful ones moved towards the poses between their trusted neighbors.

    A pose of confidence c keeps the share c / (least * median) of its place and moves by the rest; trusted ones, whose
    share is 1 or more, are unchanged, and so are poses before the first and after the last of them.

    Args:
        world_to_camera: [T, 4, 4].
        confidence: [T], 0 or more.
        least: fraction of the median confidence below which a pose is doubtful; 0 trusts all.
    """
    limit = least * float(np.median(confidence))
    trusted = np.flatnonzero(confidence >= limit)
    doubtful = np.flatnonzero(confidence < limit)
    if len(trusted) < 2:
        return world_to_camera
    doubtful = doubtful[(doubtful > trusted[0]) & (doubtful < trusted[-1])]
    if not len(doubtful):
        return world_to_camera
    share = confidence[doubtful] / limit
    turns = Rotation.from_matrix(world_to_camera[:, :3, :3])
    between = Slerp(trusted, turns[trusted])(doubtful)
    turn = (Rotation.from_rotvec(share[:, None] * (turns[doubtful] * between.inv()).as_rotvec()) * between).as_matrix()
    eyes = centers(world_to_camera)
    middle = PchipInterpolator(trusted, eyes[trusted])(doubtful)
    eye = middle + share[:, None] * (eyes[doubtful] - middle)
    poses = world_to_camera.copy()
    poses[doubtful, :3, :3] = turn
    poses[doubtful, :3, 3] = -np.einsum("nij,nj->ni", turn, eye)
    return poses
