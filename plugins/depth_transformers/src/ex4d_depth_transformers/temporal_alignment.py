"""Align the scale (and shift) of depth that was estimated frame by frame.

The output of a frame-wise model has an arbitrary scale per frame, and for inverse depth an arbitrary shift. Each frame
is fitted to a reference on the pixels whose color is unchanged. The reference is the first frame as long as enough of
it is visible, then the previous frame. So a static clip does not drift, and memory does not grow with the clip.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIDE = 64
"""Longest side of the downscaled maps and images that are compared."""

_ENOUGH = 0.25
"""Smallest fraction of unchanged pixels; below it, the previous frame becomes the reference."""

_LEAST = 32
"""Smallest number of pixels for a fit."""

_ROUNDS = 10
_RELATED = 0.3
"""Smallest correlation of being nearer than the median in both frames; below it, no fit is made."""

_CONTRAST = 1.0
"""Variance of an image of noise only, in squared levels."""

_SPAN = 8.0
"""Standard deviation, in frames, of the Gaussian that smooths the scale of a metric model."""

Alignment = tuple[float, float]
"""Scale and shift that align a frame: `scale * values + shift`."""


class FrameAligner:
    """Computes the scale and shift of each frame, in the order of the clip."""

    def __init__(self, *, unchanged: float, cut: float, fit_scale: bool) -> None:
        """Start a clip.

        Args:
            unchanged: largest change of color of an unchanged pixel, in levels.
            cut: similarity of frames, 0 to 1, below which a new shot begins.
            fit_scale: whether to fit scale and shift, for inverse depth, or only the shift, for log depth.
        """
        self._unchanged = unchanged
        self._cut = cut
        self._fit_scale = fit_scale
        self._reference: tuple[Array, Array] | None = None
        self._before: tuple[Array, Array] | None = None
        self._alignment: Alignment = (1.0, 0.0)
        self.alignments: list[Alignment] = []
        self.starts: list[int] = []
        """First frame of each shot."""

    def add(self, values: Array, picture: Array) -> Alignment:
        """Return the scale and shift of the next frame.

        Args:
            values: [h, w], inverse depth, or log depth without `fit_scale`.
            picture: [h, w, 3], colors of the frame in levels.
        """
        if self._before is None or likeness(self._before[1], picture) < self._cut:
            self.starts.append(len(self.alignments))
            self._alignment = (1.0, 0.0)
            self._reference = self._before = (values, picture)
        else:
            self._alignment = self._fitted(values, picture) or self._alignment  # without a fit, the previous alignment
            aligned = self._alignment[0] * values + self._alignment[1]
            # A frame of constant depth is not used as a reference.
            self._before = (aligned if np.ptp(values) > 0 else self._before[0], picture)
        self.alignments.append(self._alignment)
        return self._alignment

    def _fitted(self, values: Array, picture: Array) -> Alignment | None:
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


def fit(values: Array, target: Array) -> Alignment | None:
    """Return scale > 0 and shift with `scale * values + shift` close to most of `target`; None if unrelated.

    Geometric mean regression, slope = spread of target / spread of values: both have errors of the same size, and least
    squares would reduce the contrast of every frame. Weights 1 / (1 + (r / s)^2), with the median residual s, suppress
    moving regions (iteratively reweighted; P. Holland, R. Welsch, 1977).
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
    """Return bool [h, w], True where two images [h, w, 3] have the same color up to a change of exposure."""
    moved = after - before
    moved = moved - np.median(moved, axis=(0, 1))  # the exposure
    same: NDArray[np.bool_] = np.abs(moved).max(axis=-1) <= levels
    return same


def likeness(before: Array, after: Array) -> float:
    """Return the similarity of two images, 0 to 1: 2 covariance / sum of variances, as in SSIM."""
    first, second = (picture - picture.mean(axis=(0, 1)) for picture in (before, after))
    both = float((first**2).mean() + (second**2).mean())
    return max(0.0, 2 * float((first * second).mean()) + _CONTRAST) / (both + _CONTRAST)


def slow_part(shifts: Array) -> Array:
    """Smooth the log scales [T] of one shot over time.

    Subtracting the result keeps the metric scale of a model and removes only its flicker.
    """
    frames = np.arange(len(shifts))
    weights = np.exp(-0.5 * ((frames[:, None] - frames) / _SPAN) ** 2)
    slow: Array = weights @ shifts / weights.sum(axis=1)
    return slow


def _related(values: Array, target: Array) -> float:
    """Return the correlation, -1 to 1, of being above the median, which is robust to outliers."""
    above, above_target = np.sign(values - np.median(values)), np.sign(target - np.median(target))
    ups = float(np.abs(above).sum() * np.abs(above_target).sum())
    return float(above @ above_target) / ups**0.5 if ups else 0.0


def _spread(values: Array) -> float:
    return float(np.abs(values - np.median(values)).mean())
