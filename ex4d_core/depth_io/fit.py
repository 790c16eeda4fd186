"""Find the part of the picture that depth maps of another size show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import attrs
import numpy as np

from ex4d_core.depth_io.frames import WHOLE, Window
from ex4d_core.types import Origin

Fit = Literal["auto", "whole", "crop", "pad"]
"""Relation of maps to the picture: found, stretched, cut from its middle, or the picture between bars."""

SAME_ASPECT = 0.01
"""Relative difference up to which aspect ratios are equal: sizes are rounded to pixels."""

_GRIDS = (64, 32, 16, 14, 8, 2, 1)
"""Multiples to which tools round sides: DepthCrafter 64, DPT 32, DUSt3R 16, vision transformers 14."""

MOST_ROUNDING = 0.2
"""Largest change of the aspect ratio that counts as rounding."""

_BAR_TOLERANCE = 2
"""Pixels by which the bars of a letterbox may differ from those that the aspect ratio gives."""

_MOST_BARS = 0.75
"""Largest part of a map that is bars; no map is read for other shapes."""

Size = tuple[int, int]


@attrs.frozen(kw_only=True)
class Fitted:
    """The place of maps in a picture."""

    covers: Window
    """Part of the picture that the maps show."""
    note: str = ""
    """The relation in words, if it is not plain."""


def same_aspect(a: Size, b: Size) -> bool:
    """Return whether two sizes (width, height) have one aspect ratio, up to whole pixels."""
    return abs(a[0] * b[1] / (a[1] * b[0]) - 1) <= SAME_ASPECT


def is_rounded(size: Size, picture: Size) -> bool:
    """Return whether a size is that of the scaled picture with each side rounded to a multiple of one number."""
    change = size[0] * picture[1] / (size[1] * picture[0])
    if not 1 / (1 + MOST_ROUNDING) <= change <= 1 + MOST_ROUNDING:
        return False
    grid = next(grid for grid in _GRIDS if size[0] % grid == 0 and size[1] % grid == 0)
    # A scale must exist that brings each side within half a step of its multiple.
    least = max((side - grid / 2) / whole for side, whole in zip(size, picture, strict=True))
    most = min((side + grid / 2) / whole for side, whole in zip(size, picture, strict=True))
    return least <= most


def fitted(size: Size, picture: Size, fit: Fit, sample: Callable[[], Sequence[np.ndarray]]) -> Fitted | None:
    """Return the place of maps in a picture of another shape, or None if nothing explains their size.

    Args:
        size: width and height of the maps.
        picture: width and height of the picture.
        fit: the relation; `auto` finds it.
        sample: reads a few maps.
    """
    if same_aspect(size, picture) and fit != "pad":
        return Fitted(covers=WHOLE)
    if fit == "whole":
        return Fitted(covers=WHOLE, note="stretched to the whole picture")
    if fit == "crop":
        return Fitted(covers=_crop(size, picture), note="the middle of the picture")
    if fit == "pad":
        return Fitted(covers=_between_bars(size, picture, 0.5), note="the picture between bars")
    if (place := _bars(size, picture, sample)) is not None:
        return Fitted(covers=_between_bars(size, picture, place), note="the picture between bars")
    if is_rounded(size, picture):
        return Fitted(covers=WHOLE, note="the whole picture with rounded sides (else --set depth.fit=crop)")
    return None


def through(origin: Origin, covers: Window) -> Origin:
    """Return the origin of a video in maps that show a part of the source."""
    if covers == WHOLE:
        return origin
    left, top, right, bottom = covers
    width, height = origin.source_width, origin.source_height
    # The source of the result is that part, in a size of whole pixels.
    x, y = width / ((right - left) * width), height / ((bottom - top) * height)
    return attrs.evolve(
        origin,
        left=(origin.left - left * width) * x,
        top=(origin.top - top * height) * y,
        width=origin.width * x,
        height=origin.height * y,
    )


def _crop(size: Size, picture: Size) -> Window:
    """Return the largest window in the middle of the picture with the shape of the maps."""
    x, y = _relative(size, picture)
    return ((1 - x) / 2, (1 - y) / 2, (1 + x) / 2, (1 + y) / 2)


def _relative(size: Size, picture: Size) -> tuple[float, float]:
    """Return width and height of that window in parts of the picture."""
    aspect = size[0] * picture[1] / (size[1] * picture[0])
    return min(1.0, aspect), min(1.0, 1 / aspect)


def _between_bars(size: Size, picture: Size, place: float) -> Window:
    """Return the window of maps that exceed the picture; `place` is the part of the bars before the picture."""
    aspect = size[0] * picture[1] / (size[1] * picture[0])
    x, y = max(1.0, aspect), max(1.0, 1 / aspect)
    left, top = -(x - 1) * place, -(y - 1) * place
    return (left, top, left + x, top + y)


def _bars(size: Size, picture: Size, sample: Callable[[], Sequence[np.ndarray]]) -> float | None:
    """Return the part of the bars that lies before the picture (0.5 in the middle, 0 after it), if there are bars."""
    _, top, _, bottom = _between_bars(size, picture, 0.5)
    axis = 0 if bottom - top > 1 else 1
    whole = size[1 - axis]
    inner = whole * min(1.0, _inverse_of_excess(size, picture))
    bar = whole - inner
    if not 2 * _BAR_TOLERANCE + 2 <= bar <= _MOST_BARS * whole:
        return None
    maps = sample()
    for place in (0.5, 0.0):
        before = max(0, round(bar * place) - _BAR_TOLERANCE)
        after = max(0, round(bar * (1 - place)) - _BAR_TOLERANCE)
        if maps and all(_is_bar(one, axis, before, after) for one in maps):
            return place
    return None


def _inverse_of_excess(size: Size, picture: Size) -> float:
    aspect = size[0] * picture[1] / (size[1] * picture[0])
    return min(aspect, 1 / aspect)


def _is_bar(values: np.ndarray, axis: int, before: int, after: int) -> bool:
    """Return whether the first and last rows (or columns) hold one value each, and those beside them more."""
    rows = values if axis == 0 else values.T
    strips = [rows[:before]] if before else []
    strips += [rows[len(rows) - after :]] if after else []
    edges = {np.asarray(strip.flat[0]).tobytes() for strip in strips}
    one_value = len(edges) == 1 and all(_is_constant(strip) for strip in strips)
    return bool(strips) and one_value and not _is_constant(rows[before : len(rows) - after])


def _is_constant(values: np.ndarray) -> bool:
    first = values.flat[0]
    return bool(np.isnan(values).all() if first != first else (values == first).all())
