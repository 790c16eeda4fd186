"""Write videos and masks atomically."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ex4d_core.bounds import Bounds, frame_rate, require, shown
from ex4d_core.errors import InvalidInput
from ex4d_core.files import atomic_write
from ex4d_core.reading import as_path
from ex4d_core.types import Video
from ex4d_core.types.video import use_player
from ex4d_core.video_io.read import issue_warning
from ex4d_core.video_io.sound import Sound, add_sound

if TYPE_CHECKING:
    import av
    from av.video.reformatter import VideoReformatter
    from torch import Tensor

    Convert = Callable[[np.ndarray, VideoReformatter], av.VideoFrame]

H264_SUFFIXES = (".mp4", ".m4v", ".mov")
FFV1_SUFFIX = ".mkv"

X264_OPTIONS = {"preset": "medium", "profile": "high", "x264-params": "cpu-independent=1"}
"""Without `cpu-independent`, x264 output of small frames sometimes varies."""

MASK_OPTIONS = {"crf": "4", "qmax": "16", **X264_OPTIONS, "preset": "veryfast"}
"""Quantizer 16 is a step of 4 of 255 levels, so black and white stay far from the threshold at 127. The preset takes
half of the time of `medium`, for a file that is a seventh larger."""

FFV1_OPTIONS = {"level": "3", "slices": "4", "slicecrc": "1", "coder": "1", "g": "1"}
"""Version 3, four slices for multithreading with checksums, intra frames only."""


def write_video(
    video: Video,
    path: str | os.PathLike[str],
    *,
    crf: int = 18,
    sound: Sound | None = None,
    warn: Callable[[str], None] = issue_warning,
) -> None:
    """Write a video: H.264 for `.mp4`, `.m4v`, `.mov`; lossless FFV1 for `.mkv`. Creates folders.

    H.264 is compatible with browsers and phones: High profile, 4:2:0, BT.709 with limited range, index at the start.
    4:2:0 requires even sides, so an odd last column or row is repeated.

    Args:
        video: the video.
        path: output file, written atomically.
        crf: quality of x264, 1 (best) to 51; ignored for `.mkv`.
        sound: sound of the clip that the video was made from; None for a silent video.
        warn: called with a sentence for each audio track that cannot be added; by default, issues Python warnings.

    Raises:
        InvalidInput: the suffix is unknown, a value has a wrong type or range, or the video has no frames.
        OutputFailed: the file cannot be written.
    """
    require(video, Video, "write_video", hint="frames, as in Guidance.color, are Video(frames=color, fps=24)")
    path = as_path(path, "output file")
    _refuse_empty(video.frames, path)
    frames = (frame.numpy() for frame in video.frames)
    if sound is None:
        write_frames(frames, path, fps=video.fps, crf=crf)
        return
    with atomic_write(Path(path)) as partial:
        write_frames(frames, partial, fps=video.fps, crf=crf)
        options = _container_options(lossless=_is_lossless(path))
        for problem in add_sound(partial, sound, seconds=video.num_frames / video.fps, options=options):
            warn(problem)


@use_player
def html_player(video: Video) -> str:
    """Return an HTML player of a video, with the frames in H.264."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "video.mp4")
        write_video(video, file)
        data = base64.b64encode(file.read_bytes()).decode()
    return f'<video controls loop width="{video.width}" src="data:video/mp4;base64,{data}"></video>'


def write_frames(frames: Iterable[np.ndarray], path: str | os.PathLike[str], *, fps: Fraction, crf: int = 18) -> None:
    """Write frames uint8 [H, W, 3] as `write_video`, one at a time.

    Raises:
        InvalidInput: the suffix is unknown, or `crf` is out of range.
        OutputFailed: the file cannot be written.
    """
    if Bounds(at_least=1, at_most=51).fault("crf", crf):
        raise InvalidInput(f"crf must be between 1 (best) and 51, not {shown(crf)}")
    if _is_lossless(path):
        _write(path, frames, _rgb_exact, fps, "ffv1", FFV1_OPTIONS)
    else:
        _write(path, frames, _rgb_420, fps, "libx264", {"crf": str(crf), **X264_OPTIONS})


def write_mask(mask: Tensor | np.ndarray, path: str | os.PathLike[str], *, fps: Fraction | float) -> None:
    """Write a mask bool [T, H, W] as white (True) on black, which `read_mask` reads back exactly.

    `.mkv` is gray FFV1. `.mp4`, `.m4v`, `.mov` are H.264, lossy but exact at the threshold; an odd last column or row
    is repeated, as by `write_video`.

    Raises:
        InvalidInput: the suffix is unknown, the mask has no frames, or a value has a wrong type or shape.
        OutputFailed: the file cannot be written.
    """
    from torch import Tensor

    frames: Any = mask.numpy(force=True) if isinstance(mask, Tensor) else mask
    require(frames, np.ndarray, "write_mask")
    if frames.ndim != 3 or frames.dtype != np.bool_:
        raise InvalidInput(f"a mask must be bool [T, H, W], not {frames.dtype} {list(frames.shape)}")
    path, rate = as_path(path, "output file"), frame_rate(fps)
    _refuse_empty(frames, path)
    shades = (frame.astype(np.uint8) * 255 for frame in frames)
    if _is_lossless(path):
        _write(path, shades, _gray_exact, rate, "ffv1", FFV1_OPTIONS)
    else:
        _write(path, shades, _gray_420, rate, "libx264", MASK_OPTIONS)


def _refuse_empty(frames: Tensor | np.ndarray, path: str | os.PathLike[str]) -> None:
    if len(frames) == 0:
        raise InvalidInput(f"{path} cannot be written: there are no frames")


def check_video_suffix(path: str | os.PathLike[str]) -> None:
    """Check that `write_video` supports the suffix of a file name.

    Raises:
        InvalidInput: it does not.
    """
    _is_lossless(path)


def _is_lossless(path: str | os.PathLike[str]) -> bool:
    suffix = Path(path).suffix.lower()
    if suffix != FFV1_SUFFIX and suffix not in H264_SUFFIXES:
        known = ", ".join((*H264_SUFFIXES, FFV1_SUFFIX))
        raise InvalidInput(f"{path} cannot be written: its name must end with one of {known}")
    return suffix == FFV1_SUFFIX


def _rgb_exact(frame: np.ndarray, reformatter: VideoReformatter) -> av.VideoFrame:
    import av

    # FFV1 has no 24-bit RGB; it stores three bytes of bgr0. The conversion is exact.
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
    """Return a frame with even sides: an odd last row or column is repeated."""
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
    with av.open(str(path), "w", container_options=_container_options(lossless=lossless)) as container:
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


def _container_options(*, lossless: bool) -> dict[str, str]:
    # Reproducible files: otherwise, Matroska contains random identifiers.
    return {"fflags": "+bitexact"} if lossless else {"movflags": "+faststart"}


def _tag_bt709(context: Any) -> None:
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    context.color_range = ColorRange.MPEG
    context.colorspace = Colorspace.ITU709
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
