"""Filters of videos by their header: size, length, frame rate."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial

import attrs

from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.video_io import probe_video
from ex4d_training.data.options import DataOptions
from ex4d_training.data.sources import VideoSource
from ex4d_training.records import text

FAILED = "failed"
"""Filter of videos that failed unexpectedly, or whose process ended."""


@attrs.frozen(kw_only=True)
class Refusal:
    """The reason for rejecting a video."""

    filter: str = attrs.field(validator=text)
    """Name of the filter."""
    reason: str = attrs.field(validator=text)
    """One sentence."""


def look_at(source: VideoSource, options: DataOptions) -> Refusal | None:
    """Return the reason for rejecting a video, or None."""
    if not source.caption and options.missing_caption == "skip":
        return Refusal(filter="caption", reason="it has no caption")
    try:
        info = probe_video(source.path)
    except (InvalidInput, InputNotFound) as error:
        return Refusal(filter="unreadable", reason=str(error))
    short, long = sorted((info.width, info.height))
    seconds = float(info.num_frames / info.fps)
    needed = span(options, info.fps)
    checks = (
        ("min_side", short < options.min_side, f"{info.width}x{info.height} is smaller than {options.min_side} pixels"),
        ("max_aspect", long > options.max_aspect * short, f"{info.width}x{info.height} is too long and narrow"),
        ("min_fps", info.fps < options.min_fps, f"{float(info.fps):.3g} frames per second are too few"),
        ("max_fps", info.fps > options.max_fps, f"{float(info.fps):.3g} frames per second are too many"),
        ("min_seconds", seconds < options.min_seconds, f"{seconds:.3g} seconds are too short"),
        ("max_seconds", 0 < options.max_seconds < seconds, f"{seconds:.3g} seconds are too long"),
        ("frames", info.num_frames < needed, f"it has {info.num_frames} frames, fewer than the {needed} of a clip"),
    )
    return next((Refusal(filter=name, reason=reason) for name, wrong, reason in checks if wrong), None)


def make_look(number: int, *, options: DataOptions) -> Callable[[VideoSource], Refusal | None]:
    """Return `look_at` with these options, for a worker process."""
    return partial(look_at, options=options)


def stride(options: DataOptions, fps: Fraction) -> int:
    """Return the distance between frames of a video that a clip uses."""
    return max(1, round(fps / Fraction(options.fps))) if options.fps else 1


def span(options: DataOptions, fps: Fraction) -> int:
    """Return the number of frames of a video from the first to the last frame of a clip."""
    return (options.frames - 1) * stride(options, fps) + 1
