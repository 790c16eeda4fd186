"""Read the colors of OpenEXR images: linear light, of BT.709 primaries unless they state others, shown as sRGB."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import reading
from ex4d_core.video_io.exr_parts import (
    MAX_CHANNELS,
    check_samples,
    decode_parts,
    in_window,
    is_sampled_once,
    read_headers,
    window_of,
)
from ex4d_core.video_io.limits import check_pixels
from ex4d_core.video_io.linear import BT709, srgb_codes, to_bt709

_BEAUTY = ("", "rgba", "rgb", "beauty", "combined", "color", "image", "finalimage", "c")
"""Names of the layer with the final colors, in lower case and best first: of most programs, of Blender, of Houdini."""

_SHOWN_NAMES = 200
"""Characters of the list of layers in an error."""


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
        channels = decode_parts(data, path, parts=1)[0]
        planes = [np.asarray(channels[name].pixels, np.float32) for name in names]
        image = _in_display(np.stack(planes, axis=-1), header)
        return srgb_codes(image if matrix is None else image @ matrix.T.astype(np.float32))


def _color_channels(data: bytes, path: Path) -> tuple[Mapping[str, Any], list[str]]:
    """Return the header of the first part, and its channels red, green and blue; gray is three times the same."""
    with reading(path, "EXR image"):
        header = read_headers(data, path)[0]
        channels = {channel.name: channel for channel in header["channels"]}
        windows = [window_of(header, name) for name in ("dataWindow", "displayWindow")]
    for window in windows:
        if min(window.size) < 1:
            raise InvalidInput(f"{path} is not an EXR image that can be read: a window of it is empty")
        check_pixels(*window.size, path)
    names = _chosen(list(channels), path)
    if not all(is_sampled_once(header, channels[name]) for name in names):
        raise InvalidInput(f"{path} is deep or has subsampled colors; save one sample per pixel")
    if len(channels) > MAX_CHANNELS:
        raise InvalidInput(f"{path} has {len(channels)} channels; at most {MAX_CHANNELS} are supported")
    with reading(path, "EXR image"):
        check_samples(windows[0].width * windows[0].height * len(channels))
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


def _in_display(image: np.ndarray, header: Mapping[str, Any]) -> np.ndarray:
    """Return the image in the display window."""
    data, display = window_of(header, "dataWindow"), window_of(header, "displayWindow")
    if data == display:
        return image
    return in_window(image, (data.left - display.left, data.top - display.top), display.size, 0)
