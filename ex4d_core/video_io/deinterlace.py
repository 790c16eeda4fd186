"""Deinterlace frames: one frame for each interlaced one, at its own time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

import av
import numpy as np

Kind = tuple[int, int, str]
"""Width, height and pixel format."""

_TICK = Fraction(1, 1000)

_FILTERS = (("idet", ""), ("bwdif", "mode=send_frame:parity=auto:deint=interlaced"))
"""idet detects fields in the picture and corrects the flags of the frames; bwdif changes only the flagged ones."""


_ORDER = "lavfi.idet.multiple.current_frame"
"""The order of fields that idet finds by several frames."""

_CHECKED = 8
"""Frames at the start that are checked for fields without a flag."""

_EQUAL, _DIFFERENT = 10, 40
"""Difference of two rows of one field, and of both fields, in codes."""

_COMBS = 0.002
"""Fraction of the pixels at which six rows alternate, from which a frame has combs."""

_FEWEST = 5
"""Fewest frames from which a clip is judged."""


def deinterlaced(
    frames: Iterable[av.VideoFrame], found: Callable[[], None], suspected: Callable[[], None]
) -> Iterator[av.VideoFrame]:
    """Yield all frames, deinterlaced from the first that is flagged as interlaced.

    Args:
        frames: decoded frames.
        found: called once, at the first interlaced frame.
        suspected: called once if all frames at the start look interlaced, but are not flagged.
    """
    filters: _Filters | None = None
    for frame in _checked(frames, suspected):
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


def _checked(frames: Iterable[av.VideoFrame], suspected: Callable[[], None]) -> Iterator[av.VideoFrame]:
    """Yield the frames unchanged, and check the first ones."""
    orders: list[str] = []
    checks: list[tuple[Kind, av.filter.Graph]] = []
    for number, frame in enumerate(frames):
        if number < _CHECKED and not frame.interlaced_frame:
            checks = checks or [(_kind(frame), _graph_of(frame, [("idet", "")]))]
            kind, graph = checks[0]
            if _kind(frame) == kind:
                graph.push(frame)
                orders += (made.metadata.get(_ORDER, "") for made in _ready(graph))
        if number == _CHECKED - 1 and _are_fields(orders) and _has_combs(frame):
            suspected()
        yield frame


def _are_fields(orders: list[str]) -> bool:
    return len(orders) >= _FEWEST and set(orders) in ({"tff"}, {"bff"})


def _has_combs(frame: av.VideoFrame) -> bool:
    """Return whether rows alternate, unlike in noise, dither and flat frames, for which idet also finds an order."""
    rows = frame.to_ndarray(format="gray").astype(np.int16)
    same = np.abs(rows[2:] - rows[:-2]) < _EQUAL
    other = np.abs(rows[1:] - rows[:-1]) > _DIFFERENT
    combs = same[:-3] & same[1:-2] & same[2:-1] & same[3:] & other[:-4]
    return bool(combs.mean() > _COMBS) if combs.size else False


def _graph_of(frame: av.VideoFrame, filters: Sequence[tuple[str, str]]) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=_TICK)
    nodes = [graph.add(name, options) if options else graph.add(name) for name, options in filters]
    graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
    return graph


def _ready(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    """Yield the frames that a graph has made."""
    while True:
        try:
            made = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(made, av.VideoFrame)
        yield made


class _Filters:
    """A graph for frames of one size and format."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self._graph = _graph_of(frame, _FILTERS)
        self._kind = _kind(frame)
        self._times: list[tuple[int | None, Fraction | None]] = []

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
        for made in _ready(self._graph):
            number = round((made.pts or 0) * (made.time_base or _TICK) / _TICK)
            made.pts, time_base = self._times[number]
            if time_base:
                made.time_base = time_base
            yield made


def _kind(frame: av.VideoFrame) -> Kind:
    return frame.width, frame.height, frame.format.name
