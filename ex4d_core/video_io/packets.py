"""Plan the frames of a stream from its packets, without decoding: their order and their times.

A frame that a damaged packet loses is then known by its place, so the others keep theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ex4d_core.errors import InvalidInput
from ex4d_core.video_io.endings import ends_early
from ex4d_core.video_io.timing import Timing, constant_timing

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

_DURATION_SLACK = 0.2
"""Tolerance of the declared duration in seconds, since muxers round."""

_IMAGES = frozenset({"image2", "gif", "apng"})
"""Formats of FFmpeg for images; the names of others end with `_pipe`."""

COLOR_TAGS = ("color_trc", "color_primaries", "colorspace")
"""Attributes of frames and streams that state their colors (ITU-T H.273)."""

_NO_TAG = "\0\0\0\0"
"""Codec tag of streams of Matroska with a codec of its own."""

_NO_TIMESTAMPS = 0x80
"""Flag of raw streams, AVFMT_NOTIMESTAMPS of FFmpeg."""

_RETRIES = 8
"""Successive errors of a container after which the rest of it is not read."""


@attrs.frozen(kw_only=True)
class StreamFacts:
    """Facts about a stream that apply to all of its frames."""

    aspect: Fraction
    """Width over height of a pixel."""

    codec_tag: str
    """Four characters that name the codec in the container."""

    is_image: bool
    """Whether the file is an image, which may be animated."""

    color_tags: Mapping[str, int]
    """Transfer, primaries and matrix that the container states, by the name of the attribute of a frame."""


@attrs.frozen(kw_only=True)
class Plan:
    """The frames that a stream announces."""

    timing: Timing
    facts: StreamFacts

    places: Mapping[int, range]
    """Possible indices of the frame of each packet that has one, by the index of the packet; several if frames have
    equal times."""

    keys: Sequence[int]
    """Indices of the key frames."""

    ends_early: bool
    """Whether the file is cut off, by the sizes that its container states."""

    has_times: bool
    """Whether the packets state the order of the frames; otherwise it is that of the packets."""

    start: Fraction = Fraction(0)
    """Time of the first frame in seconds, on the clock that all streams of the file share."""


@attrs.frozen
class _Facts:
    """A packet without its data."""

    pts: int | None
    duration: int
    is_corrupt: bool
    is_key: bool
    is_hidden: bool


def packets_of(container: InputContainer, *streams: Stream) -> Iterator[Packet[Any]]:
    """Yield the packets with data; after an error, reading is resumed behind it as long as there are more."""
    import av

    failures = 0
    while failures < _RETRIES:
        try:
            for packet in container.demux(*streams):
                failures = 0
                if packet.size:
                    yield packet
            return
        except av.FFmpegError:
            failures += 1


def plan_of(container: InputContainer, stream: VideoStream, path: Path, starts_with_key: Callable[[], bool]) -> Plan:
    """Read all packets and return the frames that they announce.

    Args:
        container: the open file.
        stream: its stream, at the start.
        path: path of the file.
        starts_with_key: returns whether the container marks the first packet as a key frame. FFmpeg judges by the
            content, so it does not recognize a damaged key frame.

    Raises:
        InvalidInput: there are none.
    """
    packets = [
        _Facts(packet.pts, packet.duration or 0, packet.is_corrupt, packet.is_keyframe, packet.is_discard)
        for packet in packets_of(container, stream)
    ]
    is_guessed = stream.codec_context.has_b_frames and _lacks_times(container, stream)
    order, has_times = _shown(packets, _first_key(packets, starts_with_key), is_guessed=is_guessed)
    if not order:
        raise InvalidInput(f"{path} has no frames; use a video with at least one")
    times = [packets[index].pts for index in order]
    known = sorted(time for time in times if time is not None)
    timing = constant_timing(
        known if None not in times else [],
        count=len(order),
        time_base=stream.time_base or Fraction(1),
        last_duration=packets[order[-1]].duration,
        nominal=_nominal_rates(stream),
    )
    timing = attrs.evolve(timing, is_cut_off=_is_cut_off(stream, packets, path))
    places = _places(order, times)
    start = known[0] * (stream.time_base or Fraction(1)) if known else Fraction(0)
    keys = [rank for rank, index in enumerate(order) if packets[index].is_key]
    return Plan(
        timing=timing,
        facts=facts_of(container, stream),
        places=places,
        keys=keys,
        ends_early=ends_early(path),
        has_times=has_times,
        start=start,
    )


def _first_key(packets: list[_Facts], starts_with_key: Callable[[], bool]) -> int:
    """Return the index of the first key frame, which may be damaged; 0 if there is none."""
    first = next((index for index, packet in enumerate(packets) if packet.is_key), 0)
    return 0 if first > 0 and starts_with_key() else first


def _places(order: list[int], times: list[int | None]) -> dict[int, range]:
    """Return the possible indices of the frame of each packet."""
    places: dict[int, range] = {}
    for _, equal in groupby(enumerate(order), key=lambda placed: times[placed[0]]):
        group = list(equal)
        same = range(group[0][0], group[-1][0] + 1)
        places |= {index: same for _, index in group}
    return places


def facts_of(container: InputContainer, stream: VideoStream) -> StreamFacts:
    """Return the facts of a stream."""
    formats = container.format.name.split(",")
    return StreamFacts(
        aspect=Fraction(stream.sample_aspect_ratio or 1),
        codec_tag=stream.codec_context.codec_tag,
        color_tags={name: getattr(stream.codec_context, name) for name in COLOR_TAGS},
        is_image=any(name in _IMAGES or name.endswith("_pipe") for name in formats),
    )


def _lacks_times(container: InputContainer, stream: VideoStream) -> bool:
    """Return whether a container states no times of display: raw streams, AVI, and streams of AVI in Matroska."""
    name = container.format.name
    is_avi = name == "avi" or ("matroska" in name and stream.codec_context.codec_tag != _NO_TAG)
    return is_avi or bool(container.format.flags & _NO_TIMESTAMPS)


def _shown(packets: list[_Facts], first: int, *, is_guessed: bool) -> tuple[list[int], bool]:
    """Return the indices of the packets with a frame of their own in the order of display, and whether times tell it.

    Packets before the first key frame cannot be decoded, nor can later ones that are shown before it. Packets without a
    time among others with one are the second fields of interlaced frames.
    """
    has_some_times = any(packet.pts is not None for packet in packets)
    own = [
        index
        for index, packet in enumerate(packets)
        if not packet.is_hidden and (packet.pts is not None or not has_some_times)
    ]
    times = [packets[index].pts or 0 for index in own]
    has_times = has_some_times and not (is_guessed and times == sorted(times))  # FFmpeg counts the packets
    own = [index for index in own if index >= first]
    if not has_times:
        return own, False
    start = packets[first].pts if first in own else None
    shown = [index for index in own if start is None or (packets[index].pts or 0) >= start]
    return sorted(shown, key=lambda index: packets[index].pts or 0), True


def _is_cut_off(stream: VideoStream, packets: list[_Facts], path: Path) -> bool:
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
