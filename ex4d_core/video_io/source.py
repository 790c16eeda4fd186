"""Open a video file, without access to other files: its stream, frame times and decoded frames."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_file, reading
from ex4d_core.video_io.convert import oriented as oriented
from ex4d_core.video_io.limits import check_image_header, check_pixels
from ex4d_core.video_io.packets import Plan, packets_of, plan_of
from ex4d_core.video_io.timing import Timing

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

_NOT_A_VIDEO = frozenset({"ansi", "bintext", "xbin", "idf"})
"""Decoders that render text; FFmpeg uses them for any text file."""

_LISTS = frozenset(
    ("applehttp", "avisynth", "concat", "dash", "hls", "imf", "lavfi", "rtp", "rtsp", "sdp", "vapoursynth", "vobsub")
)
"""Formats of FFmpeg that open other files or addresses, which is not allowed."""

_LIST_STARTS = (b"ffconcat", b"#EXTM3U", b"<MPD", b"v=0")

_MOST_BOXES = 1000
"""Boxes of an MP4 that are looked at."""

_XML_LISTS = (b"<MPD", b"<CompositionPlaylist")

_HEADER = 2**16
"""Number of bytes that are checked before FFmpeg opens a file."""


class NotAVideo(InvalidInput):
    """A file has a format that is not a video."""


@contextmanager
def open_video(path: str | os.PathLike[str], **options: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its main video stream.

    Args:
        path: the file.
        **options: options of FFmpeg for its container.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a video, or has only audio.
    """
    import av

    check_file(path, "clip")
    with reading(path, "clip"):
        _check_start(path)
        try:
            container = av.open(_unambiguous(path), options=_options(path) | options, **_lenient(av.__version__))
        except (av.FFmpegError, UnicodeError) as error:
            if _lacks_index(path):
                raise InvalidInput(
                    f"{path} has no index (moov), since the recording or the copy was not finished; copy it again, or "
                    "repair it with untrunc and a complete clip of the same camera"
                ) from error
            raise NotAVideo(
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
    check_image_header(start, path, is_whole=False)


def _lacks_index(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is an MP4 or MOV with frames but without their index, by its boxes (ISO/IEC 14496-12)."""
    kinds = set()
    with open(path, "rb") as file:
        for _ in range(_MOST_BOXES):
            header = file.read(16)
            size, kind = int.from_bytes(header[:4], "big"), header[4:8]
            length = int.from_bytes(header[8:16], "big") if size == 1 else size
            kinds.add(kind)
            if len(header) < 8 or length < 8:  # 0: up to the end of the file
                break
            file.seek(length - len(header), os.SEEK_CUR)
    return b"mdat" in kinds and b"moov" not in kinds and b"ftyp" in kinds


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
        raise NotAVideo(f"{path} {content}; use a file with a video stream")
    stream = _main(streams)
    if stream.codec_context is None or stream.codec_context.name in _NOT_A_VIDEO:
        raise NotAVideo(f"{path} is not a video that can be read; use another file, or a folder of images")
    stream.thread_type = "AUTO"
    return stream


def _main(streams: list[VideoStream]) -> VideoStream:
    """Return the stream that players show: not a still of AVIF, else the default one, the largest or first."""
    from av.stream import Disposition

    def rank(stream: VideoStream) -> tuple[bool, bool, int]:
        context = stream.codec_context
        pixels = 0 if context is None else context.width * context.height
        return stream.frames != 1, bool(stream.disposition & Disposition.default), pixels

    return max(streams, key=rank)


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Return the frames that a video announces, and their constant rate, without decoding.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a video, or has no frames.
    """
    with open_video(path) as (container, stream):
        return plan_of(container, stream, Path(path), partial(_starts_with_key, path))


def _starts_with_key(path: str | os.PathLike[str]) -> bool:
    """Return whether a container marks the first packet as a key frame, whatever its content."""
    with suppress(InvalidInput), open_video(path, fflags="noparse+nofillin") as (container, stream):
        return next((packet.is_keyframe for packet in packets_of(container, stream)), False)
    return False  # a raw stream, which cannot be opened without its content


def read_timing(path: str | os.PathLike[str]) -> Timing:
    """Return the constant rate of a video and the frame shown at each tick, without decoding.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a video, or has no frames.
    """
    return read_plan(path).timing


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


def first_frames(container: InputContainer, items: Collection[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield the number and the frame of those streams of a photo that have one of the numbers and can be decoded."""
    import av

    for packet in container.demux([stream for stream in container.streams.video if stream.id in items]):
        try:
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    yield packet.stream.id, frame
        except av.FFmpegError:
            continue


def first_of(frames: Iterator[Any], path: str | os.PathLike[str]) -> Any:
    """Return the first frame.

    Raises:
        InvalidInput: there are no frames.
    """
    for frame in frames:
        return frame
    raise InvalidInput(f"{path} has no frames; use a video with at least one")


def _damaged(path: str | os.PathLike[str], count: int, error: BaseException) -> InvalidInput:
    return InvalidInput(f"{path} is damaged after {count} frames ({_reason(error)})")


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
