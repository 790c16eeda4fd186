"""Depth maps in image files: PNG, TIFF, PFM, DPT, EXR, JPEG XL, and colors that stand for depth."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import psutil

from ex4d_core.depth_io.exr import decode_exr
from ex4d_core.depth_io.falsecolor import Colors, in_color
from ex4d_core.depth_io.frames import DepthFrames, Unit
from ex4d_core.depth_io.meaning import file_says_inverse, says_inverse
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import read_bytes, reading
from ex4d_core.video_io.jpeg_xl import JPEG_XL, decode_jpeg_xl
from ex4d_core.video_io.limits import MOST_BYTES, check_image_header, check_pixels

FLOAT_SUFFIXES = frozenset({".exr", ".pfm", ".dpt"})
COLOR_SUFFIXES = frozenset({".jpg", ".jpeg", ".webp", ".bmp"})
IMAGE_SUFFIXES = FLOAT_SUFFIXES | {".png", ".tif", ".tiff", ".jxl"}
"""Suffixes of images that can hold depth."""

_SINTEL = 202021.25
"""First number of `.dpt` and `.flo` files (MPI Sintel, sintel_io.py), the bytes `PIEH`."""

_MOST_PAGES = 100_000

_PIXEL_BYTES = 4

_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


@attrs.frozen(eq=False, kw_only=True)
class Pages:
    """The maps of one image file."""

    values: Sequence[np.ndarray]
    """[h, w] each."""
    unit: Unit
    tool: str = ""
    scale: float | None = None
    doubt: str = ""
    is_inverse: bool = False


def open_map(path: Path, *, layer: str | None, colors: Colors, data: bytes | None = None) -> DepthFrames:
    """Return the map of an image file, or the maps of its pages.

    Args:
        path: the file; with `data`, only its name in messages.
        layer: channel of an EXR image; None: found by its name.
        colors: the reading of colors.
        data: content of the file.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, or is not depth.
    """
    content = read_bytes(path, "depth map", most=MOST_BYTES) if data is None else data
    pages = _decoder(path, content)(content, path, layer, colors)
    shapes = {page.shape for page in pages.values}
    if len(shapes) != 1:
        raise InvalidInput(f"{path} has pages of several sizes; depth maps must be equal in size")
    ((height, width),) = shapes

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        return (pages.values[index] for index in indices)

    return DepthFrames(
        count=len(pages.values),
        size=(width, height),
        read=read,
        unit=pages.unit,
        tool=pages.tool,
        scale=pages.scale,
        doubt=pages.doubt,
        is_inverse=not pages.doubt and (pages.is_inverse or file_says_inverse(path)),
    )


Decode = Callable[[bytes, Path, str | None, Colors], Pages]


def _decoder(path: Path, data: bytes) -> Decode:
    """Return the decoder of a file by its first bytes."""
    for start, decode in _FORMATS:
        if data.startswith(start):
            return decode
    return {".exr": _exr, ".pfm": _pfm, ".dpt": _dpt}.get(path.suffix.lower(), _image)


def _exr(data: bytes, path: Path, layer: str | None, colors: Colors) -> Pages:
    found = decode_exr(data, path, layer)
    unit: Unit = "float" if found.values.dtype.kind == "f" else "integer"
    return Pages(
        values=[found.values],
        unit=unit,
        tool=found.tool,
        scale=found.scale,
        doubt=found.doubt,
        is_inverse=says_inverse(found.channel),
    )


def _pfm(data: bytes, path: Path, layer: str | None, colors: Colors) -> Pages:
    """Decode a portable float map: rows from the bottom, the sign of the scale is the byte order (Middlebury)."""
    head = re.match(rb"P([fF])\s+(\d{1,7})\s+(\d{1,7})\s+([-+.0-9eE]{1,30})\s", data[:200])
    if head is None:
        raise InvalidInput(f"{path} is not a PFM image that can be read: its header is damaged")
    width, height = int(head[2]), int(head[3])
    check_pixels(width, height, path)
    with reading(path, "PFM image"):
        order, channels = "<" if float(head[4]) < 0 else ">", 3 if head[1] == b"F" else 1
    if min(width, height) < 1 or len(data) - head.end() < 4 * width * height * channels:
        raise InvalidInput(f"{path} is not a PFM image that can be read: it is cut off")
    values = np.frombuffer(data, f"{order}f4", width * height * channels, head.end())
    image = values.astype(np.float32).reshape(height, width, channels)[::-1]
    is_disparity = path.name.lower().startswith("disp")
    return Pages(
        values=[_one_of_equal(image, path)],
        unit="float",
        tool="Middlebury" if is_disparity else "",
        doubt="its name says disparity, which Middlebury gives in pixels" if is_disparity else "",
    )


def _dpt(data: bytes, path: Path, layer: str | None, colors: Colors) -> Pages:
    """Decode a depth map of MPI Sintel; its optical flow has the same beginning and two numbers per pixel."""
    if len(data) < 12 or struct.unpack("<f", data[:4])[0] != _SINTEL:
        raise InvalidInput(f"{path} is not a Sintel depth map that can be read: its header is damaged")
    width, height = struct.unpack("<ii", data[4:12])
    if min(width, height) < 1:
        raise InvalidInput(f"{path} is not a Sintel depth map that can be read: it has no pixels")
    check_pixels(width, height, path)
    if len(data) == 12 + 8 * width * height:
        raise InvalidInput(f"{path} is optical flow, two numbers for each pixel, not depth")
    if len(data) != 12 + 4 * width * height:
        raise InvalidInput(f"{path} is not a Sintel depth map that can be read: it is cut off")
    return Pages(values=[np.frombuffer(data, "<f4", offset=12).reshape(height, width)], unit="float", tool="MPI Sintel")


def _jxl(data: bytes, path: Path, layer: str | None, colors: Colors) -> Pages:
    return _pages(decode_jpeg_xl(data, path), path, colors)


def _image(data: bytes, path: Path, layer: str | None, colors: Colors) -> Pages:
    """Decode any image that OpenCV reads."""
    import cv2

    check_image_header(data, path)
    with reading(path, "image"):
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
        except cv2.error:
            image = None
    if image is None:
        raise InvalidInput(f"{path} is not an image that can be read")
    return _pages(image[..., [2, 1, 0, *range(3, image.shape[2])]] if _has_colors(image) else image, path, colors)


def _tiff(data: bytes, path: Path, layer: str | None, colors: Colors) -> Pages:
    """Decode all pages of a TIFF image."""
    import cv2

    check_image_header(data, path)
    with reading(path, "image"):
        sizes = _page_sizes(data)
        for width, height in sizes:
            check_pixels(width, height, path)
        if sum(width * height for width, height in sizes) * _PIXEL_BYTES > psutil.virtual_memory().available:
            raise MemoryError
        try:
            pixels = np.frombuffer(data, np.uint8)
            found, pages = cv2.imdecodemulti(pixels, cv2.IMREAD_UNCHANGED, range=(0, len(sizes)))
        except cv2.error:
            found, pages = False, ()
    if not found or not pages:
        raise InvalidInput(f"{path} is not an image that can be read")
    maps = [_pages(page, path, colors) for page in pages]
    return attrs.evolve(maps[0], values=[page.values[0] for page in maps])


def _page_sizes(data: bytes) -> list[tuple[int, int]]:
    """Return the width and height in each directory of a TIFF (TIFF 6.0, section 2; BigTIFF has offsets of 8 bytes)."""
    order = "<" if data.startswith(b"I") else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    offset, number, step, value = ("Q", "Q", 20, 12) if is_big else ("I", "H", 12, 8)
    (at,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
    sizes: dict[int, tuple[int, int]] = {}
    while at and at not in sizes and len(sizes) < _MOST_PAGES:
        (entries,) = struct.unpack_from(order + number, data, at)
        first = at + struct.calcsize(order + number)
        sides = {256: 0, 257: 0}
        for entry in range(first, min(first + entries * step, len(data)), step):
            tag, kind = struct.unpack_from(order + "HH", data, entry)
            if tag in sides:
                (side,) = struct.unpack_from(order + _TIFF_NUMBERS[kind], data, entry + value)
                sides[tag] = max(sides[tag], side)
        sizes[at] = sides[256], sides[257]
        (at,) = struct.unpack_from(order + offset, data, first + entries * step)
    return list(sizes.values())


def _pages(image: np.ndarray, path: Path, colors: Colors) -> Pages:
    """Return a decoded image, RGB or gray, as a map."""
    pixels: Any = np.squeeze(image)
    if pixels.dtype.kind not in "uif":
        raise InvalidInput(f"{path} contains {pixels.dtype} values; depth must be numbers")
    if _has_colors(pixels):
        hidden = pixels[..., 3] == 0 if pixels.shape[2] == 4 else np.zeros(pixels.shape[:2], bool)
        if pixels.dtype == np.uint8:
            return Pages(values=[_without(colors.decode(pixels[..., :3], path), hidden)], unit="normalized")
        unit: Unit = "float" if pixels.dtype.kind == "f" else "integer"
        return Pages(values=[_without(_one_of_equal(pixels[..., :3], path), hidden)], unit=unit)
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise InvalidInput(f"{path} is an array of shape {list(pixels.shape)}, not a depth map")
    if pixels.dtype == np.uint8:
        return Pages(values=[pixels.astype(np.float32) / 255], unit="normalized")
    return Pages(values=[pixels], unit="float" if pixels.dtype.kind == "f" else "integer")


def _has_colors(image: np.ndarray) -> bool:
    return image.ndim == 3 and image.shape[2] >= 3


def _without(values: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return values with NaN where a picture is transparent, unless all of it is."""
    return np.where(hidden, np.float32(np.nan), values) if hidden.any() and not hidden.all() else values


def _one_of_equal(image: np.ndarray, path: Path) -> np.ndarray:
    """Return one of the equal channels of an image [h, w, C]."""
    if not all(np.array_equal(image[..., 0], image[..., at], equal_nan=True) for at in range(1, image.shape[2])):
        raise in_color(path)
    return image[..., 0]


_FORMATS: tuple[tuple[bytes, Decode], ...] = (
    (b"\x76\x2f\x31\x01", _exr),
    (b"PIEH", _dpt),
    (b"Pf", _pfm),
    (b"PF", _pfm),
    *((start, _jxl) for start in JPEG_XL),
    *((start, _tiff) for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)
"""First bytes of the formats with their own decoder."""
