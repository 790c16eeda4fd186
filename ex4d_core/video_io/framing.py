"""Select frames and crop windows of a source: arithmetic only, no decoding."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs
import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.types.video import Origin

Fit = Literal["crop", "pad", "stretch"]
"""How a source is fitted to another aspect ratio."""

MIN_SIDE = 16
"""Smallest width and height of a frame in pixels."""

MOST_PIXELS = 2**27
"""Largest number of pixels of a frame or image: 134 million, as a frame of 16K video."""

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
    """The crop of the source."""

    box: Box
    """Its place in the output."""

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """Convert a source frame [h, w, C] to [H, W, C]: area averaging when shrinking, otherwise bicubic."""
        import cv2

        left, top, width, height = self.source_box
        to_left, to_top, to_width, to_height = self.box
        cropped = frame[top : top + height, left : left + width]
        if (to_width, to_height) != (width, height):
            shrinks = to_width * to_height < width * height
            interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            cropped = cv2.resize(cropped, (to_width, to_height), interpolation=interpolation).reshape(
                to_height, to_width, -1
            )
        if (to_width, to_height) == self.size:
            return cropped
        out = np.zeros((self.size[1], self.size[0], frame.shape[2]), frame.dtype)
        out[to_top : to_top + to_height, to_left : to_left + to_width] = cropped
        return out

    def origin(self, frame_indices: tuple[int, ...], source_frames: int) -> Origin:
        """Return the origin of a video with this framing.

        Args:
            frame_indices: index of each frame in the source.
            source_frames: number of frames of the source, or 0 if unknown.
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
    """Return the conversion of frames from one size (width, height) to another; `size=None` keeps the size.

    `crop` uses the largest centered box of the output aspect ratio, `pad` adds black bars, `stretch` changes the aspect
    ratio. Boxes have whole pixels; `Framing.origin` is exact.

    Raises:
        InvalidInput: a size is not valid for `check_size`, or `fit` is unknown.
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
    """Return the largest centered box with the aspect ratio of one size that fits into another."""
    scale = min(inside[0] / aspect_of[0], inside[1] / aspect_of[1])
    width, height = (max(1, min(limit, round(side * scale))) for side, limit in zip(aspect_of, inside, strict=True))
    return (inside[0] - width) // 2, (inside[1] - height) // 2, width, height


def check_size(size: Any) -> tuple[int, int]:
    """Return a valid size (width, height) as integers.

    Raises:
        InvalidInput: it is not a pair of whole numbers of at least 16 with at most `MOST_PIXELS` pixels.
    """
    pair = tuple(size) if isinstance(size, tuple | list) else ()
    if len(pair) != 2 or not all(_is_int(side) and side > 0 for side in pair):
        raise InvalidInput(f"a size must be a width and a height in whole pixels, both above 0, not {size!r}")
    if min(pair) < MIN_SIDE:
        raise InvalidInput(
            f"{pair[0]}x{pair[1]} is too small; the minimum is {MIN_SIDE}x{MIN_SIDE}: use a larger clip or --size"
        )
    if int(pair[0]) * int(pair[1]) > MOST_PIXELS:
        raise InvalidInput(
            f"the size has more than {MOST_PIXELS:,} pixels, which is too large; use a smaller clip or --size"
        )
    return int(pair[0]), int(pair[1])


def check_selection(*, num_frames: int | None, start: int, stride: int) -> None:
    """Check a frame selection.

    Raises:
        InvalidInput: `num_frames` or `stride` is not a whole number above 0, or `start` not one of at least 0.
    """
    count = 1 if num_frames is None else num_frames
    for name, value, least in (("num_frames", count, 1), ("start", start, 0), ("stride", stride, 1)):
        if not _is_int(value) or value < least:
            raise InvalidInput(f"{name} must be a whole number of at least {least}, not {value!r}")


def selected(count: int, *, num_frames: int | None, start: int, stride: int) -> range:
    """Return the selected indices of `count` frames: every `stride`-th from `start`, at most `num_frames`.

    Raises:
        InvalidInput: a value is not valid, or `start` is beyond the last frame.
    """
    check_selection(num_frames=num_frames, start=start, stride=stride)
    if start >= count:
        raise InvalidInput(f"start={start} is beyond the end: there are {count} frames, counted from 0")
    indices = range(start, count, stride)
    return indices if num_frames is None else indices[:num_frames]


def sample_nearest(maps: np.ndarray, origin: Origin, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Sample maps [..., h, w] of the source at the pixels of a video, by nearest neighbor.

    There is no interpolation, so no values between a near and a far surface. The maps may have another resolution than
    the source.

    Args:
        maps: any dtype, [..., h, w], covering the whole source.
        origin: origin of the video.
        size: (width, height) of the video.

    Returns:
        Maps [..., H, W], and bool [H, W], False in the padding of the video.
    """
    height, width = maps.shape[-2:]
    x = (origin.left + (np.arange(size[0]) + 0.5) * origin.width / size[0]) * width / origin.source_width
    y = (origin.top + (np.arange(size[1]) + 0.5) * origin.height / size[1]) * height / origin.source_height
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
    columns, rows = x.astype(int).clip(0, width - 1), y.astype(int).clip(0, height - 1)
    return maps.take(rows, axis=-2).take(columns, axis=-1), inside


def _is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
