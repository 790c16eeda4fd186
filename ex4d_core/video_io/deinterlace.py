"""Deinterlace frames: one frame for each interlaced one, at its own time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import av

_TICK = Fraction(1, 1000)

_FILTERS = (("idet", ""), ("bwdif", "mode=send_frame:parity=auto:deint=interlaced"))
"""idet detects fields in the picture and corrects the flags of the frames; bwdif changes only the flagged ones."""


def deinterlaced(frames: Iterable[av.VideoFrame], found: Callable[[], None]) -> Iterator[av.VideoFrame]:
    """Yield all frames, deinterlaced from the first that is flagged as interlaced.

    Args:
        frames: decoded frames.
        found: called once, at the first interlaced frame.
    """
    filters: _Filters | None = None
    for frame in frames:
        if filters is not None and not filters.fits(frame):
            yield from filters.push(None)
            filters = None
        if filters is None:
            if not frame.interlaced_frame:
                yield frame
                continue
            found()
            filters = _Filters(frame)
        yield from filters.push(frame)
    if filters is not None:
        yield from filters.push(None)


class _Filters:
    """A graph for frames of one size and format."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self._graph = av.filter.Graph()
        self._kind = _kind(frame)
        self._times: list[tuple[int | None, Fraction | None]] = []
        source = self._graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=_TICK)
        filters = [self._graph.add(name, options) if options else self._graph.add(name) for name, options in _FILTERS]
        self._graph.link_nodes(source, *filters, self._graph.add("buffersink")).configure()

    def fits(self, frame: av.VideoFrame) -> bool:
        """Return whether a frame has the size and format of the graph."""
        return _kind(frame) == self._kind

    def push(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Yield the frames that are complete after another one, or at the end with None."""
        if frame is not None:
            # The times of a damaged stream may be missing or equal, by which the filter would drop frames.
            self._times.append((frame.pts, frame.time_base))
            frame.pts, frame.time_base = len(self._times) - 1, _TICK
        self._graph.push(frame)
        while True:
            try:
                made = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(made, av.VideoFrame)
            number = round((made.pts or 0) * (made.time_base or _TICK) / _TICK)
            made.pts, time_base = self._times[number]
            if time_base:
                made.time_base = time_base
            yield made


def _kind(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
