"""Write videos and masks atomically."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.files import atomic_write
from ex4d_core.types import Video

if TYPE_CHECKING:
    import av
    from av.video.reformatter import VideoReformatter

    Convert = Callable[[np.ndarray, VideoReformatter], av.VideoFrame]

H264_SUFFIXES = (".mp4", ".m4v", ".mov")
FFV1_SUFFIX = ".mkv"

X264_OPTIONS = {"preset": "medium", "profile": "high", "x264-params": "cpu-independent=1"}
"""Without the last, x264 now and then makes another file of the same small frames."""

MASK_OPTIONS = {"crf": "4", "qmax": "16", **X264_OPTIONS}
"""Quantizer 16 is a step of 4 of 255 levels: black and white stay far from the threshold half-way between them."""

FFV1_OPTIONS = {"level": "3", "slices": "4", "slicecrc": "1", "coder": "1", "g": "1"}
"""Version 3 of the format, four slices that threads share, each with a checksum; every frame stands alone."""


def write_video(video: Video, path: str | os.PathLike[str], *, crf: int = 18) -> None:
    """Write a video: H.264 for `.mp4`, `.m4v`, `.mov`; lossless FFV1 for `.mkv`. Folders are made as needed.

    H.264 is written as every browser and phone plays it: High profile, 4:2:0, tagged and converted as BT.709 of
    limited range, index first. 4:2:0 needs even sides, so an odd last column or row is repeated once.

    Args:
        video: what to write.
        path: of the file; it appears under this name only when it is complete.
        crf: x264's quality, 1 (best) to 51; `.mkv` does not use it.

    Raises:
        InvalidInput: the name's suffix or `crf` is none of these, or the video has no frames.
        OutputFailed: the file cannot be written.
    """
    _refuse_empty(video.frames, path)
    write_frames((frame.numpy() for frame in video.frames), path, fps=video.fps, crf=crf)


def write_frames(frames: Iterable[np.ndarray], path: str | os.PathLike[str], *, fps: Fraction, crf: int = 18) -> None:
    """Write frames uint8 [H, W, 3] as `write_video` does, one at a time: they need not all be in memory.

    Raises:
        InvalidInput: the name's suffix or `crf` is none of those that `write_video` takes.
        OutputFailed: the file cannot be written.
    """
    if not 1 <= crf <= 51:
        raise InvalidInput(f"crf must be between 1 (best) and 51, not {crf}")
    if _is_lossless(path):
        _write(path, frames, _rgb_exact, fps, "ffv1", FFV1_OPTIONS)
    else:
        _write(path, frames, _rgb_420, fps, "libx264", {"crf": str(crf), **X264_OPTIONS})


def write_mask(mask: Tensor, path: str | os.PathLike[str], *, fps: Fraction) -> None:
    """Write a mask bool [T, H, W] as white (True) on black, so that `read_mask` gives it back exactly.

    `.mkv` is gray FFV1. `.mp4`, `.m4v`, `.mov` are H.264 that browsers play: not lossless in shades, but exact at
    the threshold; an odd last column or row is repeated once, as `write_video` does.

    Raises:
        InvalidInput: the name's suffix is none of these, or the mask has no frames.
        OutputFailed: the file cannot be written.
    """
    _refuse_empty(mask, path)
    shades = (frame.numpy().astype(np.uint8) * 255 for frame in mask)
    if _is_lossless(path):
        _write(path, shades, _gray_exact, fps, "ffv1", FFV1_OPTIONS)
    else:
        _write(path, shades, _gray_420, fps, "libx264", MASK_OPTIONS)


def _refuse_empty(frames: Tensor, path: str | os.PathLike[str]) -> None:
    if len(frames) == 0:
        raise InvalidInput(f"{path} cannot be written: there are no frames")


def check_video_suffix(path: str | os.PathLike[str]) -> None:
    """See that `write_video` can write a file of this name, before there is anything to write.

    Raises:
        InvalidInput: it cannot, by its suffix.
    """
    _is_lossless(path)


def _is_lossless(path: str | os.PathLike[str]) -> bool:
    suffix = Path(path).suffix.lower()
    if suffix != FFV1_SUFFIX and suffix not in H264_SUFFIXES:
        known = ", ".join((*H264_SUFFIXES, FFV1_SUFFIX))
        raise InvalidInput(f"{path} cannot be written: its name must end in one of {known}")
    return suffix == FFV1_SUFFIX


def _rgb_exact(frame: np.ndarray, reformatter: VideoReformatter) -> av.VideoFrame:
    import av

    # FFV1 has no 24-bit RGB; of bgr0 it stores three bytes. This conversion only moves bytes.
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    return reformatter.reformat(rgb, format="bgr0")


def _rgb_420(frame: np.ndarray, reformatter: VideoReformatter) -> av.VideoFrame:
    import av
    from av.video.reformatter import ColorRange, Colorspace, Interpolation

    return reformatter.reformat(
        av.VideoFrame.from_ndarray(_even(frame), format="rgb24"),
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND,
    )


def _gray_exact(shade: np.ndarray, reformatter: VideoReformatter) -> av.VideoFrame:
    import av

    return av.VideoFrame.from_ndarray(shade, format="gray")


def _gray_420(shade: np.ndarray, reformatter: VideoReformatter) -> av.VideoFrame:
    return _rgb_420(np.repeat(shade[..., None], 3, axis=-1), reformatter)


def _even(frame: np.ndarray) -> np.ndarray:
    """Return a frame whose sides are even: an odd last row or column is repeated."""
    odd_height, odd_width = frame.shape[0] % 2, frame.shape[1] % 2
    if not (odd_height or odd_width):
        return frame
    return np.pad(frame, ((0, odd_height), (0, odd_width), (0, 0)), mode="edge")


def _write(
    path: str | os.PathLike[str],
    images: Iterable[np.ndarray],
    convert: Convert,
    fps: Fraction,
    codec: str,
    options: dict[str, str],
) -> None:
    import av
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()
    with atomic_write(Path(path)) as partial:
        try:
            _encode(partial, (convert(image, reformatter) for image in images), Fraction(fps), codec, options)
        except av.FFmpegError as error:
            raise OSError(getattr(error, "errno", None), error.strerror or str(error)) from error


def _encode(path: Path, frames: Iterable[av.VideoFrame], fps: Fraction, codec: str, options: dict[str, str]) -> None:
    import av

    lossless = codec == "ffv1"
    # An artifact has the same bytes each time: without that, Matroska gets random identifiers.
    container_options = {"fflags": "+bitexact"} if lossless else {"movflags": "+faststart"}
    with av.open(str(path), "w", container_options=container_options) as container:
        stream: Any = None
        for index, frame in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=fps, options=options)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
                stream.codec_context.time_base = 1 / fps
                stream.codec_context.thread_type = "SLICE" if lossless else "AUTO"
                if not lossless:
                    _tag_bt709(stream.codec_context)
            frame.pts, frame.time_base = index, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _tag_bt709(context: Any) -> None:
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    context.color_range = ColorRange.MPEG
    context.colorspace = Colorspace.ITU709
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
