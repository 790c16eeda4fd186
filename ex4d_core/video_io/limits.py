"""The size of a picture, read from its header and compared with a limit before any pixel is decoded.

A file of kilobytes can announce billions of pixels, which would take gigabytes of memory and minutes to decode.
"""

from __future__ import annotations

import os
import struct
import warnings
from io import BytesIO

from ex4d_core.errors import InvalidInput

MOST_PIXELS = 2**27
"""Pixels of one image or video frame, 134 million: a frame of 16K video has as many."""

_TIFF = (b"II*\0", b"MM\0*")


def check_pixels(width: int, height: int, path: str | os.PathLike[str]) -> None:
    """Refuse pictures that are too large to be decoded.

    Raises:
        InvalidInput: the picture has more than `MOST_PIXELS`.
    """
    if width * height > MOST_PIXELS:
        raise InvalidInput(
            f"{path} is {width}x{height} pixels; at most {MOST_PIXELS:,} are read, so scale it down before"
        )


def check_image_header(data: bytes, path: str | os.PathLike[str]) -> None:
    """Refuse an image by its header: too large, or more than one picture.

    TIFF knows kinds of pixels, such as several channels of floats, that only the decoder reads; it has a limit too.

    Raises:
        InvalidInput: it is not an image, has more than `MOST_PIXELS`, or is animated.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, whose limit is ours
            with Image.open(BytesIO(data)) as image:
                size, is_animated = image.size, getattr(image, "is_animated", False) and image.format != "TIFF"
    except Image.DecompressionBombError as error:
        raise InvalidInput(f"{path} announces too many pixels; at most {MOST_PIXELS:,} are read") from error
    except Exception as error:  # a damaged header makes it raise anything
        if data.startswith(_TIFF):
            return
        raise InvalidInput(f"{path} is not an image that can be read") from error
    check_pixels(*size, path)
    if is_animated:
        raise InvalidInput(
            f"{path} is an animated image; convert it to a video, such as: ffmpeg -i {os.path.basename(path)} clip.mp4"
        )


def check_exr_header(data: bytes | bytearray, path: str | os.PathLike[str]) -> None:
    """Refuse an EXR image by its data window (openexr.com, "File Layout").

    Raises:
        InvalidInput: it has more than `MOST_PIXELS`, or no data window.
    """
    mark = b"dataWindow\0box2i\0\x10\0\0\0"
    start = data.find(mark) + len(mark)
    if start < len(mark) or len(data) < start + 16:
        raise InvalidInput(f"{path} is not an EXR image that can be read")
    left, top, right, bottom = struct.unpack_from("<4i", data, start)
    if right < left or bottom < top:
        raise InvalidInput(f"{path} is not an EXR image that can be read")
    check_pixels(right - left + 1, bottom - top + 1, path)
