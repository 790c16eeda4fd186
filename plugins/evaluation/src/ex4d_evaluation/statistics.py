"""Mean and bootstrap interval of values of clips."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
"""Coverage of the interval."""


@attrs.frozen(kw_only=True)
class Summary:
    """Mean over videos, and its uncertainty."""

    mean: float
    count: int
    """Number of videos."""
    clips: int
    """Number of clips that they are of."""
    low: float | None
    """Lower end of the interval; None for fewer than two clips."""
    high: float | None


def summary_of(values: Mapping[str, Sequence[float]], *, seed: int = 0) -> Summary | None:
    """Return the mean over videos with a percentile bootstrap interval, or None without values.

    Whole clips are resampled, since videos of one clip are not independent.

    Args:
        values: values of the videos of each clip, without NaN.
        seed: of the resampling.
    """
    clips = [np.asarray(each, np.float64) for each in values.values() if len(each)]
    if not clips:
        return None
    sums, counts = (np.array([measure(each) for each in clips]) for measure in (np.sum, len))
    mean, count = float(sums.sum() / counts.sum()), int(counts.sum())
    if len(clips) < 2 or not math.isfinite(mean):
        return Summary(mean=mean, count=count, clips=len(clips), low=None, high=None)
    drawn = np.random.default_rng(seed).integers(len(clips), size=(RESAMPLES, len(clips)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Summary(mean=mean, count=count, clips=len(clips), low=float(low), high=float(high))
