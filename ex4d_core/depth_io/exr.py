"""Depth maps in OpenEXR images (openexr.com, "OpenEXR File Layout")."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import attrs
import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import read_bytes, reading
from ex4d_core.video_io.images import MOST_BYTES
from ex4d_core.video_io.limits import check_pixels

_MAGIC = b"\x76\x2f\x31\x01"
_MOST_CHANNELS = 64
_LONGEST_NAME = 255


def read_exr(path: Path) -> np.ndarray:
    """Return the one channel of an EXR image, or red of several, [h, w].

    Raises:
        InputNotFound: there is no such file.
        InvalidInput: it cannot be read, has too many pixels, or other channels than one, or red, green and blue.
    """
    import cv2

    os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")  # OpenCV asks for it when it meets the first EXR
    data = bytearray(read_bytes(path, "depth map", most=MOST_BYTES))
    try:
        header = _Header.of(data)
    except (struct.error, LookupError, ValueError) as error:  # it ends early, or lacks an attribute
        raise InvalidInput(f"{path} is not an EXR image that can be read: its header is damaged") from error
    check_pixels(*header.size, path)
    if len(header.channels) == 1 and len(header.channels[0]) == 1:
        # OpenCV gives zeros for Z and nothing for V; it knows Y, luminance.
        data[header.first_channel : header.first_channel + 1] = b"Y"
    elif not set(header.channels) <= set("RGBA"):
        names = ", ".join(header.channels)
        raise InvalidInput(f"{path} has the channels {names}; save the depth alone, as Z or Y")
    with reading(path, "depth map"):
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            image = None
    if image is None:
        raise InvalidInput(f"{path} is not an EXR image that can be read")
    return image if image.ndim == 2 else image[..., 2]  # of blue, green, red


@attrs.frozen
class _Header:
    channels: list[str]
    first_channel: int
    """Where the name of the first channel is in the file."""

    size: tuple[int, int]

    @classmethod
    def of(cls, data: bytes | bytearray) -> _Header:
        """Return the header of a file, the first of several.

        Raises:
            ValueError: it is damaged.
            LookupError: it ends early or lacks an attribute.
            struct.error: it ends early.
        """
        if not data.startswith(_MAGIC):
            raise ValueError("not an EXR image")
        attributes = _attributes(data)
        left, top, right, bottom = struct.unpack_from("<4i", data, attributes["dataWindow"][0])
        if right < left or bottom < top:
            raise ValueError("an empty image")
        first, end = attributes["channels"]
        return cls(_channels(data, first, end), first, (right - left + 1, bottom - top + 1))


def _attributes(data: bytes | bytearray) -> dict[str, tuple[int, int]]:
    """Return where the value of each attribute begins and ends."""
    found: dict[str, tuple[int, int]] = {}
    at = 8
    while data[at]:
        name, at = _name(data, at)
        _, at = _name(data, at)
        (size,) = struct.unpack_from("<i", data, at)
        if size < 0:
            raise ValueError("a negative size")
        found[name] = at + 4, at + 4 + size
        at += 4 + size
    return found


def _channels(data: bytes | bytearray, at: int, end: int) -> list[str]:
    """Return the names of a list of channels; each is followed by 16 bytes."""
    names: list[str] = []
    while at < end and data[at]:
        name, at = _name(data, at)
        at += 16
        names.append(name)
        if len(names) > _MOST_CHANNELS:
            raise ValueError("too many channels")
    return names


def _name(data: bytes | bytearray, at: int) -> tuple[str, int]:
    """Return a name and where it has ended."""
    end = data.index(b"\0", at, at + _LONGEST_NAME + 1)
    return data[at:end].decode("latin-1"), end + 1
