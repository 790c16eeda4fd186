"""One scale (and shift) for frames whose depth was estimated one by one.

A frame-wise model leaves the scale of each frame to chance, and the shift too where it gives inverse depth. Each frame
is brought to a reference by what looks unchanged there: the first frame for as long as enough of it is still seen, then
the frame before. So a static clip has one reference and cannot drift, and memory does not grow with the clip.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIDE = 64
"""Longest side of the small maps and pictures that frames are compared by."""

_ENOUGH = 0.25
"""Share of the reference that must look unchanged; else the frame before is the reference."""

_LEAST = 32
"""Places that a fit needs."""

_ROUNDS = 10
_RELATED = 0.3
"""Correlation of what is nearer than the middle in two frames, under which neither tells anything of the other."""

_CONTRAST = 1.0
"""Variance of a picture, in squared levels, that is nothing but noise."""

_SPAN = 8.0
"""Standard deviation, in frames, of the window over which a metric model's scale is averaged."""

Gauge = tuple[float, float]
"""Scale and shift that bring a frame to the reference: `scale * values + shift`."""


class Steadier:
    """Finds the scale and shift of each frame, in the order of the clip."""

    def __init__(self, *, unchanged: float, cut: float, fit_scale: bool) -> None:
        """Begin a clip.

        Args:
            unchanged: levels by which the color of a place may move.
            cut: likeness of frames, 0 to 1, under which a new shot begins.
            fit_scale: whether scale and shift are free, as of inverse depth, or only the shift, as of log depth.
        """
        self._unchanged = unchanged
        self._cut = cut
        self._fit_scale = fit_scale
        self._reference: tuple[Array, Array] | None = None
        self._before: tuple[Array, Array] | None = None
        self._gauge: Gauge = (1.0, 0.0)
        self.gauges: list[Gauge] = []
        self.starts: list[int] = []
        """First frame of each shot."""

    def add(self, values: Array, picture: Array) -> Gauge:
        """Return the scale and shift of the next frame.

        Args:
            values: [h, w], inverse depth, or log depth where the scale is not free.
            picture: [h, w, 3], the frame's colors in levels.
        """
        if self._before is None or likeness(self._before[1], picture) < self._cut:
            self.starts.append(len(self.gauges))
            self._gauge = (1.0, 0.0)
            self._reference = self._before = (values, picture)
        else:
            self._gauge = self._fitted(values, picture) or self._gauge  # a frame that tells nothing goes on as before
            aligned = self._gauge[0] * values + self._gauge[1]
            # A frame without relief is no reference for others.
            self._before = (aligned if np.ptp(values) > 0 else self._before[0], picture)
        self.gauges.append(self._gauge)
        return self._gauge

    def _fitted(self, values: Array, picture: Array) -> Gauge | None:
        assert self._reference is not None
        assert self._before is not None
        same = unchanged(self._reference[1], picture, levels=self._unchanged)
        if same.mean() < _ENOUGH:
            self._reference = self._before
            same = unchanged(self._reference[1], picture, levels=self._unchanged)
        if same.sum() < _LEAST:
            return None
        there, here = self._reference[0][same], values[same]
        return fit(here, there) if self._fit_scale else (1.0, float(np.median(there - here)))


def fit(values: Array, target: Array) -> Gauge | None:
    """Return scale > 0 and shift with `scale * values + shift` close to most of `target`, or None where nothing is.

    The line is the geometric mean regression, slope = spread of target / spread of values: both have errors of the same
    size, and least squares would take contrast away from every frame. Weights 1 / (1 + (r / s)^2), s the median
    residual, keep what moved from counting (iteratively reweighted; P. Holland, R. Welsch, 1977).
    """
    if not _related(values, target) > _RELATED:
        return None
    scale = _spread(target) / _spread(values)
    shift = float(np.median(target - scale * values))
    for _ in range(_ROUNDS):
        residual = np.abs(scale * values + shift - target)
        middle = max(float(np.median(residual)), 1e-9 * float(np.abs(target).max()), np.finfo(float).tiny)
        weights = 1 / (1 + (residual / middle) ** 2)
        weights /= weights.sum()
        mean_value, mean_target = float(weights @ values), float(weights @ target)
        off_value, off_target = values - mean_value, target - mean_target
        variance, variance_target = float(weights @ off_value**2), float(weights @ off_target**2)
        if not variance * variance_target > 0:
            return None
        scale = (variance_target / variance) ** 0.5
        shift = mean_target - scale * mean_value
    return scale, shift


def unchanged(before: Array, after: Array, *, levels: float) -> NDArray[np.bool_]:
    """Return bool [h, w], True where two pictures [h, w, 3] have the same color, a change of all colors apart."""
    moved = after - before
    moved = moved - np.median(moved, axis=(0, 1))  # the exposure
    same: NDArray[np.bool_] = np.abs(moved).max(axis=-1) <= levels
    return same


def likeness(before: Array, after: Array) -> float:
    """Return how alike two pictures are, 0 to 1: 2 covariance / sum of variances, as SSIM has it."""
    first, second = (picture - picture.mean(axis=(0, 1)) for picture in (before, after))
    both = float((first**2).mean() + (second**2).mean())
    return max(0.0, 2 * float((first * second).mean()) + _CONTRAST) / (both + _CONTRAST)


def slow_part(shifts: Array) -> Array:
    """Return what is left of log scales [T] of one shot when they are averaged over some frames to both sides.

    So a metric model keeps its meters, and a camera that goes nearer may make them fewer, but not from frame to frame.
    """
    frames = np.arange(len(shifts))
    weights = np.exp(-0.5 * ((frames[:, None] - frames) / _SPAN) ** 2)
    slow: Array = weights @ shifts / weights.sum(axis=1)
    return slow


def _related(values: Array, target: Array) -> float:
    """Return the correlation, -1 to 1, of being above the median; outliers weigh no more than others."""
    above, above_target = np.sign(values - np.median(values)), np.sign(target - np.median(target))
    ups = float(np.abs(above).sum() * np.abs(above_target).sum())
    return float(above @ above_target) / ups**0.5 if ups else 0.0


def _spread(values: Array) -> float:
    return float(np.abs(values - np.median(values)).mean())
