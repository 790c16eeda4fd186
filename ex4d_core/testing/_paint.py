"""Surface colors of the synthetic scenes, with soft edges to avoid aliasing."""

from __future__ import annotations

import numpy as np

from ex4d_core.testing._solids import Array, Paint

Rgb = tuple[float, float, float]


def _step(value: Array, softness: float) -> Array:
    return np.asarray(np.clip(value / softness + 0.5, 0, 1))


def mix(first: Array, second: Array | Rgb, weight: Array) -> Array:
    """Return colors [N, 3]: `first` [N, 3] where `weight` [N] is 0, `second` ([3] or [N, 3]) where it is 1."""
    return first + (np.asarray(second, np.float32) - first) * weight[:, None]


def constant(color: Rgb, count: int) -> Array:
    """Return one color for each of `count` points, float32 [N, 3]."""
    return np.broadcast_to(np.asarray(color, np.float32), (count, 3))


def wave(x: Array, period: float, *, duty: float = 0.5, softness: float = 0.03) -> Array:
    """Return 1 inside stripes and 0 between them along a coordinate [N], with soft edges; lengths in scene units."""
    phase = np.mod(x, period)
    return _step(np.minimum(phase, duty * period - phase), softness)


def grain(points: Array, scale: float, seed: int = 0) -> Array:
    """Return a smooth pattern in -1..1: a sum of sines in fixed random directions, `scale` units apart."""
    rng = np.random.default_rng(seed)
    total = np.zeros(len(points), np.float32)
    for _ in range(5):
        direction = rng.normal(size=3) * rng.uniform(0.6, 1.6) * 2 * np.pi / scale
        total += np.sin(points @ direction.astype(np.float32) + np.float32(rng.uniform(0, 6.3)))
    return total / 5


def plain(color: Rgb, *, mottle: float = 0.04) -> Paint:
    """Return one color with slight mottling."""

    def paint(points: Array, normals: Array) -> Array:
        return constant(color, len(points)) * (1 + mottle * grain(points, 0.25))[:, None]

    return paint


def stripes(first: Rgb, second: Rgb, *, axis: int, period: float, duty: float = 0.5) -> Paint:
    """Return stripes across a local axis of the solid."""

    def paint(points: Array, normals: Array) -> Array:
        return mix(constant(first, len(points)), second, wave(points[:, axis], period, duty=duty))

    return paint


def panels(first: Rgb, second: Rgb, *, around: int = 6) -> Paint:
    """Return beach-ball panels around the local y axis of the solid."""

    def paint(points: Array, normals: Array) -> Array:
        angle = np.arctan2(points[:, 0], points[:, 2])
        share = _step(np.sin(angle * around / 2), 0.25)
        cap = _step(np.abs(normals[:, 1]) - 0.9, 0.06)
        return mix(mix(constant(first, len(points)), second, share), (0.95, 0.95, 0.92), cap)

    return paint


def checks(first: Rgb, second: Rgb, *, size: float, axes: tuple[int, int]) -> Paint:
    """Return a chessboard over two local axes of the solid."""

    def paint(points: Array, normals: Array) -> Array:
        a, b = (wave(points[:, axis], 2 * size, softness=0.02) for axis in axes)
        return mix(constant(first, len(points)), second, a + b - 2 * a * b)

    return paint


def books(seed: int, *, width: float = 0.11) -> Paint:
    """Return the spines of books along the local x axis of the solid."""
    rng = np.random.default_rng(seed)
    palette = rng.uniform(0.18, 0.85, size=(64, 3)).astype(np.float32)

    def paint(points: Array, normals: Array) -> Array:
        place = points[:, 0] / width + 40
        gap = np.abs(np.mod(place, 1.0) - 0.5)
        color = palette[np.floor(place).astype(int) % 64]
        band = wave(points[:, 1] + 0.06, 0.3, duty=0.12, softness=0.02)
        return mix(mix(color, (0.9, 0.85, 0.7), 0.7 * band), (0.08,) * 3, _step(gap - 0.44, 0.1))

    return paint


def picture(seed: int) -> Paint:
    """Return a framed abstract painting on a thin box that faces along its local z axis."""
    rng = np.random.default_rng(seed)
    blobs = rng.uniform(-0.5, 0.5, size=(7, 2)).astype(np.float32)
    colors = rng.uniform(0.1, 0.95, size=(7, 3)).astype(np.float32)

    def paint(points: Array, normals: Array) -> Array:
        limit = np.abs(points).max(axis=0)
        at = points[:, :2] / np.maximum(limit[:2], 1e-6) * 0.5
        color = np.array(constant((0.93, 0.88, 0.74), len(points)))
        for blob, ink in zip(blobs, colors, strict=True):
            color = mix(color, ink, _step(0.2 - np.hypot(*(at - blob).T), 0.03))
        return color

    return paint
