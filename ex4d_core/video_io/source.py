"""Open a video file: its stream, frame times, orientation and colors."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_file, reading
from ex4d_core.video_io.images import is_image_folder, list_images, read_image
from ex4d_core.video_io.limits import check_image_header, check_pixels, is_animated_webp
from ex4d_core.video_io.timing import DEFAULT_FPS, Timing, constant_timing

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

UNTAGGED = 2
"""Code of an unspecified color matrix (ITU-T H.273, table 4)."""

_NOT_A_VIDEO = frozenset({"ansi", "bintext", "xbin", "idf"})
"""Decoders that render text; FFmpeg uses them for any text file."""

_LISTS = frozenset(
    ("applehttp", "avisynth", "concat", "dash", "hls", "imf", "lavfi", "rtp", "rtsp", "sdp", "vapoursynth", "vobsub")
)
"""Formats of FFmpeg that open other files or addresses, which is not allowed."""

_LIST_STARTS = (b"ffconcat", b"#EXTM3U", b"<MPD", b"v=0")

_XML_LISTS = (b"<MPD", b"<CompositionPlaylist")

_HEADER = 2**16
"""Number of bytes that are checked before FFmpeg opens a file."""

_DURATION_SLACK = 0.2
"""Tolerance of the declared duration in seconds, since muxers round."""


@attrs.frozen(kw_only=True)
class VideoInfo:
    """Properties of a video file."""

    width: int
    """In pixels, after rotation."""

    height: int
    """In pixels, after rotation."""

    fps: Fraction
    """Frames per second, as returned by `read_video`."""

    num_frames: int
    """Number of frames at that rate."""


def probe_video(path: str | os.PathLike[str]) -> VideoInfo:
    """Return size, rate and length of a video file or image folder; decodes only the first frame.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a video.
    """
    if is_image_folder(path):
        names = list_images(path)
        height, width = read_image(names[0]).shape[:2]
        return VideoInfo(width=width, height=height, fps=DEFAULT_FPS, num_frames=len(names))
    with open_video(path) as (container, stream):
        height, width = first_of(pictures(container, stream, path), path)().shape[:2]
    timing = read_timing(path)
    return VideoInfo(width=width, height=height, fps=timing.fps, num_frames=timing.num_frames)


@contextmanager
def open_video(path: str | os.PathLike[str]) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its first video stream.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a video, or has only audio.
    """
    import av

    check_file(path, "clip")
    with reading(path, "clip"):
        _check_start(path)
        try:
            container = av.open(_unambiguous(path), options=_options(path), **_lenient(av.__version__))
        except (av.FFmpegError, UnicodeError) as error:
            raise InvalidInput(
                f"{path} is not a video that can be read ({_reason(error)}); use another file, or a folder of images"
            ) from error
        with container:
            stream = _moving_picture(container, path)
            check_pixels(stream.codec_context.width, stream.codec_context.height, path)
            yield container, stream


def _check_start(path: str | os.PathLike[str]) -> None:
    """Refuse files by their first bytes that FFmpeg refuses without a reason, or decodes regardless of their size."""
    with open(path, "rb") as file:
        start = file.read(_HEADER)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(_LIST_STARTS) or (text.startswith(b"<?xml") and any(name in text for name in _XML_LISTS)):
        raise InvalidInput(
            f"{path} is a list of other files, which is not supported; join them into one video with: "
            "ffmpeg -i LIST -c copy clip.mp4"
        )
    if is_animated_webp(start):
        raise InvalidInput(
            f"{path} is an animated WebP image, which is not supported; convert it to a video, or to a folder with "
            "an image for each frame"
        )
    check_image_header(start, path, is_whole=False)


def _unambiguous(path: str | os.PathLike[str]) -> str:
    """Return an absolute path, which FFmpeg does not interpret as a protocol such as "concat:"."""
    return os.path.abspath(path)


