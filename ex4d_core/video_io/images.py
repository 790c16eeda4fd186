"""Read a folder of images as a video."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.names import natural_key
from ex4d_core.reading import check_folder, check_path, read_bytes, reading
from ex4d_core.video_io.convert import over_black
from ex4d_core.video_io.exr import exr_colors
from ex4d_core.video_io.jpeg_xl import JPEG_XL, decode_jpeg_xl
from ex4d_core.video_io.limits import MOST_BYTES, check_image_header, is_exr

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".exr", ".jxl"})
"""Suffixes of frames in a folder."""

_TIFF = (b"II", b"MM")


def is_image_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether the path is a folder.

    Raises:
        InputNotFound: the path does not exist.
        InvalidInput: the path cannot be accessed.
    """
    return stat.S_ISDIR(check_path(path, "clip").st_mode)


def list_images(path: str | os.PathLike[str], suffixes: frozenset[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return the images of a folder, sorted by the numbers in their names.

    Raises:
        InputNotFound: the folder does not exist.
        InvalidInput: it has no images, or cannot be listed.
    """
    check_folder(path, "folder")
    with reading(path, "folder"):
        images = [entry for entry in Path(path).iterdir() if _is_image(entry, suffixes)]
    if suffixes is IMAGE_SUFFIXES:  # EXR images beside others are usually their depth
        images = [image for image in images if image.suffix.lower() != ".exr"] or images
    if not images:
        raise InvalidInput(f"the folder {path} has no images ({', '.join(sorted(suffixes))})")
    return sorted(images, key=lambda image: natural_key(image.name))


def _is_image(entry: Path, suffixes: frozenset[str]) -> bool:
    return entry.suffix.lower() in suffixes and not entry.name.startswith(".") and entry.is_file()


def read_image(path: Path, flags: int | None = None) -> np.ndarray:
    """Return an image as uint8 [H, W, 3], sRGB, with its EXIF rotation applied; with cv2 `flags`, decoded by them.

    The linear light of OpenEXR is converted to sRGB, transparent parts are shown over black.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it cannot be read, or has too many pixels.
    """
    import cv2

    data = read_bytes(path, "image", most=MOST_BYTES)  # cv2.imread does not support all file names
    if flags is None and is_exr(data):
        return exr_colors(data, path)
    if flags is None and data.startswith(JPEG_XL):
        return over_black(decode_jpeg_xl(data, path, mode="RGBA"))
    check_image_header(data, path)
    with reading(path, "image"):
        try:
            pixels = np.frombuffer(data, np.uint8)
            image = cv2.imdecode(pixels, cv2.IMREAD_COLOR if flags is None else flags) if data else None
        except cv2.error:
            image = None
    if image is None:
        raise InvalidInput(f"{path} is not an image that can be read")
    if flags is not None:
        return image
    with reading(path, "image"):
        alpha = _alpha(data, image)
    return image[..., ::-1] if alpha is None else over_black(np.dstack([image[..., ::-1], alpha]))


def _alpha(data: bytes, shown: np.ndarray) -> np.ndarray | None:
    """Return the alpha of an image, uint8 [H, W], or None if it is opaque.

    Args:
        data: content of the file.
        shown: its colors, rotated as it states; OpenCV returns alpha without the rotation.
    """
    import cv2

    pixels = np.frombuffer(data, np.uint8)
    stored = cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED) if _may_have_alpha(data) else None
    kinds = (np.uint16,) if data.startswith(_TIFF) else (np.uint8, np.uint16)  # libtiff applies alpha of 8 bits
    if stored is None or stored.ndim != 3 or stored.shape[2] != 4 or stored.dtype not in kinds:
        return None
    alpha = stored[..., 3] if stored.dtype == np.uint8 else (stored[..., 3] // 257).astype(np.uint8)
    if (alpha == 255).all():
        return None
    colors: Any = cv2.imdecode(pixels, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    both = zip(_orientations(colors), _orientations(alpha), strict=True)
    return next((turned for image, turned in both if np.array_equal(image, shown)), None)


def _orientations(image: np.ndarray) -> Iterator[np.ndarray]:
    for turns in range(4):
        turned = np.rot90(image, turns)
        yield turned
        yield turned[:, ::-1]


def _may_have_alpha(data: bytes) -> bool:
    """Return whether an image may be transparent, so that the opaque ones are not decoded twice."""
    if data.startswith(b"\x89PNG"):
        return data[25] & 4 != 0 or b"tRNS" in data[: data.find(b"IDAT")]
    return not data.startswith((b"\xff\xd8", b"BM")) and data[8:16] != b"WEBPVP8 "


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a color image, uint8 [H, W, 3], sRGB, or a gray image, uint8 or uint16 [H, W].

    Raises:
        OSError: the file cannot be written.
    """
    import cv2

    pixels = image[..., ::-1] if image.ndim == 3 else image
    # cv2.imwrite reports no reasons, and does not support all file names.
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
