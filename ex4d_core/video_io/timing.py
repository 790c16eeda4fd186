"""Frame times: is the rate constant, and if not, which frame is shown at each tick of a constant one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import attrs
import numpy as np

DEFAULT_FPS = Fraction(30)
"""Assumed where a source says nothing."""

HALF_FRAME = 0.5
"""Times that differ less than this from a constant rate are on it: the nearest frame of each tick is its own."""


@attrs.frozen(kw_only=True)
class Timing:
    """A constant rate and, for each of its frames, the frame of the source that is shown."""

    fps: Fraction
    source_index: Sequence[int]

    @property
    def num_frames(self) -> int:
        """Number of frames at the constant rate."""
        return len(self.source_index)


def constant_timing(
    times: Sequence[int] | None,
    *,
    count: int,
    time_base: Fraction,
    last_duration: int = 0,
    nominal: Sequence[Fraction] = (),
) -> Timing:
    """Return the constant rate that keeps a source's duration.

    Frames that are on a constant rate (nominal or fitted, within half a frame) are passed through one to one;
    others are resampled by nearest time.

    Args:
        times: of the frames in order of display, in units of `time_base`; None where the source has none.
        count: number of frames.
        time_base: seconds in a unit of time.
        last_duration: how long the last frame is shown; 0 where unknown.
        nominal: rates that the source claims, best first.
    """
    fallback = nominal[0] if nominal else DEFAULT_FPS
    elapsed = np.asarray(times, np.int64) - times[0] if times else np.zeros(1, np.int64)
    if elapsed[-1] <= 0:
        return Timing(fps=fallback, source_index=range(count))
    fitted = Fraction(count - 1) / (int(elapsed[-1]) * time_base)
    for fps in (*nominal, fitted):
        drift = elapsed * float(time_base * fps) - np.arange(count)
        if np.abs(drift).max() < HALF_FRAME:
            return Timing(fps=_simple(fps), source_index=range(count))
    return _resampled(elapsed, time_base, last_duration or int(np.median(np.diff(elapsed))), nominal)


def _resampled(elapsed: np.ndarray, time_base: Fraction, last: int, nominal: Sequence[Fraction]) -> Timing:
    duration = (int(elapsed[-1]) + last) * time_base
    average = Fraction(len(elapsed)) / duration
    claimed = [fps for fps in nominal if Fraction(1, 2) < fps / average < 2]
    fps = claimed[0] if claimed else _simple(average)
    ticks = np.arange(max(1, round(duration * fps))) / float(fps * time_base)
    between = (elapsed[1:] + elapsed[:-1]) / 2
    return Timing(fps=fps, source_index=np.searchsorted(between, ticks, side="right").tolist())


def _simple(fps: Fraction) -> Fraction:
    """Return a rate as players write them: 30000/1001 rather than the ratio of two long counts."""
    return fps.limit_denominator(1001) or fps
