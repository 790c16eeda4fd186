"""Rigid camera poses in float64.

Camera axes are those of OpenCV: x right, y down, z forward. A pose maps points from the axes of one camera to those of
a reference camera.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

Vector = np.ndarray
"""float64 [3]."""

UP = (0.0, -1.0, 0.0)
"""The upward direction of a level camera."""


def vector(values: Any) -> Vector:
    """Return three numbers as a float64 array [3]."""
    return np.asarray(values, dtype=np.float64).reshape(3)


def _matrix(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).reshape(3, 3)


@attrs.frozen(eq=False)
class Pose:
    """A camera pose relative to a reference camera. If `a` is relative to r and `b` to a, `a @ b` is relative to r."""

    rotation: np.ndarray = attrs.field(factory=lambda: np.eye(3), converter=_matrix)
    """float64 [3, 3]; its columns are the x, y and z axes of the camera."""
    position: Vector = attrs.field(factory=lambda: np.zeros(3), converter=vector)
    """Camera center, float64 [3], in units of the scene."""
    zoom: float = 1.0
    """Focal length relative to that of the reference camera."""

    @classmethod
    def identity(cls) -> Pose:
        """Return the pose of the reference camera itself."""
        return cls()

    def __matmul__(self, other: Pose) -> Pose:
        return Pose(
            rotation=self.rotation @ other.rotation,
            position=self.transform(other.position),
            zoom=self.zoom * other.zoom,
        )

    def inverse(self) -> Pose:
        """Return the pose of the reference camera relative to this one."""
        return Pose(rotation=self.rotation.T, position=-(self.rotation.T @ self.position), zoom=1 / self.zoom)

    def transform(self, point: Vector) -> Vector:
        """Map a point from the axes of this camera to those of the reference camera."""
        moved: Vector = self.rotation @ point + self.position
        return moved

    def matrix(self) -> np.ndarray:
        """Return the camera-to-reference matrix, float64 [4, 4]."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.rotation, self.position
        return matrix


def translation(offset: Any) -> Pose:
    """Return the pose of a camera moved by an offset, without rotation."""
    return Pose(position=offset)


def rotation(matrix: np.ndarray, *, about: Any = (0.0, 0.0, 0.0)) -> Pose:
    """Return the pose of a camera rotated rigidly about a point."""
    return Pose(rotation=matrix, position=about - matrix @ about)


def rotation_about(axis: Any, degrees: float) -> np.ndarray:
    """Return the matrix of a rotation about an axis, by the right-hand rule."""
    from scipy.spatial.transform import Rotation  # a slow import, which given paths do not use

    matrix: np.ndarray = Rotation.from_rotvec(np.radians(degrees) * unit(axis)).as_matrix()
    return matrix


def look_rotation(direction: Any, *, up: Any = UP) -> np.ndarray:
    """Return the rotation of a level camera that looks along a direction; x is kept if that is straight up or down."""
    forward, up = unit(direction), vector(up)
    across = np.cross(forward, up)
    level = np.linalg.norm(across) > 1e-9 * np.linalg.norm(up)
    right = unit(across) if level else np.array([1.0, 0.0, 0.0])
    return np.stack([right, np.cross(forward, right), forward], axis=1)


def unit(values: Any) -> Vector:
    """Return the vector of length 1 in the same direction."""
    direction: Vector = vector(values) / np.linalg.norm(values)
    return direction
