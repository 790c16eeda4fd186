"""Plan the frames of a stream from its packets, without decoding: their order and their times.

A frame that a damaged packet loses is then known by its place, so the others keep theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ex4d_core.errors import InvalidInput
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


@attrs.frozen(kw_only=True)
class Plan:
    """The frames that a stream announces."""

    timing: Timing
    facts: StreamFacts

    ranks: Mapping[int, int]
    """Index of the frame of each packet that has one, by the index of the packet."""

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


def plan_of(container: InputContainer, stream: VideoStream, path: Path) -> Plan:
    """Read all packets and return the frames that they announce.

    Raises:
        InvalidInput: there are none.
    """
    packets = [
        _Facts(packet.pts, packet.duration or 0, packet.is_corrupt, packet.is_keyframe, packet.is_discard)
        for packet in packets_of(container, stream)
    ]
    order, has_times = _shown(packets, is_reordered=stream.codec_context.has_b_frames)
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
    ranks = {index: rank for rank, index in enumerate(order)}
    start = known[0] * (stream.time_base or Fraction(1)) if known else Fraction(0)
    return Plan(timing=timing, facts=facts_of(container, stream), ranks=ranks, has_times=has_times, start=start)


def facts_of(container: InputContainer, stream: VideoStream) -> StreamFacts:
    """Return the facts of a stream."""
    formats = container.format.name.split(",")
    return StreamFacts(
        aspect=Fraction(stream.sample_aspect_ratio or 1),
        codec_tag=stream.codec_context.codec_tag,
        is_image=any(name in _IMAGES or name.endswith("_pipe") for name in formats),
    )


def _shown(packets: list[_Facts], *, is_reordered: bool) -> tuple[list[int], bool]:
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
    first = next((index for index, packet in enumerate(packets) if packet.is_key), 0)
    times = [packets[index].pts or 0 for index in own]
    # Times in the order of the packets although frames are reordered (AVI, raw streams) are guessed by FFmpeg.
    has_times = has_some_times and not (is_reordered and times == sorted(times))
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
