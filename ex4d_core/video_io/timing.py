"""Frame times: detect a constant rate, or resample a variable one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import attrs
import numpy as np

DEFAULT_FPS = Fraction(30)
"""Rate of sources without one."""

USUAL_FPS = (
    *(Fraction(fps * 1000, 1001) for fps in (24, 30, 60, 120)),
    *(Fraction(fps) for fps in (10, 12, 15, 24, 25, 30, 48, 50, 60, 100, 120, 240)),
)
"""Common rates of cameras and editors."""

HALF_FRAME = 0.5
"""Largest deviation of frame times from a constant rate, in frames."""


_JITTER = 0.02
"""Deviation of frame times in frames from which they are irregular."""

_QUARTER_FRAME = 0.25
"""Largest deviation of irregular frame times from a usual rate, in frames."""


@attrs.frozen(kw_only=True)
class Timing:
    """A constant rate, and the source frame shown at each of its ticks."""

    fps: Fraction
    source_index: Sequence[int]
    source_frames: int
    """Number of frames in the source."""

    is_cut_off: bool = False
    """Whether the file ends before the number of frames in its header."""

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
    """Return a constant rate of the same duration.

    Frames within half a frame of a constant rate are used one to one. Others are resampled by nearest time, at the most
    common rate if it is at most twice the average, otherwise at the average.

    Args:
        times: frame times in display order, in units of `time_base`; empty if unknown.
        count: number of frames.
        time_base: unit of time in seconds.
        last_duration: duration of the last frame; 0 if unknown.
        nominal: rates stated by the source, best first.
    """
    elapsed = np.asarray([time - times[0] for time in times], np.int64)
    if not elapsed.size or elapsed[-1] <= 0:
        return Timing(fps=nominal[0] if nominal else DEFAULT_FPS, source_index=range(count), source_frames=count)
    fitted = Fraction(count - 1) / (int(elapsed[-1]) * time_base)
    rates = (*nominal, *USUAL_FPS, fitted)
    drifts = [np.abs(elapsed * float(time_base * fps) - np.arange(count)).max() for fps in rates]
    best = min(drifts)
    if best < HALF_FRAME:
        # Times are rounded to the time base; prefer 30000/1001 to a ratio of large numbers within that rounding.
        rounding = float(time_base * fitted)
        fps = next(fps for fps, drift in zip(rates, drifts, strict=True) if drift <= best + rounding)
        if best > max(rounding, _JITTER):
            fps = _usual_rate(fitted, rates, drifts) or fps
        return Timing(fps=_simple(fps), source_index=range(count), source_frames=count)
    return _resampled(elapsed, time_base, last_duration or int(np.median(np.diff(elapsed))))


def _usual_rate(fitted: Fraction, rates: Sequence[Fraction], drifts: Sequence[float]) -> Fraction | None:
    """Return the rate of a clip with irregular times, as of a phone: a usual one next to the fit, if the times fit."""
    near = [rate for rate, drift in zip(rates, drifts, strict=True) if rate in USUAL_FPS and drift < _QUARTER_FRAME]
    return min(near, key=lambda rate: (rate.denominator, abs(rate - fitted)), default=None)


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
    gap = near.mean() if near.size else middle  # the median of an even number of gaps may not be near any of them
    rate = Fraction(1 / max(gap, 1.0)) / time_base
    usual = min(USUAL_FPS, key=lambda fps: abs(fps - rate))
    return usual if abs(usual - rate) < rate / 200 else _simple(rate)


def _simple(fps: Fraction) -> Fraction:
    """Return a rate with a small denominator, such as 30000/1001."""
    return fps.limit_denominator(1001) or fps
