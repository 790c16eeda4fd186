"""Find the direction of poses, world-to-camera or camera-to-world, from the depth beside them."""

from __future__ import annotations

import numpy as np

from ex4d_core.arrays import Arrays
from ex4d_core.depth_io.frames import DepthFrames
from ex4d_core.depth_io.tools import Direction

_SAMPLES = 4096
"""Pixels that are compared."""

_MOST_ERROR = 0.05
"""Largest relative difference of depth for a direction to agree."""

_CLEARLY = 0.5
"""Largest error of a direction, in parts of that of the other one, for a decision."""

_FEWEST = 100


def by_world_points(frames: DepthFrames, arrays: Arrays, poses: np.ndarray) -> Direction | None:
    """Return the direction in which the poses turn the `world_points` of an archive into its depth."""
    if "world_points" not in arrays:
        return None
    shape, _ = arrays.head("world_points")
    if shape[:3] != (frames.count, frames.size[1], frames.size[0]) or shape[-1] != 3:
        return None
    last = frames.count - 1
    points = arrays["world_points"][last].reshape(-1, 3).astype(np.float64)
    depth = next(frames.read([last])).reshape(-1).astype(np.float64)
    step = max(1, len(depth) // _SAMPLES)
    error = {}
    for how, pose in (("w2c", poses[last]), ("c2w", np.linalg.inv(poses[last]))):
        with np.errstate(all="ignore"):
            error[how] = np.nanmedian(np.abs((points @ pose[2, :3] + pose[2, 3] - depth)[::step]))
    return "c2w" if error["c2w"] < error["w2c"] else "w2c"


def by_depth(frames: DepthFrames, poses: np.ndarray) -> Direction | None:
    """Return the direction in which the depth of two frames agrees, or None if it does not decide.

    The points of the first frame are moved to the frame whose pose differs most, and their depth is compared with that
    of the frame.
    """
    if frames.count < 2 or frames.intrinsics is None or frames.is_inverse:
        return None
    relative = poses @ np.linalg.inv(poses[0])
    other = int(np.abs(relative - np.eye(4)).reshape(len(poses), -1).max(axis=1).argmax())
    if other == 0:
        return None
    near, far = (np.asarray(values, np.float64) for values in frames.read([0, other]))
    lenses = frames.intrinsics[[0, other]] if len(frames.intrinsics) > 1 else frames.intrinsics[[0, 0]]
    moves: dict[Direction, np.ndarray] = {
        "w2c": poses[other] @ np.linalg.inv(poses[0]),
        "c2w": np.linalg.inv(poses[other]) @ poses[0],
    }
    error = {how: _disagreement(near, far, move, lenses) for how, move in moves.items()}
    best, worst = sorted(error, key=lambda how: error[how])
    return best if error[best] < min(_MOST_ERROR, _CLEARLY * error[worst]) else None


def _disagreement(near: np.ndarray, far: np.ndarray, move: np.ndarray, lenses: np.ndarray) -> float:
    """Return the median relative difference between moved depth and the depth of the other frame, 1 if unknown."""
    height, width = near.shape
    index = np.arange(0, near.size, max(1, near.size // _SAMPLES))
    rows, columns = np.divmod(index, width)
    depth = near[rows, columns]
    with np.errstate(all="ignore"):
        pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(index))])
        points = move[:3, :3] @ (np.linalg.inv(lenses[0]) @ pixels * depth) + move[:3, 3:]
        x, y, _ = lenses[1] @ points / points[2]
        inside = (depth > 0) & (points[2] > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        inside &= np.isfinite(depth)
        found = far[y[inside].astype(int), x[inside].astype(int)]
        errors = np.abs(points[2][inside] / found - 1)[np.isfinite(found) & (found > 0)]
    return float(np.median(errors)) if len(errors) >= _FEWEST else 1.0
