"""Decode JPEG XL images by a plugin of Pillow, since neither OpenCV nor FFmpeg decodes them here."""

from __future__ import annotations

import io
import os

import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import reading
from ex4d_core.video_io.limits import check_pixels

JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
"""First bytes of a codestream and of a container (ISO/IEC 18181-2)."""


def decode_jpeg_xl(data: bytes, path: str | os.PathLike[str], *, mode: str | None = None) -> np.ndarray:
    """Return the pixels of an image, [H, W] or [H, W, C], rotated as it states.

    Args:
        data: content of the file.
        path: path of the file, for errors.
        mode: mode of Pillow to which they are converted; None keeps that of the file.

    Raises:
        InvalidInput: the plugin is not installed, or the image cannot be read or has too many pixels.
    """
    try:
        import pillow_jxl  # type: ignore[import-not-found,unused-ignore]  # noqa: F401  # registers the format
        from PIL import Image
    except ImportError as error:
        raise InvalidInput(
            f"{path} is a JPEG XL image; install its reader with `pip install pillow-jxl-plugin`, or save PNG"
        ) from error
    with reading(path, "JPEG XL image"), Image.open(io.BytesIO(data)) as image:
        check_pixels(*image.size, path)
        return np.asarray(image if mode is None else image.convert(mode))
