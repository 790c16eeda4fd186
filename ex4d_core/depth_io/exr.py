"""Depth channels of OpenEXR images, from any part and layer."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ex4d_core.depth_io.meaning import says_inverse
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import read_bytes, reading
from ex4d_core.video_io.exr_parts import (
    MAX_CHANNELS,
    Window,
    check_samples,
    decode_parts,
    in_window,
    is_sampled_once,
    read_headers,
    window_of,
)
from ex4d_core.video_io.limits import MOST_BYTES, check_pixels

_PLANES = frozenset({"z", "pz", "hitpz", "zdepth"})
"""Names of depth channels: of most programs, of Houdini, of V-Ray."""

_ALONG_Z = frozenset({"pz", "hitpz"})
"""Names of z in camera axes, which Houdini writes with either sign."""

_OTHERS = ("mist", "normal", "position", "vector", "crypto", "variance", "alpha", "denois")
"""Parts of the names of layers that are not depth, although they may have a channel Z."""

CENTIMETRE = 0.01


@attrs.frozen(kw_only=True)
class ExrChannel:
    """A channel of an EXR image, from its header."""

    part: int
    name: str
    """Full name: of the part if it has one, of the layer and of the channel, such as `ViewLayer.Depth.Z`."""
    key: str
    """Name within the part."""
    size: tuple[int, int]
    """Width and height of the data window, in pixels."""
    is_image: bool
    """Whether there is one sample for each pixel: not deep, not subsampled."""
    offset: tuple[int, int] = (0, 0)
    """Left and top edge of the data window in the display window."""
    shown: tuple[int, int] | None = None
    """Width and height of the display window, if it differs from the data window."""

    @property
    def words(self) -> list[str]:
        """The parts of the full name, in lower case."""
        return self.name.lower().split(".")

    @property
    def is_depth(self) -> bool:
        """Whether the name says depth."""
        if any(other in word for word in self.words for other in _OTHERS):
            return False
        is_named = any("depth" in word or word == "z" for word in self.words)
        return self.words[-1] in _PLANES or is_named or says_inverse(self.name)


@attrs.frozen(eq=False, kw_only=True)
class ExrDepth:
    """The depth of an EXR image."""

    values: np.ndarray
    """[h, w], float32 or uint32."""
    channel: str
    tool: str = ""
    scale: float | None = None
    """Meters of a unit, where the layer states it."""
    doubt: str = ""


def read_exr(path: Path, layer: str | None = None) -> np.ndarray:
    """Return the depth channel of an EXR image, [h, w], float32 or uint32.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it cannot be read, has too many pixels, or not exactly one such channel.
    """
    return decode_exr(read_bytes(path, "EXR image", most=MOST_BYTES), path, layer).values


def decode_exr(data: bytes, path: Path, layer: str | None = None) -> ExrDepth:
    """Return the depth of an EXR image.

    The depth channel is the one that is named Z, Pz or depth, or is in a layer or part of that name. Otherwise it is
    the only channel, or red of a gray image. A data window that is smaller than the display window is filled with NaN.

    Args:
        data: content of the file.
        path: path of the file, for errors.
        layer: full name of the channel; None: found by its name.

    Raises:
        InvalidInput: it cannot be read, has too many pixels, or not exactly one such channel.
    """
    channels = list_channels(data, path)
    chosen = depth_channel(channels, path, layer)
    samples = sum(channel.size[0] * channel.size[1] for channel in channels)
    with reading(path, "EXR image"):
        check_samples(samples)
    parts = decode_parts(data, path, parts=1 + max(channel.part for channel in channels))
    pixels = parts[chosen.part][chosen.key].pixels
    for other in _colors_beside(chosen, channels):
        if not np.array_equal(pixels, parts[other.part][other.key].pixels, equal_nan=pixels.dtype.kind == "f"):
            raise InvalidInput(
                f"{path} has different values in {chosen.name} and {other.name}, colors or a map of points, not depth; "
                "name the channel of depth with --set depth.layer=NAME"
            )
    values = pixels.astype(np.float32) if pixels.dtype == np.float16 else np.asarray(pixels)
    if chosen.shown is not None:
        values = in_window(values, chosen.offset, chosen.shown, np.nan)
    return _described(values, chosen)


def _colors_beside(chosen: ExrChannel, channels: Sequence[ExrChannel]) -> list[ExrChannel]:
    """Return the channels green and blue of a layer whose red is taken for gray."""
    if chosen.words[-1] != "r":
        return []
    stem = chosen.words[:-1]
    return [other for other in channels if other.words[:-1] == stem and other.words[-1] in ("g", "b")]


def _described(values: np.ndarray, channel: ExrChannel) -> ExrDepth:
    """Return the depth with the facts that the name of its layer states."""
    name = channel.name.lower()
    if "vrayzdepth" in name:
        doubt = "V-Ray's ZDepth is 0..1 between two distances that the file does not state, near white or near black"
        return ExrDepth(values=values, channel=channel.name, tool="V-Ray", doubt=doubt)
    if channel.words[-1] in _ALONG_Z and (values < 0).any() and not (values > 0).any():  # cameras look along -z
        return ExrDepth(values=-values, channel=channel.name, tool="Houdini")
    if channel.name == "depth.Z":
        doubt = "Nuke writes 1/z to depth.Z, and other programs write z"
        return ExrDepth(values=values, channel=channel.name, doubt=doubt)
    if "worlddepth" in name or "scenedepth" in name:  # Movie Render Queue of Unreal Engine
        return ExrDepth(values=values, channel=channel.name, tool="Unreal Engine", scale=CENTIMETRE)
    return ExrDepth(values=values, channel=channel.name)


def list_channels(data: bytes, path: Path) -> list[ExrChannel]:
    """Return the channels of all parts of an EXR image, without decoding it.

    Raises:
        InvalidInput: the header is damaged, or announces too many pixels or channels.
    """
    headers = read_headers(data, path)
    with reading(path, "EXR image"):
        channels = [channel for index, header in enumerate(headers) for channel in _channels(index, header, path)]
    if not 0 < len(channels) <= MAX_CHANNELS:
        raise InvalidInput(f"{path} has {len(channels)} channels; 1 to {MAX_CHANNELS} are supported")
    return channels


def depth_channel(channels: Sequence[ExrChannel], path: Path, layer: str | None = None) -> ExrChannel:
    """Return the depth channel of an image.

    Raises:
        InvalidInput: there is none, there are several, or it is not an ordinary image.
    """
    named = [channel for channel in channels if channel.is_depth and not _is_in_vector(channel, channels)]
    candidates = named or list(channels)
    if layer is not None:
        candidates = [channel for channel in channels if channel.name == layer or channel.key == layer]
    colors = {channel.words[-1]: channel for channel in candidates}
    if len(candidates) == 1:
        (chosen,) = candidates
    elif candidates and set(colors) <= set("rgba") and "r" in colors and len(colors) == len(candidates):
        chosen = colors["r"]  # depth saved as a gray image
    else:
        names = textwrap.shorten(", ".join(channel.name for channel in candidates or channels), 200, placeholder=" ...")
        raise InvalidInput(
            f"{path} has the channels {names}; name exactly one of them Z or depth, or give its name with "
            "--set depth.layer=NAME"
        )
    if layer is None and "mist" in chosen.name.lower():
        raise InvalidInput(
            f"{path} has only the mist of Blender ({chosen.name}), 0..1 between two distances; render the pass Z, or "
            f"take it with --set depth.layer={chosen.name} --depth-kind relative"
        )
    if not chosen.is_image:
        raise InvalidInput(f"{path}: the channel {chosen.name} is deep or subsampled; save one sample per pixel")
    return chosen


def _is_in_vector(channel: ExrChannel, channels: Sequence[ExrChannel]) -> bool:
    """Return whether a channel Z is that of a vector, beside X and Y, as in layers of normals."""
    beside = {other.words[-1] for other in channels if other.words[:-1] == channel.words[:-1]}
    return channel.words[-1] == "z" and {"x", "y"} <= beside


def _channels(index: int, header: Mapping[str, Any], path: Path) -> Iterator[ExrChannel]:
    window = window_of(header, "dataWindow")
    if min(window.size) < 1:
        raise InvalidInput(f"{path} is not an EXR image that can be read: its data window is empty")
    check_pixels(*window.size, path)
    offset, shown = _display(header, window, path)
    part = header.get("name", "")
    for channel in header["channels"]:
        yield ExrChannel(
            part=index,
            name=f"{part}.{channel.name}" if part else channel.name,
            key=channel.name,
            size=window.size,
            is_image=is_sampled_once(header, channel),
            offset=offset,
            shown=shown,
        )


def _display(header: Mapping[str, Any], window: Window, path: Path) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """Return the place of the data window in the display window, and the size of that if it differs."""
    display = window_of(header, "displayWindow")
    offset = window.left - display.left, window.top - display.top
    overlaps = -window.width < offset[0] < display.width and -window.height < offset[1] < display.height
    if min(display.size) < 1 or not overlaps or window == display:
        return (0, 0), None
    check_pixels(*display.size, path)
    return offset, display.size


def write_exr(path: Path, depth: np.ndarray) -> None:
    """Write depth, float32 [h, w], as the channel Y, which all readers of gray images understand.

    Raises:
        OSError: the file cannot be written.
    """
    import OpenEXR

    buffer = io.BytesIO()
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Y": np.ascontiguousarray(depth, np.float32)}, num_threads=0).write(buffer)
    path.write_bytes(buffer.getvalue())
