"""Read the size of an image from its header, and check it before decoding.

A file of kilobytes can declare billions of pixels, whose decoding takes gigabytes of memory and minutes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

from ex4d_core.errors import InvalidInput
from ex4d_core.video_io.framing import MOST_PIXELS

Size = tuple[int, int]

MOST_BYTES = 2**30
"""Largest image file in bytes; uncompressed 16-bit color of the largest size is smaller."""

_PNG = b"\x89PNG\r\n\x1a\n"

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the frame header of a JPEG (ITU-T T.81, table B.1)."""

_JPEG_BARE = frozenset((0x00, 0x01, *range(0xD0, 0xDA)))
"""Markers without a length."""

_TIFF_SIDES = (256, 257)
"""Tags of the width and the height (TIFF 6.0, section 3)."""

_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


def check_pixels(width: int, height: int, path: str | os.PathLike[str]) -> None:
    """Check the size of an image or frame.

    Raises:
        InvalidInput: it has more than `MOST_PIXELS` pixels.
    """
    if width * height > MOST_PIXELS:
        raise InvalidInput(
            f"{path} has {width}x{height} pixels; at most {MOST_PIXELS:,} are supported, so scale it down first"
        )


def check_image_header(data: bytes, path: str | os.PathLike[str], *, is_whole: bool = True) -> None:
    """Check the size in the header of a PNG, JPEG, WebP, TIFF, BMP or GIF image.

    OpenCV limits other formats to 2**30 pixels.

    Args:
        data: content of the file.
        path: path of the file, for errors.
        is_whole: whether `data` is complete; its beginning may lack the size.

    Raises:
        InvalidInput: it has more than `MOST_PIXELS`, or is one of these formats and its header is damaged.
    """
    read = next((read for start, read in _FORMATS if data.startswith(start)), None)
    if read is None:
        return
    try:
        width, height = read(data)
    except (struct.error, LookupError, ValueError) as error:  # it is truncated, or lacks the size
        if not is_whole:
            return
        raise InvalidInput(f"{path} is not an image that can be read: its header is damaged") from error
    check_pixels(width, height, path)
    if is_whole and data.startswith(_PNG) and not _has_all_chunks(data):
        raise InvalidInput(f"{path} is not an image that can be read: it is cut off")


def is_animated_webp(data: bytes) -> bool:
    """Return whether a file is a WebP image of several frames, by its first 21 bytes."""
    return data.startswith(b"RIFF") and data[8:16] == b"WEBPVP8X" and bool(data[20:21]) and bool(data[20] & 2)


def is_exr(data: bytes) -> bool:
    """Return whether a file is an OpenEXR image, by its first 4 bytes."""
    return data.startswith(b"\x76\x2f\x31\x01")


def _png_size(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _has_all_chunks(data: bytes) -> bool:
    """Return whether no chunk of a PNG announces more bytes than there are, which OpenCV would allocate (RFC 2083)."""
    at = len(_PNG)
    while at < len(data):
        if at + 8 > len(data):
            return False
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + length
    return False


def _gif_size(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp_size(data: bytes) -> Size:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return abs(width), abs(height)  # a negative height turns the rows around


def _webp_size(data: bytes) -> Size:
    """Return the size of a WebP (RFC 9649, sections 2.5 to 2.7); other RIFF files have none."""
    if data[8:16] == b"WEBPVP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[8:16] == b"WEBPVP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26) if data[8:16] == b"WEBPVP8 " else (0, 0)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg_size(data: bytes) -> Size:
    """Return the size in the frame header; bytes between segments are skipped, as decoders do."""
    at = 2
    while True:
        at = data.index(b"\xff", at)
        while data[at] == 0xFF:
            at += 1
        marker, at = data[at], at + 1
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
        if marker not in _JPEG_BARE:
            at += struct.unpack_from(">H", data, at)[0]


def _tiff_size(data: bytes) -> Size:
    """Return the size in the first directory; of a tag that is there twice the larger number counts."""
    order = "<" if data.startswith(b"I") else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    (at,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + ("Q" if is_big else "H"), data, at)
    first, step, value = (8, 20, 12) if is_big else (2, 12, 8)
    sides = dict.fromkeys(_TIFF_SIDES, 0)
    for entry in range(at + first, min(at + first + count * step, len(data)), step):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in sides:
            (number,) = struct.unpack_from(order + _TIFF_NUMBERS[kind], data, entry + value)
            sides[tag] = max(sides[tag], number)
    return sides[256], sides[257]


_FORMATS: tuple[tuple[bytes, Callable[[bytes], Size]], ...] = (
    (_PNG, _png_size),
    (b"\xff\xd8\xff", _jpeg_size),
    (b"RIFF", _webp_size),
    (b"BM", _bmp_size),
    (b"GIF8", _gif_size),
    *((start, _tiff_size) for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)
