"""Read videos and masks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.memory import available_memory
from ex4d_core.progress import Progress, SilentReporter, silent
from ex4d_core.reading import as_path
from ex4d_core.types import Video
from ex4d_core.video_io.clip import open_clip
from ex4d_core.video_io.framing import Fit, Framing, check_selection, check_size, frame_to, selected
from ex4d_core.video_io.source import open_video, raw_frames, read_timing
from ex4d_core.video_io.timing import Timing

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

LOWEST_RATE = Fraction(1, 10_000)
"""Lowest frame rate in Hz; MP4 does not support much lower ones."""

issue_warning = SilentReporter().warn


def read_video(
    path: str | os.PathLike[str],
    *,
    num_frames: int | None = None,
    start: int = 0,
    stride: int = 1,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    fps: Fraction | float | None = None,
    progress: Progress = silent,
    warn: Callable[[str], None] = issue_warning,
    strict: bool = False,
) -> Video:
    """Read a video file or a folder of images.

    Rotation, mirroring, pixel aspect ratio, color matrix and range of the file are applied. Video without color tags
    is treated as BT.709 above 1024x576 and as BT.601 otherwise. HDR and wide gamuts are converted to SDR of BT.709,
    interlaced frames are deinterlaced, linear light of OpenEXR and Radiance HDR is converted to sRGB. A frame of a
    damaged packet repeats the one before. Transparent images are shown over black; alpha of videos is ignored. A
    variable rate is converted to a constant one of the same duration. Only the selected frames are held in memory.

    Args:
        path: the file or folder; images of a folder are sorted by the numbers in their names.
        num_frames: largest number of frames.
        start: index of the first frame.
        stride: use every stride-th frame; the rate is divided by it.
        size: (width, height) of the frames in pixels; None keeps their size.
        fit: how to fit another aspect ratio: crop, pad with black, or stretch.
        fps: rate of a folder of images, 30 by default.
        progress: called after each frame.
        warn: called with each problem and conversion of the clip, once; by default, issues Python warnings.
        strict: refuse a clip with damaged frames.

    Returns:
        The video, with its `origin` in the source.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a video, it is damaged before the last selected frame, or a value is not valid.
    """
    check_selection(num_frames=num_frames, start=start, stride=stride)
    if size is not None:
        check_size(size)
    clip = open_clip(as_path(path, "clip"), fps=None if fps is None else _rate(fps))
    timing = clip.timing
    try:
        ticks = selected(timing.num_frames, num_frames=num_frames, start=start, stride=stride)
        _check_complete(timing, len(ticks), num_frames)
        rate = strided_rate(timing.fps, stride, len(ticks))
        wanted = [timing.source_index[tick] for tick in ticks]
        gathered, framing, seen = _gather(clip.pictures, wanted, size, fit, progress)
        if strict and (damage := clip.damage.message(path)):
            raise InvalidInput(damage)
    except InvalidInput as error:
        raise error if str(path) in str(error) else InvalidInput(f"{path}: {error}") from error
    for problem in clip.messages(path):
        warn(problem)
    total = timing.source_frames if len(gathered) == len(wanted) else seen
    origin = framing.origin(tuple(wanted[: len(gathered)]), total)
    return Video(frames=gathered, fps=rate, origin=origin)


def _check_complete(timing: Timing, available: int, num_frames: int | None) -> None:
    """Refuse a file that is cut off before the last selected frame."""
    if timing.is_cut_off and (num_frames is None or available < num_frames):
        raise InvalidInput(
            f"the file is cut off after {timing.num_frames} frames; copy it again, "
            f"or read the {available} existing ones with num_frames={available}"
        )


def strided_rate(fps: Fraction, stride: int, count: int) -> Fraction:
    """Return the rate of `count` frames that are every `stride`-th one.

    Raises:
        InvalidInput: it is too low for a video.
    """
    if stride == 1 or fps / stride >= LOWEST_RATE:
        return fps / stride
    if count == 1:
        return fps
    raise InvalidInput(
        f"a stride of {stride} leaves {float(fps / stride):.2g} frames per second, which is too low for videos; "
        f"use a stride of at most {max(1, int(fps / LOWEST_RATE))}"
    )


def _rate(fps: Fraction | float) -> Fraction:
    if not 0 < fps < float("inf"):
        raise InvalidInput(f"fps must be above 0, not {fps}")
    return Fraction(fps).limit_denominator(1001)


def _gather(
    frames: Iterator[Callable[[], np.ndarray]],
    wanted: Sequence[int],
    size: tuple[int, int] | None,
    fit: Fit,
    progress: Progress,
) -> tuple[Tensor, Framing, int]:
    """Return the selected frames uint8 [T, H, W, 3], their framing, and the number of frames read."""
    import torch

    progress(0, len(wanted))
    framing: Framing | None = None
    out = np.empty(0, np.uint8)
    done = index = 0
    for index, picture in enumerate(frames):
        if wanted[done] != index:
            continue
        frame = picture()
        source_size = (frame.shape[1], frame.shape[0])
        if framing is None:
            framing = frame_to(source_size, size, fit)
            out = _room(len(wanted), framing.size)
        elif source_size != framing.source_size:
            raise InvalidInput(
                "frame {} is {}x{} but the first is {}x{}; all must be equal".format(
                    index, *source_size, *framing.source_size
                )
            )
        framed = framing.apply(frame)
        while done < len(wanted) and wanted[done] == index:
            out[done] = framed
            done += 1
        progress(done, len(wanted))
        if done == len(wanted):
            break
    if framing is None or done == 0:
        raise InvalidInput("no frames could be decoded")
    return torch.from_numpy(out[:done]), framing, index + 1


def _room(count: int, size: tuple[int, int]) -> np.ndarray:
    """Allocate frames, which must fit into memory."""
    _check_room(count, size, each=3)
    return np.empty((count, size[1], size[0], 3), np.uint8)


def _check_room(count: int, size: tuple[int, int], *, each: int) -> None:
    """Refuse frames that do not fit, since the system may kill the process later instead of refusing the memory.

    Args:
        count: number of frames.
        size: width and height.
        each: bytes of a pixel.
    """
    free = available_memory()
    if count * size[0] * size[1] * each > free:
        raise InvalidInput(
            f"{count} frames of {size[0]}x{size[1]} pixels do not fit into memory; select at most "
            f"{free // (size[0] * size[1] * each)} of them, or smaller ones"
        )


def read_mask(path: str | os.PathLike[str]) -> tuple[Tensor, Fraction]:
    """Read a mask video: bool [T, H, W], True where it is brighter than half, and its rate.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a video, is damaged, or does not fit into memory.
    """
    import torch
    from av.video.reformatter import ColorRange, VideoReformatter

    path = as_path(path, "mask")
    timing = read_timing(path)
    if timing.is_cut_off:
        raise InvalidInput(f"{path} is cut off after {timing.source_frames} frames; copy it again")
    reformatter = VideoReformatter()
    with open_video(path) as (container, stream):
        try:
            _check_room(timing.source_frames, (stream.width, stream.height), each=2)  # as a list, and as one array
        except InvalidInput as error:
            raise InvalidInput(f"{path}: {error}") from error
        shades: list[Any] = [
            reformatter.reformat(frame, format="gray", dst_color_range=ColorRange.JPEG).to_ndarray() > 127
            for frame in raw_frames(container, stream, path)
        ]
    if not shades:
        raise InvalidInput(f"{path} has no frames; use a video with at least one")
    if len({shade.shape for shade in shades}) > 1:
        raise InvalidInput(f"{path} has frames of several sizes; use a mask of one size")
    return torch.from_numpy(np.stack(shades)), timing.fps
