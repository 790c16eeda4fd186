"""Depth in videos: lossless gray, or normalized gray of 8 bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ex4d_core.depth_io.falsecolor import Colors, is_gray
from ex4d_core.depth_io.frames import DepthFrames, Unit
from ex4d_core.depth_io.meaning import file_says_inverse
from ex4d_core.errors import InvalidInput
from ex4d_core.video_io.source import first_of, open_video, oriented, raw_frames, read_timing

if TYPE_CHECKING:
    import av


def open_depth_video(path: Path, colors: Colors) -> DepthFrames:
    """Return the maps of a video.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, is cut off, or has colors.
    """
    timing = read_timing(path)
    if timing.is_cut_off:
        raise InvalidInput(f"{path} is cut off after {timing.source_frames} frames; copy it again")
    with open_video(path) as (container, stream):
        first = first_of(raw_frames(container, stream, path), path)
        unit, (height, width) = _frame_unit(first), oriented(_plane(first), first).shape
        has_color = unit == "normalized" and not first.format.name.startswith("gray")
        is_colored = has_color and (colors.colormap is not None or not is_gray(_pixels(first)))
        if is_colored:
            colors.decode(_pixels(first), path)  # refuses colors that are not depth

    def value(frame: av.VideoFrame) -> np.ndarray:
        if is_colored:
            return colors.decode(_pixels(frame), path)
        if has_color and not is_gray(_pixels(frame)):
            colors.decode(_pixels(frame), path)
        return _plane(frame)

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        remaining = list(indices)
        with open_video(path) as (container, stream):
            for index, frame in enumerate(raw_frames(container, stream, path)):
                while remaining and remaining[0] == index:
                    yield oriented(value(frame), frame)
                    remaining.pop(0)
                if not remaining:
                    return
        raise InvalidInput(f"{path} ends before frame {remaining[0]}")

    return DepthFrames(
        count=timing.source_frames, size=(width, height), read=read, unit=unit, is_inverse=file_says_inverse(path)
    )


def _frame_unit(frame: av.VideoFrame) -> Unit:
    if frame.format.name.startswith("grayf32"):
        return "float"
    deep_gray = frame.format.name.startswith("gray") and frame.format.components[0].bits > 8
    return "integer" if deep_gray else "normalized"


def _pixels(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="rgb24")


def _plane(frame: av.VideoFrame) -> np.ndarray:
    """Return the plane of a gray frame unchanged, or the luma of other formats as float32 0..1."""
    unit = _frame_unit(frame)
    plane: Any = frame
    if unit == "normalized":
        plane = frame.reformat(format="gray16le", dst_color_range="JPEG")
    order = ">" if plane.format.name.endswith("be") else "<"
    dtype = np.dtype(order + ("f4" if unit == "float" else "u2"))
    values = np.frombuffer(plane.planes[0], dtype).reshape(plane.height, -1)[:, : plane.width]
    return values.astype(np.float32) / 65535 if unit == "normalized" else values.astype(dtype.newbyteorder("="))
