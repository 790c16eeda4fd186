"""Frame times: detect a constant rate, or resample a variable one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import attrs
import numpy as np

DEFAULT_FPS = Fraction(30)
"""Assumed where a source says nothing."""

USUAL_FPS = (
    *(Fraction(fps * 1000, 1001) for fps in (24, 30, 60, 120)),
    *(Fraction(fps) for fps in (10, 12, 15, 24, 25, 30, 48, 50, 60, 100, 120, 240)),
)
"""Rates that cameras and editors use."""

HALF_FRAME = 0.5
"""Times that differ less than this from a constant rate are on it: the nearest frame of each tick is its own."""


@attrs.frozen(kw_only=True)
class Timing:
    """A constant rate and, for each of its frames, the frame of the source that is shown."""

    fps: Fraction
    source_index: Sequence[int]
    source_frames: int
    """Number of frames in the source."""

    is_cut_off: bool = False
    """True where the file ends before the frames that it announces."""

    @property
    def num_frames(self) -> int:
        """Number of frames at the constant rate."""
        return len(self.source_index)


def constant_timing(
    times: Sequence[int],
    *,
    count: int,
    time_base: Fraction,
    last_duration: int = 0,
    nominal: Sequence[Fraction] = (),
) -> Timing:
    """Return the constant rate that keeps a source's duration.

    Frames that are on a constant rate within half a frame are passed through one to one. Others are resampled by
    nearest time, at the rate of most of them where that is at most twice the average, else at the average.

    Args:
        times: of the frames in order of display, in units of `time_base`; empty where the source has none.
        count: number of frames.
        time_base: seconds in a unit of time.
        last_duration: how long the last frame is shown; 0 where unknown.
        nominal: rates that the source claims, best first.
    """
    elapsed = np.asarray([time - times[0] for time in times], np.int64)
    if not elapsed.size or elapsed[-1] <= 0:
        return Timing(fps=nominal[0] if nominal else DEFAULT_FPS, source_index=range(count), source_frames=count)
    fitted = Fraction(count - 1) / (int(elapsed[-1]) * time_base)
    rates = (*nominal, *USUAL_FPS, fitted)
    drifts = [np.abs(elapsed * float(time_base * fps) - np.arange(count)).max() for fps in rates]
    best = min(drifts)
    if best < HALF_FRAME:
        # Times are rounded to the time base, which must not decide between 30000/1001 and a ratio of long counts.
        rounding = float(time_base * fitted)
        fps = next(fps for fps, drift in zip(rates, drifts, strict=True) if drift <= best + rounding)
        return Timing(fps=_simple(fps), source_index=range(count), source_frames=count)
    return _resampled(elapsed, time_base, last_duration or int(np.median(np.diff(elapsed))))


def _resampled(elapsed: np.ndarray, time_base: Fraction, last_duration: int) -> Timing:
    duration = (int(elapsed[-1]) + last_duration) * time_base
    fps = _simple(len(elapsed) / duration)
    most = _rate_of_most(elapsed, time_base)
    if fps <= most <= 2 * fps:
        fps = most
    ticks = np.arange(max(1, round(duration * fps))) / float(fps * time_base)
    between = (elapsed[1:] + elapsed[:-1]) / 2
    shown = np.searchsorted(between, ticks, side="right").tolist()
    return Timing(fps=fps, source_index=shown, source_frames=len(elapsed))


def _rate_of_most(elapsed: np.ndarray, time_base: Fraction) -> Fraction:
    gaps = np.diff(elapsed)
    middle = np.median(gaps)
    near = gaps[np.abs(gaps - middle) <= 1 + 0.1 * middle]
    gap = near.mean() if near.size else middle  # the middle of an even number of gaps need not be near any
    rate = Fraction(1 / max(gap, 1.0)) / time_base
    usual = min(USUAL_FPS, key=lambda fps: abs(fps - rate))
    return usual if abs(usual - rate) < rate / 200 else _simple(rate)


def _simple(fps: Fraction) -> Fraction:
    """Return a rate as players write them: 30000/1001 rather than the ratio of two long counts."""
    return fps.limit_denominator(1001) or fps
