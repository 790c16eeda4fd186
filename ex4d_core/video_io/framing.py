"""Select frames and crop windows of a source: arithmetic only, no decoding."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs
import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.types.video import Origin

Fit = Literal["crop", "pad", "stretch"]
"""How a source is brought to another aspect ratio."""

MIN_SIDE = 16
"""The smallest width and height of a frame in pixels."""

MOST_PIXELS = 2**27
"""Pixels of one frame or image, 134 million: a frame of 16K video has as many."""

Box = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""


@attrs.frozen(kw_only=True)
class Framing:
    """A box of the source that is resized into a box of the output; the rest of the output is black."""

    source_size: tuple[int, int]
    """Width and height of the source in pixels."""

    size: tuple[int, int]
    """Width and height of the output in pixels."""

    source_box: Box
    """What is taken of the source."""

    box: Box
    """Where it goes in the output."""

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """Return a source frame [h, w, C] as output frame [H, W, C]: area averages when shrinking, else bicubic."""
        import cv2

        left, top, width, height = self.source_box
        to_left, to_top, to_width, to_height = self.box
        taken = frame[top : top + height, left : left + width]
        if (to_width, to_height) != (width, height):
            shrinks = to_width * to_height < width * height
            how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            taken = cv2.resize(taken, (to_width, to_height), interpolation=how).reshape(to_height, to_width, -1)
        if (to_width, to_height) == self.size:
            return taken
        out = np.zeros((self.size[1], self.size[0], frame.shape[2]), frame.dtype)
        out[to_top : to_top + to_height, to_left : to_left + to_width] = taken
        return out

    def origin(self, frame_indices: tuple[int, ...], source_frames: int) -> Origin:
        """Return what a video made by this framing says of its source.

        Args:
            frame_indices: for each frame, its index in the source.
            source_frames: number of frames in the source, or 0 where that is not known.
        """
        left, top, width, height = self.source_box
        to_left, to_top, to_width, to_height = self.box
        x, y = width / to_width, height / to_height
        return Origin(
            frame_indices=frame_indices,
            source_frames=source_frames,
            source_width=self.source_size[0],
            source_height=self.source_size[1],
            left=left - to_left * x,
            top=top - to_top * y,
            width=self.size[0] * x,
            height=self.size[1] * y,
        )


def frame_to(source_size: tuple[int, int], size: tuple[int, int] | None, fit: Fit = "crop") -> Framing:
    """Return how frames of one size (width, height) become frames of another; `size=None` keeps them.

    `crop` takes the largest centerd box of the wanted aspect, `pad` puts black bars around the whole source,
    `stretch` squashes it. Boxes have whole pixels; `Framing.origin` says exactly what was taken.

    Raises:
        InvalidInput: a size is not one that `check_size` returns, or `fit` is not one of the three.
    """
    if fit not in get_args(Fit):
        raise InvalidInput(f"fit must be one of {', '.join(get_args(Fit))}, not {fit!r}")
    check_size(source_size)
    wanted = source_size if size is None else check_size(size)
    whole, target = (0, 0, *source_size), (0, 0, *wanted)
    if fit == "crop":
        whole = _largest_box(wanted, source_size)
    elif fit == "pad":
        target = _largest_box(source_size, wanted)
    return Framing(source_size=source_size, size=wanted, source_box=whole, box=target)


def _largest_box(aspect_of: tuple[int, int], inside: tuple[int, int]) -> Box:
    """Return the largest centerd box with the aspect of one size that fits into another."""
    scale = min(inside[0] / aspect_of[0], inside[1] / aspect_of[1])
    width, height = (max(1, min(limit, round(side * scale))) for side, limit in zip(aspect_of, inside, strict=True))
    return (inside[0] - width) // 2, (inside[1] - height) // 2, width, height


def check_size(size: Any) -> tuple[int, int]:
    """Return (width, height) if it is a pair of whole numbers of at least 16, with at most `MOST_PIXELS` pixels.

    Raises:
        InvalidInput: it is not.
    """
    pair = tuple(size) if isinstance(size, tuple | list) else ()
    if len(pair) != 2 or not all(_is_int(side) and side > 0 for side in pair):
        raise InvalidInput(f"a size must be a width and a height in whole pixels, both above 0, not {size!r}")
    if min(pair) < MIN_SIDE:
        raise InvalidInput(
            f"{pair[0]}x{pair[1]} is too small; the smallest is {MIN_SIDE}x{MIN_SIDE}: give a larger clip or --size"
        )
    if int(pair[0]) * int(pair[1]) > MOST_PIXELS:
        raise InvalidInput(
            f"the size has more than {MOST_PIXELS:,} pixels, which is too large; give a smaller clip or --size"
        )
    return int(pair[0]), int(pair[1])


def check_selection(*, num_frames: int | None, start: int, stride: int) -> None:
    """Refuse a frame selection that has no meaning.

    Raises:
        InvalidInput: `num_frames` or `stride` is no whole number above 0, or `start` none of at least 0.
    """
    wanted = 1 if num_frames is None else num_frames
    for name, value, least in (("num_frames", wanted, 1), ("start", start, 0), ("stride", stride, 1)):
        if not _is_int(value) or value < least:
            raise InvalidInput(f"{name} must be a whole number of at least {least}, not {value!r}")


def selected(count: int, *, num_frames: int | None, start: int, stride: int) -> range:
    """Return which of `count` frames are taken: every `stride`-th from `start`, `num_frames` at most.

    Raises:
        InvalidInput: a value has no meaning, or `start` lies beyond the last frame.
    """
    check_selection(num_frames=num_frames, start=start, stride=stride)
    if start >= count:
        raise InvalidInput(f"start={start} is beyond the end: there are {count} frames, counted from 0")
    indices = range(start, count, stride)
    return indices if num_frames is None else indices[:num_frames]


def sample_nearest(maps: np.ndarray, origin: Origin, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return maps [..., h, w] of the whole source as seen through a video's window, and where that is inside.

    Each output pixel takes the one input pixel that its center falls into, so no value is invented between a near
    and a far surface. The maps may have another resolution than the source.

    Args:
        maps: any dtype, [..., h, w], covering the whole source.
        origin: of the video.
        size: (width, height) of the video.

    Returns:
        Maps [..., H, W] and bool [H, W], False where the video was padded.
    """
    height, width = maps.shape[-2:]
    x = (origin.left + (np.arange(size[0]) + 0.5) * origin.width / size[0]) * width / origin.source_width
    y = (origin.top + (np.arange(size[1]) + 0.5) * origin.height / size[1]) * height / origin.source_height
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
    columns, rows = x.astype(int).clip(0, width - 1), y.astype(int).clip(0, height - 1)
    return maps[..., rows[:, None], columns], inside


def _is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
