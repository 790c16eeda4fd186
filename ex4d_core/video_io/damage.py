"""Decode a stream whose packets may be damaged: a bad packet costs its own frames, and the others keep their place."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import attrs

from ex4d_core.video_io.packets import Plan, packets_of

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

Open = Callable[[], AbstractContextManager[tuple["InputContainer", "VideoStream"]]]
"""Opens the stream from its start."""

_REORDERED = 16
"""Packets after which a frame without a time is overdue; decoders reorder at most 16 (H.264, HEVC)."""

_SHOWN_FRAMES = 12
"""Frames that a message lists."""


@attrs.define
class Damage:
    """The damaged frames found so far, by their index."""

    lost: list[int] = attrs.field(factory=list)
    partial: list[int] = attrs.field(factory=list)
    """Frames with damaged parts that the decoder replaced."""

    is_found: bool = False
    """Whether a packet could not be decoded, or a frame is missing."""

    keys: Sequence[int] = ()
    """Key frames of the clip, by their index."""

    num_frames: int = 0
    """Frames of the clip."""

    def message(self, path: str | os.PathLike[str]) -> str | None:
        """Return a sentence about the frames, or None if there are none."""
        ahead = [index for place, index in enumerate(self.lost) if index == place]  # at the start, none is before them
        parts = [
            f"{_listed(frames)} could not be decoded (replaced by the {beside} frame)"
            for frames, beside in ((ahead, "next"), (self.lost[len(ahead) :], "previous"))
            if frames
        ]
        if self.partial:
            parts.append(f"{_listed(self.partial)} could be decoded in part")
        return f"{path} is damaged: {', and '.join(parts)}{self._dependent()}" if parts else None

    def _dependent(self) -> str:
        """Return a clause about the frames that are decoded from damaged ones."""
        broken = {*self.lost, *self.partial}
        ends = set()
        for index in broken:
            position = bisect_right(self.keys, index)
            end = self.keys[position] if position < len(self.keys) else self.num_frames
            if not broken.issuperset(range(index + 1, end)):
                ends.add(end)
        keys = sorted(ends - {self.num_frames})
        up_to = [f"the next key frame ({_listed(keys)})"] if keys else []
        up_to += ["the end"] if self.num_frames in ends else []
        return f"; those that follow may be damaged too, up to {' or '.join(up_to)}" if up_to else ""


def _listed(frames: list[int]) -> str:
    shown = ", ".join(map(str, frames[:_SHOWN_FRAMES]))
    more = f" and {len(frames) - _SHOWN_FRAMES} more" if len(frames) > _SHOWN_FRAMES else ""
    return f"frame{'s' if len(frames) > 1 else ''} {shown}{more}"


def decodable_frames(open_stream: Open, plan: Plan, damage: Damage) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield the frames that can be decoded, with their indices; record the others in `damage`.

    Intact streams are decoded in one pass. With a thread for each frame, an error also discards frames of other
    packets, so at the first error or gap the stream is decoded again, with threads for the slices of a frame.
    """
    done = -1
    for rank, frame in _decoded(open_stream, plan, damage, is_strict=True):
        yield rank, frame
        done = rank
    if damage.is_found:
        damage.partial.clear()
        for rank, frame in _decoded(open_stream, plan, damage, is_strict=False):
            if rank > done:
                yield rank, frame


def _decoded(open_stream: Open, plan: Plan, damage: Damage, *, is_strict: bool) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield the frames; stops at the first error or gap if strict."""
    with open_stream() as (container, stream):
        stream.thread_type = "AUTO" if is_strict else "SLICE"
        stream.codec_context.copy_opaque = True
        decoder = _Decoder(container, stream, is_strict=is_strict)
        places = _Places(plan)
        for frame in decoder.frames():
            index = places.index_of(frame)
            if index is None:
                continue
            rank, lost = places.take(index, is_key=frame.key_frame, has_errors=decoder.has_errors)
            if is_strict and (lost or rank is None):
                damage.is_found = True
                return
            damage.lost += lost
            if rank is None:
                continue
            if frame.is_corrupt:
                damage.partial.append(rank)
            yield rank, frame
        rest = places.rest(has_errors=decoder.has_errors)
        damage.is_found = damage.is_found or decoder.has_errors or bool(places.missing)
        if not is_strict:
            damage.lost += rest


class _Decoder:
    """Decodes the packets of a stream, past the damaged ones, and tags each frame with the index of its packet."""

    def __init__(self, container: InputContainer, stream: VideoStream, *, is_strict: bool) -> None:
        self._container = container
        self._stream = stream
        self._is_strict = is_strict
        self.has_errors = False

    def frames(self) -> Iterator[av.VideoFrame]:
        """Yield the frames; stops at the first error if strict."""
        import av

        for index, packet in enumerate(packets_of(self._container, self._stream)):
            packet.opaque = [index]  # a new object for each, since PyAV identifies them by their address
            try:
                yield from self._stream.decode(packet)
            except av.FFmpegError:
                self.has_errors = True
            if self._must_stop:
                return
        while not self._must_stop:
            try:
                frames = self._stream.decode(None)
            except av.EOFError:
                return
            except av.FFmpegError:  # of one packet; the next call resumes behind it
                self.has_errors = True
                continue
            yield from frames
            return

    @property
    def _must_stop(self) -> bool:
        return self.has_errors and self._is_strict


class _Places:
    """Finds the indices of decoded frames, and the frames that are lost between them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._next = 0
        self.missing = set(plan.places)
        """Packets whose frame was not decoded."""

    def index_of(self, frame: av.VideoFrame) -> int | None:
        """Return the packet of a frame; None before the first key frame and for the second field of a frame."""
        tag: Any = frame.opaque
        return tag[0] if tag and tag[0] in self.missing else None

    def take(self, index: int, *, is_key: bool, has_errors: bool) -> tuple[int | None, list[int]]:
        """Return the index of the frame of a packet, and those of the lost frames before it.

        The index is None if a later frame came first, as decoders do behind damage: its place is taken.
        """
        self.missing.discard(index)
        if self._plan.has_times:
            places = self._plan.places[index]
            if places.stop <= self._next:
                return None, []
            gap = max(0, places.start - self._next)
        else:
            overdue = {other for other in self.missing if other < index and (is_key or index - other > _REORDERED)}
            self.missing -= overdue
            gap = len(overdue) if has_errors else 0  # without an error, two packets are the fields of one frame
        lost = list(range(self._next, self._next + gap))
        self._next += gap + 1
        return self._next - 1, lost

    def rest(self, *, has_errors: bool) -> list[int]:
        """Return the lost frames at the end."""
        if self._plan.has_times or has_errors:
            return list(range(self._next, len(self._plan.places)))
        return []