def _options(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return options that prevent FFmpeg from opening other files by format, name or protocol."""
    formats = _single_file_formats()
    if Path(path).suffix.lower() == ".y":  # as an image, it consists of three files
        formats -= {"image2"}
    return {"format_whitelist": ",".join(sorted(formats)), "pattern_type": "none", "protocol_whitelist": "file"}


@cache
def _single_file_formats() -> frozenset[str]:
    import av

    return frozenset(name for names in av.formats_available for name in names.split(",")) - _LISTS


def _lenient(version: str) -> dict[str, Any]:
    """Return options to ignore invalid bytes in metadata; the default since PyAV 19."""
    return {"metadata_errors": "replace"} if int(version.split(".")[0]) < 19 else {}


def _moving_picture(container: InputContainer, path: str | os.PathLike[str]) -> VideoStream:
    from av.stream import Disposition

    covers = Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        content = "has audio but no video" if container.streams.audio else "has no video"
        raise InvalidInput(f"{path} {content}; use a file with a video stream")
    stream = streams[0]
    if stream.codec_context is None or stream.codec_context.name in _NOT_A_VIDEO:
        raise InvalidInput(f"{path} is not a video that can be read; use another file, or a folder of images")
    stream.thread_type = "AUTO"
    return stream


def read_timing(path: str | os.PathLike[str]) -> Timing:
    """Return the constant rate of a video and the frame shown at each tick, without decoding.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a video, or has no frames.
    """
    with open_video(path) as (container, stream):
        packets = _packets(container, stream, path)
        known = sorted((packet.pts, packet.duration) for packet in packets if packet.pts is not None)
        has_times = len(known) == len(packets)
        timing = constant_timing(
            [pts for pts, _ in known] if has_times else [],
            count=len(packets),
            time_base=stream.time_base or Fraction(1),
            last_duration=known[-1][1] if has_times else 0,
            nominal=_nominal_rates(stream),
        )
        return attrs.evolve(timing, is_cut_off=_is_cut_off(stream, packets, Path(path)))


@attrs.frozen
class _Packet:
    pts: int | None
    duration: int
    is_corrupt: bool


def _packets(container: InputContainer, stream: VideoStream, path: str | os.PathLike[str]) -> list[_Packet]:
    import av

    packets: list[_Packet] = []
    try:
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                packets.append(_Packet(packet.pts, packet.duration or 0, packet.is_corrupt))
    except av.FFmpegError as error:
        raise _damaged(path, len(packets), error) from error
    if not packets:
        raise InvalidInput(f"{path} has no frames; use a video with at least one")
    return packets


def _is_cut_off(stream: VideoStream, packets: list[_Packet], path: Path) -> bool:
    """Return whether the file is truncated, by its last packet, its index (MP4) or its duration (Matroska)."""
    size = path.stat().st_size
    if packets[-1].is_corrupt or any(entry.pos + entry.size > size for entry in getattr(stream, "index_entries", ())):
        return True
    declared = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""))
    if not declared or packets[-1].pts is None or stream.time_base is None:
        return False
    seconds = sum(float(part) * unit for part, unit in zip(declared.groups(), (3600, 60, 1), strict=True))
    end = max((packet.pts or 0) + 2 * packet.duration for packet in packets) * stream.time_base
    return seconds > end + _DURATION_SLACK


def _nominal_rates(stream: VideoStream) -> list[Fraction]:
    """Return the rates stated by a stream, best first."""
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return [Fraction(rate) for rate in dict.fromkeys(rates) if rate and rate > 0]


def pictures(
    container: InputContainer, stream: VideoStream, path: str | os.PathLike[str]
) -> Iterator[Callable[[], np.ndarray]]:
    """Yield for each frame a function that returns it as uint8 [H, W, 3], sRGB, with rotation applied.

    Raises:
        InvalidInput: a frame cannot be decoded.
    """
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()  # shared, since each allocates tables and threads
    size: tuple[int, int] | None = None
    for frame in raw_frames(container, stream, path):
        size = size or _shown_size(frame, stream)
        check_pixels(*size, path)
        yield partial(_picture, frame, size, reformatter, path)


def raw_frames(container: InputContainer, stream: VideoStream, path: str | os.PathLike[str]) -> Iterator[av.VideoFrame]:
    """Yield the decoded frames, before conversion.

    Raises:
        InvalidInput: a frame cannot be decoded.
    """
    import av

    count = 0
    try:
        for frame in container.decode(stream):
            yield frame
            count += 1
    except av.FFmpegError as error:
        raise _damaged(path, count, error) from error


def first_of(frames: Iterator[Any], path: str | os.PathLike[str]) -> Any:
    """Return the first frame.

    Raises:
        InvalidInput: there are no frames.
    """
    for frame in frames:
        return frame
    raise InvalidInput(f"{path} has no frames; use a video with at least one")


def _shown_size(frame: av.VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Return the size with square pixels, before rotation."""
    aspect = stream.sample_aspect_ratio or 1
    return (round(frame.width * aspect) if Fraction(1, 4) < aspect < 4 else frame.width), frame.height


def _picture(
    frame: av.VideoFrame, size: tuple[int, int], reformatter: VideoReformatter, path: str | os.PathLike[str]
) -> np.ndarray:
    from av.video.reformatter import Colorspace, Interpolation

    # Players treat untagged video as BT.709 if it is larger than standard definition.
    untagged_hd = frame.colorspace == UNTAGGED and (frame.width > 1024 or frame.height > 576)
    interpolation = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
    with reading(path, "clip"):
        rgb = reformatter.reformat(
            frame,
            width=size[0],
            height=size[1],
            format="rgb24",
            src_colorspace=Colorspace.ITU709 if untagged_hd else None,
            interpolation=interpolation,
        )
        return oriented(rgb.to_ndarray(), frame)


def oriented(image: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Rotate and mirror an image [H, W, ...] by the display matrix of its frame.

    The matrix maps (x, y) to (a x + c y, b x + d y); see FFmpeg's libavutil/display.h.
    """
    try:
        side_data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV fails if any side data is of an unknown kind, such as EXIF
        return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))
    if side_data is None:
        return image
    a, b, _, c, d = np.frombuffer(cast(Any, side_data), np.int32)[:5].tolist()
    if abs(b) > abs(a):
        image = image.swapaxes(0, 1)
        a, d = c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _damaged(path: str | os.PathLike[str], count: int, error: BaseException) -> InvalidInput:
    return InvalidInput(f"{path} is damaged after {count} frames ({_reason(error)})")


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
