"""Decide from values whether they are depth or disparity."""

from __future__ import annotations

from typing import Literal

import numpy as np

Evidence = Literal["depth", "inverse", ""]
"""What the values look like; '' if they do not decide."""

_POOLED = 80
"""Width to which maps are pooled: at full size, noise moves the result."""

_STEP = 3
"""Distance of the pixels whose values are compared."""

_FEWEST = 200
"""Fewest pixels for a decision."""

_SLOPE = 0.01
"""Smallest relative change per step of a slope that counts."""

_MOST_MAPS = 8


def direction(numbers: np.ndarray, known: np.ndarray) -> Evidence:
    """Return whether maps [T, H, W] look like depth or like disparity.

    On a plane, 1/z is linear in the pixels. So v'' v / v'^2 is 2 where v is proportional to z, and 0 where v is linear
    in 1/z, for any scale. The median over smooth slopes decides if half of them agree.
    """
    ratios = []
    for index in np.linspace(0, len(numbers) - 1, min(_MOST_MAPS, len(numbers))).astype(int):
        pooled = _pooled(np.where(known[index], numbers[index], np.nan))
        ratios += [_ratios(pooled), _ratios(pooled.T)]
    found = np.concatenate(ratios) if ratios else np.zeros(0)
    if len(found) < _FEWEST:
        return ""
    low, middle, high = np.percentile(found, (25, 50, 75))
    if middle > 1.5 and low > 0.5:
        return "depth"
    return "inverse" if abs(middle) < 0.4 and low > -1.5 and high < 1.5 else ""


def _pooled(values: np.ndarray) -> np.ndarray:
    """Return medians of blocks, NaN where a block has a gap; float64."""
    side = max(1, round(values.shape[1] / _POOLED))
    if side == 1:
        return values.astype(np.float64)
    height, width = (length // side for length in values.shape)
    blocks = values[: height * side, : width * side].reshape(height, side, width, side)
    pooled = np.median(blocks.swapaxes(1, 2).reshape(height, width, side * side), axis=-1)
    return np.asarray(pooled, np.float64)


def _ratios(values: np.ndarray) -> np.ndarray:
    """Return v'' v / v'^2 along the columns, where the slope is smooth."""
    if values.shape[1] <= 2 * _STEP:
        return np.zeros(0)
    a, b, c = values[:, : -2 * _STEP], values[:, _STEP:-_STEP], values[:, 2 * _STEP :]
    before, after = b - a, c - b
    with np.errstate(all="ignore"):
        slope = (c - a) / 2
        larger, smaller = np.maximum(abs(before), abs(after)), np.minimum(abs(before), abs(after))
        smooth = (before * after > 0) & (larger < 2.5 * smaller) & (abs(slope) > _SLOPE * b) & (np.minimum(a, c) > 0)
        ratios = (after - before) * b / slope**2
    return np.asarray(ratios[smooth & np.isfinite(ratios)])


def fills_range(numbers: np.ndarray, known: np.ndarray, least: float, most: float) -> bool:
    """Return whether every map of [T, H, W] reaches from the least to nearly the largest value of its type."""
    return all(
        bool(inside.any()) and values[inside].min() <= least and values[inside].max() >= most
        for values, inside in zip(numbers, known, strict=True)
    )
