"""Interpolate between camera poses: piecewise linear, or smooth through keyframes."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from ex4d_core.geometry.rigid import Pose, Rotation, Vector, added, scaled

Quaternion = tuple[float, float, float, float]
"""w, x, y, z; of length 1."""


def straight_through(poses: Sequence[Pose], shares: Sequence[float]) -> Callable[[float], Pose]:
    """Return the camera at any share of a path: on straight lines, turning evenly (slerp) from pose to pose.

    Args:
        poses: at least one.
        shares: of the path that is done at each, rising.
    """
    turns = _aligned([quaternion_of(pose.rotation) for pose in poses])

    def at(share: float) -> Pose:
        index, part = _place(shares, share)
        if part == 0:
            return poses[index]
        one, other = poses[index], poses[index + 1]
        return Pose(
            rotation=rotation_of(slerp(turns[index], turns[index + 1], part)),
            position=_between(one.position, other.position, part),
            zoom=one.zoom ** (1 - part) * other.zoom**part,
        )

    return at


def smoothly_through(poses: Sequence[Pose], shares: Sequence[float]) -> Callable[[float], Pose]:
    """Return the camera at any share of a path through keyframes, without a corner at any of them.

    Positions follow cubic Hermite curves whose slope at a keyframe is that of the parabola through it and its
    neighbors; rotations follow Shoemake's squad (SIGGRAPH 1987 course notes). Through two keyframes that is the
    straight way.

    Args:
        poses: at least one.
        shares: of the path that is done at each, rising.
    """
    turns = _aligned([quaternion_of(pose.rotation) for pose in poses])
    inner = [_inner(turns, index) for index in range(len(turns))]
    zooms = [math.log(pose.zoom) for pose in poses]
    along = [smooth_curve(shares, [pose.position[axis] for pose in poses]) for axis in range(3)]
    zoom = smooth_curve(shares, zooms)

    def at(share: float) -> Pose:
        index, part = _place(shares, share)
        if part == 0:
            return poses[index]
        outer = slerp(turns[index], turns[index + 1], part)
        towards = slerp(inner[index], inner[index + 1], part)
        x, y, z = (curve(share) for curve in along)
        return Pose(
            rotation=rotation_of(slerp(outer, towards, 2 * part * (1 - part))),
            position=(x, y, z),
            zoom=math.exp(zoom(share)),
        )

    return at


def smooth_curve(shares: Sequence[float], values: Sequence[float]) -> Callable[[float], float]:
    """Return a curve through values, at rising shares, whose slope has no jump."""
    slopes = [_slope(shares, values, index) for index in range(len(values))]

    def at(share: float) -> float:
        index, part = _place(shares, share)
        if part == 0:
            return values[index]
        span = shares[index + 1] - shares[index]
        square, cube = part**2, part**3
        return (
            (2 * cube - 3 * square + 1) * values[index]
            + (cube - 2 * square + part) * span * slopes[index]
            + (3 * square - 2 * cube) * values[index + 1]
            + (cube - square) * span * slopes[index + 1]
        )

    return at


def quaternion_of(rotation: Rotation) -> Quaternion:
    """Return the quaternion of a rotation matrix, by the largest of its four parts (Shepperd 1978)."""
    (a, b, c), (d, e, f), (g, h, i) = rotation
    squares = (1 + a + e + i, 1 + a - e - i, 1 - a + e - i, 1 - a - e + i)
    largest = max(range(4), key=lambda index: squares[index])
    rows = (
        (squares[0], h - f, c - g, d - b),
        (h - f, squares[1], b + d, c + g),
        (c - g, b + d, squares[2], f + h),
        (d - b, c + g, f + h, squares[3]),
    )
    return _unit(rows[largest])


def rotation_of(quaternion: Quaternion) -> Rotation:
    """Return the rotation matrix of a quaternion of length 1."""
    w, x, y, z = quaternion
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )


def slerp(one: Quaternion, other: Quaternion, part: float) -> Quaternion:
    """Return the rotation between two, at constant speed on the great circle through both (Shoemake 1985)."""
    cosine = sum(a * b for a, b in zip(one, other, strict=True))
    angle = math.acos(min(1.0, max(-1.0, cosine)))
    if math.sin(angle) < 1e-9:  # the same rotation, to the last digits: a straight line is as good
        first, second = 1 - part, part
    else:
        first, second = math.sin((1 - part) * angle) / math.sin(angle), math.sin(part * angle) / math.sin(angle)
    w, x, y, z = (first * a + second * b for a, b in zip(one, other, strict=True))
    return _unit((w, x, y, z))


def _place(shares: Sequence[float], share: float) -> tuple[int, float]:
    """Return between which two neighbors a share is, by the index of the first, and how far on from it."""
    if share <= shares[0]:
        return 0, 0.0
    if share >= shares[-1]:
        return len(shares) - 1, 0.0
    index = bisect_right(shares, share) - 1
    return index, (share - shares[index]) / (shares[index + 1] - shares[index])


def _slope(shares: Sequence[float], values: Sequence[float], index: int) -> float:
    steps = [
        (values[k + 1] - values[k]) / (shares[k + 1] - shares[k])
        for k in (index - 1, index)
        if k >= 0 and k + 1 < len(values)
    ]
    if len(steps) < 2:
        return steps[0] if steps else 0.0
    before, after = shares[index] - shares[index - 1], shares[index + 1] - shares[index]
    return (steps[0] * after + steps[1] * before) / (before + after)


def _inner(turns: Sequence[Quaternion], index: int) -> Quaternion:
    """Return squad's control point q exp(-(log(q^-1 next) + log(q^-1 previous)) / 4)."""
    if not 0 < index < len(turns) - 1:
        return turns[index]
    here = turns[index]
    back = (here[0], -here[1], -here[2], -here[3])
    logs = [_log(_times(back, turns[neighbor])) for neighbor in (index - 1, index + 1)]
    return _times(here, _exp(scaled(added(*logs), -0.25)))


def _log(quaternion: Quaternion) -> Vector:
    w, x, y, z = quaternion
    sine = math.hypot(x, y, z)
    return (0.0, 0.0, 0.0) if sine < 1e-12 else scaled((x, y, z), math.atan2(sine, w) / sine)


def _exp(vector: Vector) -> Quaternion:
    angle = math.hypot(*vector)
    x, y, z = scaled(vector, math.sin(angle) / angle if angle > 1e-12 else 1.0)
    return math.cos(angle), x, y, z


def _times(one: Quaternion, other: Quaternion) -> Quaternion:
    (a, b, c, d), (w, x, y, z) = one, other
    return (
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    )


def _unit(quaternion: Quaternion) -> Quaternion:
    size = math.hypot(*quaternion)
    w, x, y, z = (part / size for part in quaternion)
    return w, x, y, z


def _aligned(quaternions: Sequence[Quaternion]) -> list[Quaternion]:
    """Return the same rotations, each by the one of its two quaternions that is nearer to the one before."""
    aligned = list(quaternions[:1])
    for w, x, y, z in quaternions[1:]:
        before = aligned[-1]
        near = sum(a * b for a, b in zip(before, (w, x, y, z), strict=True)) >= 0
        aligned.append((w, x, y, z) if near else (-w, -x, -y, -z))
    return aligned


def _between(one: Vector, other: Vector, part: float) -> Vector:
    return added(scaled(one, 1 - part), scaled(other, part))
