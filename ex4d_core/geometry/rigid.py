"""Rigid transforms in plain floats, so that describing a camera move imports nothing heavy.

Axes are OpenCV's (x right, y down, z forward). A pose maps points of the camera to the axes of another camera.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

Vector = tuple[float, float, float]
Rotation = tuple[Vector, Vector, Vector]
"""Rows of a rotation matrix."""

UPWARDS: Vector = (0.0, -1.0, 0.0)
"""Up, for a camera that is level."""

UPRIGHT: Rotation = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@attrs.frozen
class Pose:
    """A camera as another sees it; `a @ b` is b as whatever a is told of sees it."""

    rotation: Rotation = UPRIGHT
    """Its columns are the camera's x, y and z axis."""
    position: Vector = (0.0, 0.0, 0.0)
    """Of the camera's center, in units of the scene."""
    zoom: float = 1.0
    """How many times as long as the other camera's the focal length is."""

    def __matmul__(self, other: Pose) -> Pose:
        return Pose(
            rotation=product(self.rotation, other.rotation),
            position=self.to_outer(other.position),
            zoom=self.zoom * other.zoom,
        )

    def inverse(self) -> Pose:
        """Return the other camera as this one sees it."""
        back = transpose(self.rotation)
        return Pose(rotation=back, position=scaled(turned(back, self.position), -1), zoom=1 / self.zoom)

    def to_outer(self, point: Vector) -> Vector:
        """Return a point of this camera in the axes of the other."""
        return added(turned(self.rotation, point), self.position)

    def matrix(self) -> list[list[float]]:
        """Return the matrix [4, 4] from this camera to the other."""
        rows = zip(self.rotation, self.position, strict=True)
        return [*([*row, shift] for row, shift in rows), [0.0, 0.0, 0.0, 1.0]]


HERE = Pose()
"""A camera as it sees itself."""


def moved(vector: Vector) -> Pose:
    """Return a camera that is elsewhere and not turned."""
    return Pose(position=vector)


def rotated(rotation: Rotation, *, about: Vector = (0.0, 0.0, 0.0)) -> Pose:
    """Return a camera that was turned rigidly about a point."""
    return Pose(rotation=rotation, position=added(about, scaled(turned(rotation, about), -1)))


def rotation_about(axis: Vector, degrees: float) -> Rotation:
    """Return the rotation by an angle about an axis, counter-clockwise as seen from its tip in right-handed axes.

    R v = v cos t + (k x v) sin t + k (k . v) (1 - cos t), Rodrigues' formula.
    """
    x, y, z = unit(axis)
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    rest = 1 - cosine
    return (
        (cosine + x * x * rest, x * y * rest - z * sine, x * z * rest + y * sine),
        (y * x * rest + z * sine, cosine + y * y * rest, y * z * rest - x * sine),
        (z * x * rest - y * sine, z * y * rest + x * sine, cosine + z * z * rest),
    )


def looking_along(direction: Vector, *, up: Vector = UPWARDS) -> Rotation:
    """Return the rotation of a level camera that looks along a direction; x stays where that is straight up or down."""
    forward = unit(direction)
    across = cross(forward, up)
    right = unit(across) if length(across) > 1e-9 * length(up) else (1.0, 0.0, 0.0)
    down = cross(forward, right)
    return transpose((right, down, forward))


def turned(rotation: Rotation, vector: Vector) -> Vector:
    """Return a rotated vector."""
    x, y, z = (dot(row, vector) for row in rotation)
    return x, y, z


def product(one: Rotation, other: Rotation) -> Rotation:
    """Return the matrix product."""
    columns = transpose(other)
    first, second, third = (turned(columns, row) for row in one)
    return first, second, third


def transpose(rotation: Sequence[Vector]) -> Rotation:
    """Return the rotation back."""
    first, second, third = zip(*rotation, strict=True)
    return first, second, third


def added(one: Vector, other: Vector) -> Vector:
    """Return the sum."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def scaled(vector: Vector, factor: float) -> Vector:
    """Return a vector times a number."""
    return vector[0] * factor, vector[1] * factor, vector[2] * factor


def dot(one: Vector, other: Vector) -> float:
    """Return the scalar product."""
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def cross(one: Vector, other: Vector) -> Vector:
    """Return the vector product."""
    (a, b, c), (x, y, z) = one, other
    return b * z - c * y, c * x - a * z, a * y - b * x


def length(vector: Vector) -> float:
    """Return the Euclidean length."""
    return math.hypot(*vector)


def unit(vector: Vector) -> Vector:
    """Return the vector of length 1 with the same direction."""
    return scaled(vector, 1 / length(vector))
