"""Interpolate between camera poses: piecewise linear, or smoothly through keyframes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ex4d_core.geometry.rigid import Pose

if TYPE_CHECKING:  # slow imports, which few paths use
    from scipy.interpolate import CubicHermiteSpline
    from scipy.spatial.transform import Rotation


def interpolate_linear(poses: Sequence[Pose], times: Sequence[float]) -> Callable[[float], Pose]:
    """Return a path with straight lines and constant angular velocity (slerp) between poses.

    Args:
        poses: at least one.
        times: normalized time of each, increasing.
    """
    if len(poses) == 1:
        return lambda t: poses[0]
    at, values = np.asarray(times), _positions_and_zooms(poses)
    from scipy.spatial.transform import Slerp

    slerp = Slerp(at, _rotations(poses))

    def pose(t: float) -> Pose:
        t = np.clip(t, at[0], at[-1])
        *position, log_zoom = (np.interp(t, at, column) for column in values.T)
        return Pose(slerp(t).as_matrix(), position, float(np.exp(log_zoom)))

    return pose


def interpolate_smooth(poses: Sequence[Pose], times: Sequence[float]) -> Callable[[float], Pose]:
    """Return a path through keyframes with continuous velocity.

    Positions and log zoom follow cubic Hermite splines, rotations Shoemake's squad (SIGGRAPH 1987 course notes). With
    two keyframes, the path is a straight line.

    Args:
        poses: at least one.
        times: normalized time of each, increasing.
    """
    if len(poses) == 1:
        return lambda t: poses[0]
    at = np.asarray(times)
    spline, squad = _spline(at, _positions_and_zooms(poses)), _squad(at, _rotations(poses))

    def pose(t: float) -> Pose:
        t = np.clip(t, at[0], at[-1])
        *position, log_zoom = spline(t)
        return Pose(squad(t).as_matrix(), position, float(np.exp(log_zoom)))

    return pose


def smooth_curve(times: Sequence[float], values: Sequence[float]) -> Callable[[float], float]:
    """Return a curve through values at increasing times, with continuous slope; constant before and after them."""
    if len(values) == 1:
        return lambda t: values[0]
    spline = _spline(np.asarray(times), np.asarray(values))
    return lambda t: float(spline(np.clip(t, times[0], times[-1])))


def _spline(times: np.ndarray, values: np.ndarray) -> CubicHermiteSpline:
    """Return a spline whose slope at a value is that of the parabola through it and its neighbors."""
    from scipy.interpolate import CubicHermiteSpline

    return CubicHermiteSpline(times, values, np.gradient(values, times, axis=0))


def _squad(times: np.ndarray, rotations: Rotation) -> Callable[[float], Rotation]:
    """Return slerp(slerp(q), slerp(s), 2u(1-u)) with s = q exp(-(log(q^-1 next) + log(q^-1 previous)) / 4)."""
    from scipy.spatial.transform import Rotation, Slerp

    steps = (rotations[:-1].inv() * rotations[1:]).as_rotvec()
    bends = np.zeros((len(times), 3))
    bends[1:-1] = (steps[:-1] - steps[1:]) / 4
    outer, inner = Slerp(times, rotations), Slerp(times, rotations * Rotation.from_rotvec(bends))

    def rotation(t: float) -> Rotation:
        index = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
        u = (t - times[index]) / (times[index + 1] - times[index])
        return Slerp([0, 1], Rotation.concatenate([outer(t), inner(t)]))(2 * u * (1 - u))

    return rotation


def _positions_and_zooms(poses: Sequence[Pose]) -> np.ndarray:
    """Return float64 [N, 4]: x, y, z and the logarithm of the zoom."""
    return np.array([[*pose.position, np.log(pose.zoom)] for pose in poses])


def _rotations(poses: Sequence[Pose]) -> Rotation:
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(np.stack([pose.rotation for pose in poses]))
