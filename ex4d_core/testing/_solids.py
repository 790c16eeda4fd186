"""Solids with closed-form ray intersections: the ground truth of renderers.

Directions have length 1 along the camera's z axis, so that the ray parameter t is the depth along +z.
Arrays are NumPy's: points and directions are float [N, 3], t is float64 [N], inf where a ray misses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import attrs
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

Paint = Callable[[Array, Array], Array]
"""Colors, float [N, 3] in 0..1, of surface points and unit normals [N, 3] in local axes."""

NEAREST = 1e-3
"""Smallest ray parameter that counts as a hit."""


def _vector(value: object) -> Array:
    return np.asarray(value, np.float64)


@attrs.frozen(eq=False, kw_only=True)
class Solid(ABC):
    """A solid in the world: a point p in local axes is at `center + rotation @ p`."""

    paint: Paint
    center: Array = attrs.field(converter=_vector)
    """float64 [3], world coordinates."""
    rotation: Array = attrs.field(factory=lambda: np.eye(3), converter=_vector)
    """float64 [3, 3], local axes to world."""

    @property
    @abstractmethod
    def reach(self) -> float:
        """Radius of a sphere around the center that holds the solid."""

    @abstractmethod
    def hit_local(self, origin: Array, directions: Array) -> Array:
        """Return t of the first hit of each ray, in local axes."""

    @abstractmethod
    def normal_local(self, points: Array) -> Array:
        """Return the unit normals at surface points, in local axes."""

    def to_local(self, vectors: Array) -> Array:
        """Convert world directions to local axes."""
        return vectors @ self.rotation

    def hit(self, origin: Array, directions: Array) -> Array:
        """Return t of the first hit of rays from one origin [3], all in world coordinates."""
        return self.hit_local(self.to_local(origin - self.center), self.to_local(directions))


@attrs.frozen(eq=False, kw_only=True)
class Ellipsoid(Solid):
    """An ellipsoid along its local axes."""

    radii: Array = attrs.field(converter=_vector)
    """float64 [3]."""

    @property
    def reach(self) -> float:
        """The longest radius."""
        return float(self.radii.max())

    def hit_local(self, origin: Array, directions: Array) -> Array:
        """Solve |(o + t d) / radii| = 1 for the smaller t."""
        return _sphere_hit(origin / self.radii, directions / self.radii)

    def normal_local(self, points: Array) -> Array:
        """Return the gradient of |p / radii|^2."""
        return _unit(points / self.radii**2)


@attrs.frozen(eq=False, kw_only=True)
class Box(Solid):
    """A box along its local axes."""

    half: Array = attrs.field(converter=_vector)
    """float64 [3], half of each side."""

    @property
    def reach(self) -> float:
        """Half of the diagonal."""
        return float(np.linalg.norm(self.half))

    def hit_local(self, origin: Array, directions: Array) -> Array:
        """Intersect the three slabs (Kay and Kajiya 1986)."""
        enter, leave = _slabs(origin, directions, self.half)
        return np.where((enter <= leave) & (enter > NEAREST), enter, np.inf)

    def normal_local(self, points: Array) -> Array:
        """Return the axis of the face that the point is on."""
        return _face_normal(points / self.half)


@attrs.frozen(eq=False, kw_only=True)
class Interior(Box):
    """The inside of a box: rays hit the walls at which they leave it."""

    @property
    def reach(self) -> float:
        """Everywhere."""
        return float("inf")

    def hit_local(self, origin: Array, directions: Array) -> Array:
        """Return where each ray leaves the box."""
        leave = _slabs(origin, directions, self.half)[1]
        return np.where(leave > NEAREST, leave, np.inf)

    def normal_local(self, points: Array) -> Array:
        """Return the axis of the wall, pointing inwards."""
        return -_face_normal(points / self.half)


@attrs.frozen(eq=False, kw_only=True)
class Capsule(Solid):
    """All points within `radius` of a segment along its local y axis."""

    radius: float
    half_length: float
    """Half of the segment, without the round ends."""

    @classmethod
    def between(cls, start: Array, end: Array, *, radius: float, paint: Paint) -> Capsule:
        """Return the capsule around the segment between two world points."""
        start, end = _vector(start), _vector(end)
        length = float(np.linalg.norm(end - start))
        return cls(
            paint=paint,
            center=(start + end) / 2,
            rotation=_axes_with_y((end - start) / max(length, 1e-9)),
            radius=radius,
            half_length=length / 2,
        )

    @property
    def reach(self) -> float:
        """Distance from the center to an end."""
        return self.half_length + self.radius

    def hit_local(self, origin: Array, directions: Array) -> Array:
        """Return the nearest hit of the open cylinder and its two end spheres."""
        side = _sphere_hit(origin[[0, 2]] / self.radius, directions[:, [0, 2]] / self.radius)
        height = origin[1] + np.where(np.isfinite(side), side, 0.0) * directions[:, 1]
        nearest = np.where(np.abs(height) <= self.half_length, side, np.inf)
        for end in (-self.half_length, self.half_length):
            ball = _sphere_hit((origin - [0, end, 0]) / self.radius, directions / self.radius)
            nearest = np.minimum(nearest, ball)
        return nearest

    def normal_local(self, points: Array) -> Array:
        """Return the direction away from the nearest point of the segment."""
        on_axis = np.zeros_like(points)
        on_axis[:, 1] = np.clip(points[:, 1], -self.half_length, self.half_length)
        return _unit(points - on_axis)


def _sphere_hit(origin: Array, directions: Array) -> Array:
    a = np.einsum("nk,nk->n", directions, directions)
    b = directions @ origin
    rest = b * b - a * (origin @ origin - 1)
    t = (-b - np.sqrt(np.maximum(rest, 0))) / np.maximum(a, 1e-30)
    return np.where((rest >= 0) & (t > NEAREST), t, np.inf)


def _slabs(origin: Array, directions: Array, half: Array) -> tuple[Array, Array]:
    """Return where each line enters and leaves the box, [N] each; one axis at a time, for speed."""
    enter, leave = np.full(len(directions), -np.inf), np.full(len(directions), np.inf)
    for k in range(3):
        along = directions[:, k]
        step = 1 / np.where(np.abs(along) < 1e-12, 1e-12, along)
        middle, reach = -origin[k] * step, half[k] * np.abs(step)
        enter = np.maximum(enter, middle - reach)
        leave = np.minimum(leave, middle + reach)
    return enter, leave


def _face_normal(scaled: Array) -> Array:
    axis = np.abs(scaled).argmax(axis=1)
    rows = np.arange(len(scaled))
    normal = np.zeros_like(scaled)
    normal[rows, axis] = np.sign(scaled[rows, axis])
    return normal


def _axes_with_y(y: Array) -> Array:
    helper = np.array([0.0, 0.0, 1.0]) if abs(y[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    x = np.cross(y, helper)
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
