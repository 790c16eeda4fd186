"""The sound of a clip: copied to a video that is made from it, or encoded again if its codec does not fit the file."""

from __future__ import annotations

import errno
import heapq
import os
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from ex4d_core.errors import Ex4dError, InvalidInput, OutputFailed
from ex4d_core.video_io.packets import packets_of
from ex4d_core.video_io.source import open_video, read_plan

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

_ISO = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_PCM = frozenset(f"pcm_{kind}" for kind in ("s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "f32le"))

COPIED = {
    ".mp4": _ISO | {"opus"},
    ".m4v": _ISO | {"opus"},
    ".mov": _ISO | _PCM,
    ".mkv": _ISO | _PCM | {"opus", "vorbis", "flac"},
}
"""Codecs that players expect, by suffix of the video; sound of others is encoded as AAC."""

_RATES = (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
"""Sampling rates of AAC that are kept; others become the first one."""

_LAYOUTS = ("mono", "5.1", "7.1")
"""Layouts of speakers that are kept; others become stereo."""

_BIT_RATE = 96_000
"""Bits per second and channel of encoded sound."""

_LEAD_IN = Fraction(1, 10)
"""Seconds before the first audible sample, from which decoders start; an edit list of MP4 and MOV hides them."""

MOST_TRACKS = 8
"""Number of audio tracks that are added."""

_JITTER = 0.02
"""Seconds by which the times of consecutive packets may be rounded."""

_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EFBIG})
"""Errors that are not due to the sound."""


@attrs.frozen(kw_only=True)
class Sound:
    """The sound of a clip from one of its frames on."""

    clip: Path
    start: Fraction = Fraction(0)
    """Time of that frame in seconds after the first one."""


@attrs.frozen(kw_only=True)
class _Part:
    """The part of the sound that accompanies a video."""

    first: Fraction
    """Time of the first frame of the video in seconds, on the clock of the clip."""
    seconds: Fraction
    """Duration of the video."""
    lead_in: Fraction
    """Seconds before the first frame that are copied too."""

    def has(self, packet: Packet[Any]) -> bool:
        """Return whether a packet is heard, or prepares the decoder."""
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None:
            return False
        start = time * packet.time_base - self.first
        return start < self.seconds and start + (packet.duration or 0) * packet.time_base > -self.lead_in


Track = Callable[["OutputContainer", "AudioStream", "InputContainer", _Part], "list[Packet[Any]]"]
"""Adds an audio stream to a file, and returns its packets."""


def count_tracks(path: str | os.PathLike[str]) -> int:
    """Return the number of audio tracks of a clip; 0 for images."""
    if os.path.isdir(path):
        return 0
    try:
        with open_video(path) as (container, _):
            return len(container.streams.audio)
    except InvalidInput:  # an image that FFmpeg does not read
        return 0


def add_sound(video: Path, sound: Sound, *, seconds: Fraction, options: Mapping[str, str]) -> list[str]:
    """Add all audio tracks of a clip to a video file, which is replaced.

    Args:
        video: the file; its first frame is at time 0.
        sound: the sound.
        seconds: duration of the video.
        options: options of the container.

    Returns:
        A sentence for each track that cannot be added.

    Raises:
        OutputFailed: the file cannot be written.
    """
    problems: list[str] = []
    lead_in = _LEAD_IN if video.suffix.lower() != ".mkv" else Fraction(0)
    tracks = count_tracks(sound.clip)
    first = read_plan(sound.clip).start + sound.start if tracks else Fraction(0)
    if tracks > MOST_TRACKS:
        problems.append(f"{sound.clip} has {tracks} audio tracks; only the first {MOST_TRACKS} are added")
    for number in range(min(tracks, MOST_TRACKS)):
        problem = _added(video, sound.clip, number, _Part(first=first, seconds=seconds, lead_in=lead_in), options)
        if problem:
            which = "the sound" if tracks == 1 else f"audio track {number + 1} of {tracks}"
            problems.append(f"{which} of {sound.clip} is left out, since it cannot be decoded ({problem})")
    return problems


def _added(video: Path, clip: Path, number: int, part: _Part, options: Mapping[str, str]) -> str:
    """Add one track to a file; return the problem, or ''."""
    problem = ""
    for track in (_copied, _encoded):
        try:
            _mux(video, clip, number, track, part, options)
            return ""
        except (_NotAdded, InvalidInput) as error:
            problem = str(error)
    return problem


class _NotAdded(Ex4dError):
    """A track cannot be added; the message is the reason."""


def _mux(video: Path, clip: Path, number: int, track: Track, part: _Part, options: Mapping[str, str]) -> None:
    """Replace a video file by one with one more track."""
    import av

    partial = video.with_name(f"sound-{video.name}")
    with av.open(str(video)) as old, open_video(clip) as (container, _):
        try:
            with av.open(str(partial), "w", container_options=dict(options)) as new:
                streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
                added = track(new, container.streams.audio[number], container, part)
                if not added:
                    return
                for packet in heapq.merge(_packets(old, streams), added, key=_time):
                    new.mux(packet)
        except (av.FFmpegError, ValueError) as error:  # ValueError: the format changes
            reason = getattr(error, "strerror", None) or str(error)
            if isinstance(error, av.FFmpegError) and error.errno in _OF_THE_DISK:
                raise OutputFailed(f"{video} cannot be written: {reason}") from error
            raise _NotAdded(reason) from error
    os.replace(partial, video)


def _packets(container: InputContainer, streams: Mapping[int, Any]) -> Iterator[Packet[Any]]:
    for packet in packets_of(container, *container.streams):
        packet.stream = streams[packet.stream.index]
        yield packet


def _time(packet: Packet[Any]) -> Fraction:
    return (packet.dts or 0) * packet.time_base


def _copied(new: OutputContainer, source: AudioStream, container: InputContainer, part: _Part) -> list[Packet[Any]]:
    """Copy the packets of a track, with times from the first frame of the video."""
    context, known = source.codec_context, COPIED[Path(new.name).suffix.lower()]
    if context is None or context.codec.canonical_name not in known:
        raise _NotAdded("another codec is needed")
    stream = new.add_stream_from_template(source)
    _name(stream, source)
    packets: list[Packet[Any]] = []
    for packet in filter(part.has, packets_of(container, source)):
        ticks = round(part.first / packet.time_base)
        packet.dts = (packet.dts if packet.dts is not None else packet.pts or 0) - ticks
        packet.pts = (packet.pts if packet.pts is not None else packet.dts + ticks) - ticks
        packet.stream = stream
        if not packets or packet.dts > (packets[-1].dts or 0):
            packets.append(packet)
    return packets


def _encoded(new: OutputContainer, source: AudioStream, container: InputContainer, part: _Part) -> list[Packet[Any]]:
    """Decode a track and encode it as AAC."""
    import av

    context = source.codec_context
    if context is None:
        raise _NotAdded("unknown codec")
    rate = context.sample_rate if context.sample_rate in _RATES else _RATES[0]
    layout = context.layout.name if context.layout.name in _LAYOUTS else "stereo"
    samples = _decoded(source, container, part, rate, layout)
    if samples is None:
        return []
    stream: Any = new.add_stream("aac", rate=rate, layout=layout)
    stream.bit_rate = _BIT_RATE * len(samples)
    _name(stream, source)
    packets: list[Packet[Any]] = []
    for start in range(0, samples.shape[1], rate):
        block = np.ascontiguousarray(samples[:, start : start + rate])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


def _decoded(source: AudioStream, container: InputContainer, part: _Part, rate: int, layout: str) -> np.ndarray | None:
    """Return the samples float32 [C, N] of a part, silent where there are none; None if it is entirely silent."""
    import av

    resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
    pieces: list[tuple[int, np.ndarray]] = []
    end = 0
    for frame in _frames(source, container, part):
        for piece in resampler.resample(frame):
            start = end
            if piece.pts is not None and piece.time_base is not None:
                start = round((piece.pts * piece.time_base - part.first) * rate)
                start = end if pieces and abs(start - end) <= _JITTER * rate else start
            pieces.append((start, piece.to_ndarray()))
            end = start + pieces[-1][1].shape[1]
    length = min(round(part.seconds * rate), max((start + values.shape[1] for start, values in pieces), default=0))
    if length <= 0:
        return None
    out = np.zeros((len(pieces[0][1]), length), np.float32)
    for start, values in pieces:
        place = out[:, max(0, start) : max(0, start + values.shape[1])]
        skipped = max(0, -start)
        place[:] = values[:, skipped : skipped + place.shape[1]]
    return out


def _frames(source: AudioStream, container: InputContainer, part: _Part) -> Iterator[Any]:
    """Yield the decoded frames of a part, without damaged ones, and None at the end."""
    import av

    for packet in filter(part.has, packets_of(container, source)):
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            continue
    yield from source.codec_context.decode(None)
    yield None


def _name(stream: Any, source: AudioStream) -> None:
    """Copy the language and the title of a track."""
    stream.metadata.update({key: value for key, value in source.metadata.items() if key in ("language", "title")})
