"""Access to OpenEXR images: headers, windows and channels of their parts."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import psutil

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import reading

MAX_CHANNELS = 1024
"""Largest number of channels of an image."""

_SAMPLE_BYTES = 4


@attrs.frozen
class Window:
    """A rectangle of pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


def read_headers(data: bytes, path: Path) -> list[Mapping[str, Any]]:
    """Return the headers of all parts, without decoding.

    Raises:
        InvalidInput: they are damaged.
    """
    import OpenEXR

    try:
        file = OpenEXR.File(io.BytesIO(data), header_only=True, num_threads=0)
        return [file.header(index) for index in range(len(file.parts))]
    except Exception as error:
        raise InvalidInput(f"{path} is not an EXR image that can be read: its header is damaged") from error


def window_of(header: Mapping[str, Any], name: str) -> Window:
    """Return the window `dataWindow` or `displayWindow` of a part; its size may be negative in a damaged file."""
    (left, top), (right, bottom) = (corner.tolist() for corner in header[name])
    return Window(int(left), int(top), int(right - left + 1), int(bottom - top + 1))


def is_sampled_once(header: Mapping[str, Any], channel: Any) -> bool:
    """Return whether a channel has one sample for each pixel: not deep, not subsampled."""
    return "deep" not in str(header["type"]) and channel.xSampling == channel.ySampling == 1


def check_samples(samples: int) -> None:
    """Check that an image, whose channels are all decoded, fits into memory.

    Args:
        samples: number of its samples.

    Raises:
        MemoryError: it does not.
    """
    if samples * _SAMPLE_BYTES > psutil.virtual_memory().available:
        raise MemoryError


def decode_parts(data: bytes, path: Path, *, parts: int) -> list[Mapping[str, Any]]:
    """Return the channels of each part by name.

    Args:
        data: content of the file.
        path: path of the file, for errors.
        parts: number of parts that the header states.

    Raises:
        InvalidInput: fewer parts can be decoded.
    """
    import OpenEXR

    printed = io.StringIO()  # the library prints why it skips a part
    with reading(path, "EXR image"), contextlib.redirect_stdout(printed):
        file = OpenEXR.File(io.BytesIO(data), separate_channels=True, num_threads=0)
    if len(file.parts) < parts:
        raise InvalidInput(f"{path} is not an EXR image that can be read: it is cut off or damaged")
    return [part.channels for part in file.parts]


def in_window(values: np.ndarray, offset: tuple[int, int], size: tuple[int, int], fill: float) -> np.ndarray:
    """Return values [h, w, ...] within a window of another size, float32 [H, W, ...].

    Args:
        values: the values.
        offset: left and top edge of the values in the window.
        size: width and height of the window.
        fill: value where there are none.
    """
    (left, top), (width, height) = offset, size
    canvas = np.full((height, width, *values.shape[2:]), fill, np.float32)
    x, y = max(0, left), max(0, top)
    part = values[max(0, -top) :, max(0, -left) :][: max(0, height - y), : max(0, width - x)]
    canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
    return canvas
