"""Decide from values and names whether they are depth or disparity."""

from __future__ import annotations

import re
from pathlib import Path
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

_TOLERANCE = 0.6
"""Largest distance of a median from 0 or 2."""

_CLEARLY = 1.5
"""Smallest ratio of the number of values near one result to that near the other: curved surfaces have as many of both,
and so have some planes that were resampled."""

_SLOPE = 0.01
"""Smallest relative change per step of a slope that counts."""

_MOST_MAPS = 8

_NEAR_ZERO = 0.02
"""Largest part of the median that counts as near 0."""

_MOST_VALUES = 100_000

_TOPS = (1.0, 255.0, 65535.0)
"""Largest values of depth that is normalized over a clip."""

_LEAST = 0.01
"""Smallest value of a normalized clip, at most, in parts of the largest."""

_INVERSE = re.compile(
    r"disparit|(?<![a-z])disps?(?![a-z])|(?<![a-z])(idepth|inv(erse)?_?(depth|z(?![a-z])))|depth_?inv(erse)?(?![a-z])"
)
"""Names of disparity: disparity, disp, inverse_depth, invdepth, idepth, depth_inverse."""


def direction(numbers: np.ndarray, known: np.ndarray) -> Evidence:
    """Return whether maps [T, H, W] look like depth or like disparity.

    On a plane, 1/z is linear in the pixels. So r = v'' v / v'^2 is 2 where v is proportional to z, and 0 where v is
    linear in 1/z, for any scale. For smooth values, r of 1/v is 2 - r; for noise it is not, so both must agree.
    """
    own, inverse = [np.zeros(0)], [np.zeros(0)]
    for index in np.linspace(0, len(numbers) - 1, min(_MOST_MAPS, len(numbers))).astype(int):
        pooled = _pooled(np.where(known[index] & (numbers[index] > 0), numbers[index], np.nan))
        for values in (pooled, pooled.T):
            own.append(_ratios(values))
            inverse.append(_ratios(1 / values))
    ratios, others = np.concatenate(own), np.concatenate(inverse)
    if min(len(ratios), len(others)) < _FEWEST:
        return ""
    if _is_near(ratios, 2) and _is_near(others, 0):
        return "depth"
    return "inverse" if _is_near(ratios, 0) and _is_near(others, 2) else ""


def _is_near(ratios: np.ndarray, wanted: float) -> bool:
    near, opposite = (np.mean(abs(ratios - value) < _TOLERANCE) for value in (wanted, 2 - wanted))
    return bool(abs(np.median(ratios) - wanted) < _TOLERANCE and near > _CLEARLY * opposite)


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
        smooth = (before * after > 0) & (larger < 2.5 * smaller) & (abs(slope) > _SLOPE * b)
        ratios = (after - before) * b / slope**2
    return np.asarray(ratios[smooth & np.isfinite(ratios)])


def reaches_zero(numbers: np.ndarray, known: np.ndarray) -> bool:
    """Return whether maps have many positive values near 0, as disparity has far away and depth only at the lens."""
    values = numbers[known & (numbers > 0)]
    if not values.size:
        return False
    low, middle = np.percentile(values[:: max(1, values.size // _MOST_VALUES)], (1, 50))
    return bool(low < _NEAR_ZERO * middle)


def fills_range(numbers: np.ndarray, known: np.ndarray, least: float, most: float) -> bool:
    """Return whether every map of [T, H, W] reaches from the least to nearly the largest value of its type."""
    return all(
        bool(inside.any()) and values[inside].min() <= least and values[inside].max() >= most
        for values, inside in zip(numbers, known, strict=True)
    )


def is_normalized(numbers: np.ndarray, known: np.ndarray) -> bool:
    """Return whether the values of a clip reach from almost 0 to exactly 1, 255 or 65535."""
    most = float(np.max(numbers, where=known, initial=-np.inf))
    top = min(_TOPS, key=lambda top: abs(top - most))
    if not abs(most - top) < 1e-5 * top:
        return False
    least = min(float(numbers[known].min()), 0 if (numbers == 0).any() else np.inf)
    return least < _LEAST * top


def says_inverse(name: str) -> bool:
    """Return whether a name says disparity or inverse depth; `invalid` and `display` do not."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)  # SceneDisparity
    return bool(_INVERSE.search(re.sub(r"[^a-z0-9]+", "_", words.lower())))


def file_says_inverse(path: Path) -> bool:
    """Return whether the name of a file or of its folder says disparity."""
    return says_inverse(path.stem) or says_inverse(path.parent.name)
