"""Read the colors of OpenEXR images: linear light, of BT.709 primaries unless they state others, shown as sRGB."""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import reading
from ex4d_core.video_io.limits import check_pixels
from ex4d_core.video_io.linear import BT709, srgb_codes, to_bt709

_MAX_CHANNELS = 1024
_SAMPLE_BYTES = 4

_BEAUTY = ("", "rgba", "rgb", "beauty", "combined", "color", "image", "finalimage", "c")
"""Names of the layer with the final colors, in lower case and best first: of most programs, of Blender, of Houdini."""

_SHOWN_NAMES = 200
"""Characters of the list of layers in an error."""

Window = tuple[tuple[int, int], tuple[int, int]]
"""Left and top, right and bottom, inclusive."""


def exr_colors(data: bytes, path: Path) -> np.ndarray:
    """Return the colors of an image as uint8 [H, W, 3], sRGB, in its display window, which is black outside the data.

    Args:
        data: content of the file.
        path: path of the file, for errors.

    Raises:
        InvalidInput: it cannot be read, has too many pixels, or has no colors.
    """
    header, names = _color_channels(data, path)
    try:
        matrix = to_bt709(header.get("chromaticities", BT709))
    except ValueError as error:
        raise InvalidInput(f"{path} is not an EXR image that can be read: its primaries are damaged") from error
    with reading(path, "EXR image"):
        planes = _decode(data, path, names)
        image = _in_display(np.stack(planes, axis=-1), header)
        return srgb_codes(image if matrix is None else image @ matrix.T.astype(np.float32))


def _color_channels(data: bytes, path: Path) -> tuple[Mapping[str, Any], list[str]]:
    """Return the header of the first part, and its channels red, green and blue; gray is three times the same."""
    import OpenEXR

    try:
        header = OpenEXR.File(io.BytesIO(data), header_only=True, num_threads=0).header(0)
        channels = {channel.name: channel for channel in header["channels"]}
        windows = [_window(header, name) for name in ("dataWindow", "displayWindow")]
    except Exception as error:
        raise InvalidInput(f"{path} is not an EXR image that can be read: its header is damaged") from error
    for (left, top), (right, bottom) in windows:
        if right < left or bottom < top:
            raise InvalidInput(f"{path} is not an EXR image that can be read: a window of it is empty")
        check_pixels(right - left + 1, bottom - top + 1, path)
    names = _chosen(list(channels), path)
    if "deep" in str(header["type"]) or any(channels[name].xSampling * channels[name].ySampling != 1 for name in names):
        raise InvalidInput(f"{path} is deep or has subsampled colors; save one sample per pixel")
    (left, top), (right, bottom) = windows[0]
    samples = (right - left + 1) * (bottom - top + 1) * len(channels)
    if len(channels) > _MAX_CHANNELS or samples * _SAMPLE_BYTES > psutil.virtual_memory().available:
        raise InvalidInput(f"{path} has {len(channels)} channels, which do not fit into memory; save fewer layers")
    return header, names


def _chosen(names: Sequence[str], path: Path) -> list[str]:
    """Return the channels of the layer with the final colors: the first of `_BEAUTY`, or the only one with colors."""
    layers: dict[str, dict[str, str]] = {}
    for name in names:
        layer, _, channel = name.rpartition(".")
        layers.setdefault(layer, {})[channel.lower()] = name
    colored = {layer: found for layer, found in layers.items() if {"r", "g", "b"} <= found.keys()}
    gray = {layer: found for layer, found in layers.items() if "y" in found and not {"ry", "by"} & found.keys()}
    known = [
        (colored | gray)[layer]
        for wanted in _BEAUTY
        for layer in {**gray, **colored}
        if layer.lower().rpartition(".")[2] == wanted
    ]
    best = known or list(colored.values() if len(colored) == 1 else ())
    if not best:
        listed = textwrap.shorten(", ".join(names), _SHOWN_NAMES, placeholder=" ...")
        raise InvalidInput(f"{path} has the channels {listed}, of which none are its final colors; save R, G and B")
    return [best[0]["y"]] * 3 if "r" not in best[0] else [best[0][channel] for channel in "rgb"]


def _decode(data: bytes, path: Path, names: Sequence[str]) -> list[np.ndarray]:
    import OpenEXR

    with contextlib.redirect_stdout(io.StringIO()):  # the library prints why it skips a part
        parts = OpenEXR.File(io.BytesIO(data), separate_channels=True, num_threads=0).parts
    if not parts:
        raise InvalidInput(f"{path} is not an EXR image that can be read: it is cut off or damaged")
    return [np.asarray(parts[0].channels[name].pixels, np.float32) for name in names]


def _window(header: Mapping[str, Any], name: str) -> Window:
    first, last = (corner.tolist() for corner in header[name])
    return (int(first[0]), int(first[1])), (int(last[0]), int(last[1]))


def _in_display(image: np.ndarray, header: Mapping[str, Any]) -> np.ndarray:
    """Return the image in the display window."""
    (left, top), _ = _window(header, "dataWindow")
    (first, upper), (last, lower) = _window(header, "displayWindow")
    width, height = last - first + 1, lower - upper + 1
    if (left, top) == (first, upper) and image.shape[:2] == (height, width):
        return image
    canvas = np.zeros((height, width, 3), np.float32)
    x, y = left - first, top - upper
    part = image[max(0, -y) :, max(0, -x) :][: max(0, height - max(0, y)), : max(0, width - max(0, x))]
    canvas[max(0, y) : max(0, y) + part.shape[0], max(0, x) : max(0, x) + part.shape[1]] = part
    return canvas
