"""Depth channels of OpenEXR images, from any part and layer."""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import psutil

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import read_bytes, reading
from ex4d_core.video_io.images import MOST_BYTES
from ex4d_core.video_io.limits import check_pixels

DEPTH_NAMES = frozenset({"z", "depth", "zdepth"})
"""Words in the full name of a channel of depth, in lower case."""

_MAX_CHANNELS = 1024
_SAMPLE_BYTES = 4


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

    @property
    def words(self) -> list[str]:
        """The parts of the full name, in lower case."""
        return self.name.lower().split(".")


def read_exr(path: Path) -> np.ndarray:
    """Return the depth channel of an EXR image, [h, w], float32 or uint32.

    The depth channel is the one that is named Z or depth, or is in a layer or part of that name. Otherwise it is the
    only channel, or red of an image that has only colors.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it cannot be read, has too many pixels, or not exactly one such channel.
    """
    data = read_bytes(path, "EXR image", most=MOST_BYTES)
    channels = list_channels(data, path)
    chosen = depth_channel(channels, path)
    samples = sum(channel.size[0] * channel.size[1] for channel in channels)
    with reading(path, "EXR image"):
        if samples * _SAMPLE_BYTES > psutil.virtual_memory().available:
            raise MemoryError  # all channels are decoded
    pixels = _decode(data, path, parts=1 + max(channel.part for channel in channels))[chosen.part][chosen.key].pixels
    return pixels.astype(np.float32) if pixels.dtype == np.float16 else np.asarray(pixels)


def list_channels(data: bytes, path: Path) -> list[ExrChannel]:
    """Return the channels of all parts of an EXR image, without decoding it.

    Raises:
        InvalidInput: the header is damaged, or announces too many pixels or channels.
    """
    import OpenEXR

    try:
        file = OpenEXR.File(io.BytesIO(data), header_only=True, num_threads=0)
        headers = [file.header(index) for index in range(len(file.parts))]
    except Exception as error:
        raise InvalidInput(f"{path} is not an EXR image that can be read: its header is damaged") from error
    with reading(path, "EXR image"):
        channels = [channel for index, header in enumerate(headers) for channel in _channels(index, header, path)]
    if not 0 < len(channels) <= _MAX_CHANNELS:
        raise InvalidInput(f"{path} has {len(channels)} channels; 1 to {_MAX_CHANNELS} are supported")
    return channels


def depth_channel(channels: Sequence[ExrChannel], path: Path) -> ExrChannel:
    """Return the depth channel of an image.

    Raises:
        InvalidInput: there is none, there are several, or it is not an ordinary image.
    """
    named = [channel for channel in channels if DEPTH_NAMES & set(channel.words)]
    candidates = named or list(channels)
    colors = {channel.words[-1]: channel for channel in candidates}
    if len(candidates) == 1:
        (chosen,) = candidates
    elif set(colors) <= set("rgba") and "r" in colors and len(colors) == len(candidates):
        chosen = colors["r"]  # depth saved as a gray image
    else:
        names = textwrap.shorten(", ".join(channel.name for channel in candidates), 200, placeholder=" ...")
        raise InvalidInput(f"{path} has the channels {names}; name exactly one of them Z or depth")
    if not chosen.is_image:
        raise InvalidInput(f"{path}: the channel {chosen.name} is deep or subsampled; save one sample per pixel")
    return chosen


def _channels(index: int, header: Mapping[str, Any], path: Path) -> Iterator[ExrChannel]:
    (left, top), (right, bottom) = (corner.tolist() for corner in header["dataWindow"])
    size = right - left + 1, bottom - top + 1
    if min(size) < 1:
        raise InvalidInput(f"{path} is not an EXR image that can be read: its data window is empty")
    check_pixels(*size, path)
    part, is_deep = header.get("name", ""), "deep" in str(header["type"])
    for channel in header["channels"]:
        yield ExrChannel(
            part=index,
            name=f"{part}.{channel.name}" if part else channel.name,
            key=channel.name,
            size=size,
            is_image=not is_deep and channel.xSampling == channel.ySampling == 1,
        )


def _decode(data: bytes, path: Path, *, parts: int) -> list[Mapping[str, Any]]:
    """Return the channels of each part by name."""
    import OpenEXR

    printed = io.StringIO()  # the library prints why it skips a part
    with reading(path, "EXR image"), contextlib.redirect_stdout(printed):
        file = OpenEXR.File(io.BytesIO(data), separate_channels=True, num_threads=0)
    if len(file.parts) < parts:
        raise InvalidInput(f"{path} is not an EXR image that can be read: it is cut off or damaged")
    return [part.channels for part in file.parts]


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
