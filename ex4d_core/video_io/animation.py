"""Read animated WebP images by OpenCV, since FFmpeg decodes none before version 9."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import attrs
import numpy as np
import psutil

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import read_bytes, reading
from ex4d_core.video_io.convert import over_black
from ex4d_core.video_io.limits import MOST_BYTES, check_image_header
from ex4d_core.video_io.timing import Timing, constant_timing

_MOST_FRAMES = 32767
"""Frames that OpenCV reads at most."""

_DEFAULT_DURATION = 100
"""Milliseconds of a frame without a duration, as in browsers."""


@attrs.frozen(kw_only=True)
class Table:
    """The frames of an animated WebP, from its headers."""

    size: tuple[int, int]
    """Width and height in pixels."""

    durations: list[int]
    """Of each frame, in milliseconds."""


def animation_timing(path: str | os.PathLike[str]) -> Timing:
    """Return the constant rate of an animated WebP, without decoding.

    Raises:
        InvalidInput: it has no frames, or is too large.
    """
    table = read_table(read_bytes(path, "clip", most=MOST_BYTES), path)
    times = np.cumsum([0, *table.durations]).tolist()
    return constant_timing(
        times[:-1], count=len(table.durations), time_base=Fraction(1, 1000), last_duration=table.durations[-1]
    )


def animation_frames(path: str | os.PathLike[str]) -> Iterator[np.ndarray]:
    """Yield the frames of an animated WebP as uint8 [H, W, 3], transparent parts over black.

    Raises:
        InvalidInput: it is damaged, or does not fit into memory.
    """
    data = read_bytes(path, "clip", most=MOST_BYTES)
    table = read_table(data, path)
    with reading(path, "clip"):
        frames = _decode(data)
    for frame in frames:
        yield _over_black(frame)
    if len(frames) < len(table.durations):
        raise InvalidInput(f"{path} is damaged after {len(frames)} frames; copy or save it again")


def _decode(data: bytes) -> Any:
    """Return the frames as OpenCV composes them; none if the file is damaged."""
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it prints why a file is damaged
    try:
        done, animation = cv2.imdecodeanimation(np.frombuffer(data, np.uint8)[None], 0, _MOST_FRAMES)
    except cv2.error:
        return ()
    finally:
        cv2.utils.logging.setLogLevel(level)
    return animation.frames if done else ()


def read_table(data: bytes, path: str | os.PathLike[str]) -> Table:
    """Return size and durations from the chunks of a WebP (RFC 9649, section 2.7).

    Raises:
        InvalidInput: there are no frames, or they do not fit into memory.
    """
    check_image_header(data, path)
    size = int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    at, durations = 12, []
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"ANMF" and at + 8 + length <= len(data):
            durations.append(int.from_bytes(data[at + 20 : at + 23], "little") or _DEFAULT_DURATION)
        at += 8 + length + (length & 1)
    if not durations:
        raise InvalidInput(f"{path} has no frames; use an animation with at least one")
    if len(durations) > _MOST_FRAMES or 4 * size[0] * size[1] * len(durations) > psutil.virtual_memory().available:
        raise InvalidInput(
            f"{path} has {len(durations)} frames of {size[0]}x{size[1]} pixels, which do not fit into memory; "
            "convert it to a video"
        )
    return Table(size=size, durations=durations)


def _over_black(frame: np.ndarray) -> np.ndarray:
    """Convert a frame BGR, BGRA or gray to RGB."""
    if frame.ndim == 2:
        return np.repeat(frame[..., None], 3, axis=2)
    return over_black(frame[..., [2, 1, 0, 3]]) if frame.shape[2] == 4 else frame[..., ::-1]
