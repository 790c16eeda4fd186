"""The two sheets of a backdrop, as the camera of the samples sees them; see `backdrop.py`."""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from ex4d_backbone_inpaint.edges import EDGE_WEIGHT
from ex4d_backbone_inpaint.ground import Ground, likeness
from ex4d_backbone_inpaint.push_pull import push_pull
from ex4d_backbone_inpaint.samples import Floats, Floats64, Samples, beside_edge
from ex4d_backbone_inpaint.surroundings import UsualColors
from ex4d_backbone_inpaint.thin_plate import margin_axis, thin_plate
from ex4d_core.types import Intrinsics

RINGS = 24
"""Grid lines of the margin on each side."""

SLOPE = 2.4
"""Reach of the margin: x / z and y / z of its outermost lines, a field of view of 135 degrees."""

FAR_RANK = 0.2
"""Rank of the far surface among the inverse depths that a pixel has over time: a smaller one may be an error."""

OPENING = 0.45
"""Width of the widest thing that counts as foreground, in focal lengths: 25 degrees."""

FOREGROUND_RATIO = 1.12
"""Ratio of inverse depths from which a pixel is in front of the background."""

BEHIND = 0.98
"""Largest inverse depth of a hidden surface, in those of what hides it."""

EDGE_MEMORY = 0.08
"""Distance, in sizes of the picture, in which its continuation approaches the thin plate."""

COLOR_MEMORY = 10.0
"""Distance, in sizes of the picture, in which the colors at its edge approach those that are usual in their row
and depth."""

UNUSUAL = 50.0
"""Difference in levels from what is usual that halves `COLOR_MEMORY`."""

DIRECTION = 1.5
"""Distance, in sizes of the picture, in which its continuation gets the color of the direction in which it is seen."""

FARNESS = 8.0
"""Power of the ratio of depths by which the far side of a depth edge is favored."""

SKY = 0.7
"""Smallest inverse depth of the model, in those of the far end of the picture."""


@attrs.frozen(eq=False, kw_only=True)
class Background:
    """The far surface of each pixel."""

    color: Floats
    """float32 [H, W, 3], 0..255."""
    seen: NDArray[np.bool_]
    """bool [H, W], where the color is known."""
    inverse: Floats
    """float32 [H, W]; 0 where unknown."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Bool [H, W], where the inverse depth is known."""
        return self.inverse > 0

    @classmethod
    def of(cls, samples: Samples, tolerance: float) -> Background:
        """Return the mean of the samples that agree with the far surface of their pixel."""
        valid = samples.inverse > 0
        if not valid.any():  # a flat wall
            return cls(
                color=samples.color.mean(axis=0),
                seen=np.any(samples.seen, axis=0),
                inverse=np.ones_like(valid[0], np.float32),
            )
        ordered = np.sort(np.where(valid, samples.inverse, np.inf), axis=0)
        count = valid.sum(axis=0)
        rank = np.minimum((FAR_RANK * count).astype(int), np.maximum(count - 1, 0))
        far = np.where(count > 0, np.take_along_axis(ordered, rank[None], axis=0)[0], 0)
        agree = valid & (np.abs(samples.inverse - far) <= tolerance * far)
        edges = np.stack([beside_edge(inverse) for inverse in samples.inverse])
        weight = np.where(agree, np.where(edges, EDGE_WEIGHT, 1), 0)
        # Where no depth is known, the colors still are.
        weight = np.where(count > 0, weight, samples.seen).astype(np.float32)
        total = weight.sum(axis=0)
        divisor = np.maximum(total, 1e-9)
        color = np.einsum("khw,khwc->hwc", weight, samples.color) / divisor[..., None]
        inverse = (weight * samples.inverse).sum(axis=0) / divisor
        return cls(color=color.astype(np.float32), seen=total > 0, inverse=inverse.astype(np.float32))


@attrs.frozen(eq=False, kw_only=True)
class Sheets:
    """Both sheets, on a grid of the pixels and a margin."""

    columns: Floats64
    """float64 [W'], positions in pixels."""
    rows: Floats64
    """float64 [H']."""
    color: Floats
    """float32 [2, H', W', 3]."""
    inverse: Floats
    """float32 [2, H', W'], > 0."""
    background: Floats
    """float32 [2, H', W', 1], 0 for things in front of the background, otherwise 1."""
    ground: NDArray[np.bool_]
    """bool [H', W'], where the second sheet is the ground."""

    @property
    def outside(self) -> Floats64:
        """float64 [H', W'], distance from the picture, in sizes of the picture."""
        return _outside(self.columns, self.rows, len(self.rows) - 2 * RINGS, len(self.columns) - 2 * RINGS)

    @property
    def certainty(self) -> Floats:
        """float32 [2, H', W', 1], 1 in the picture, less with the distance from it."""
        certainty = np.exp(-self.outside / DIRECTION)[None, ..., None]
        return np.broadcast_to(certainty, (2, *self.shape, 1)).astype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """H', W'."""
        return len(self.rows), len(self.columns)

    @classmethod
    def of(cls, picture: Background, lens: Intrinsics) -> Sheets:
        """Return the sheets of the background that the frames show."""
        height, width = picture.inverse.shape
        columns = margin_axis(width, RINGS, SLOPE * lens.fx / width)
        rows = margin_axis(height, RINGS, SLOPE * lens.fy / height)
        ground = Ground.of(picture.inverse, picture.known, lens).at(columns, rows)
        plate = np.maximum(thin_plate(picture.inverse, picture.known, columns, rows), ground)
        inside = np.s_[RINGS:-RINGS, RINGS:-RINGS]
        first = _continued(picture.inverse, picture.known, plate, columns, rows)
        ground = np.minimum(ground, first.max())  # as near as the sheets
        in_front = _in_front(first, columns, rows, lens)
        seen, color = np.zeros(first.shape, bool), np.zeros((*first.shape, 3), np.float32)
        seen[inside], color[inside] = picture.seen, picture.color
        # Colors beside the foreground are mixed with it, and would outline it where it is not drawn.
        seen &= in_front | ~_grown(in_front)
        background = seen & ~in_front
        trusted = background if background.any() else seen
        weight = trusted * _farness(first, lens)
        behind = np.maximum(push_pull((first - plate)[..., None], weight)[..., 0] + plate, ground)
        hidden = np.where(in_front, np.clip(behind, first.min(), BEHIND * first), first)
        grid = _Grid(columns=columns, rows=rows, first=first, hidden=hidden)
        hidden_color = grid.continued(color, weight, trusted)
        on_ground = likeness(hidden, ground)
        if on_ground.any():
            alike = likeness(first, ground)
            of_ground = grid.continued(color, trusted * alike, trusted & (alike > 0.5))
            hidden_color += on_ground[..., None] * (of_ground - hidden_color)
        outside = _outside(columns, rows, height, width) > 0
        return cls(
            columns=columns,
            rows=rows,
            color=np.stack([np.where(shown[..., None], color, hidden_color) for shown in (seen, background)]),
            # A thing that the edge of the picture cuts ends there: only what is behind it continues.
            inverse=np.stack([np.where(outside, hidden, first), hidden]).astype(np.float32),
            background=np.stack([~in_front | outside, np.ones_like(in_front)])[..., None].astype(np.float32),
            ground=on_ground > 0.5,
        )


@attrs.frozen(eq=False, kw_only=True)
class _Grid:
    """Where the sheets are."""

    columns: Floats64
    """float64 [W'], positions in pixels."""
    rows: Floats64
    """float64 [H']."""
    first: Floats
    """float32 [H', W'], inverse depth of the first sheet."""
    hidden: Floats
    """float32 [H', W'], that of the second."""

    def continued(self, color: Floats, weight: Floats, usual: NDArray[np.bool_]) -> Floats:
        """Return colors of the second sheet, float32 [H', W', 3], that continue those of a surface of the first.

        Walls and floors continue; the more a color differs from what is usual, the sooner it ends.

        Args:
            color: float32 [H', W', 3], of the first sheet.
            weight: float32 [H', W'], 1 for the surface, 0 for all else.
            usual: bool [H', W'], pixels whose colors are usual.
        """
        inside = np.s_[RINGS:-RINGS, RINGS:-RINGS]
        table = UsualColors.of(color[inside], self.first[inside], usual[inside])
        unlike = push_pull(color - table.at(self.rows, self.first), weight)
        unusual = np.maximum.reduce([np.abs(unlike[..., channel]) for channel in range(3)]) / UNUSUAL
        distance = _outside(self.columns, self.rows, *color[inside].shape[:2])
        fade = np.exp(-distance * (1 + unusual**4) / COLOR_MEMORY)
        return np.asarray(table.at(self.rows, self.hidden) + fade[..., None] * unlike, np.float32)


def _continued(inverse: Floats, known: NDArray[np.bool_], plate: Floats, columns: Floats64, rows: Floats64) -> Floats:
    """Return the inverse depth of the picture, with unknown pixels and the margin continued along the thin plate."""
    height, width = known.shape
    inside = np.s_[RINGS:-RINGS, RINGS:-RINGS]
    difference = push_pull((inverse - plate[inside])[..., None], known.astype(np.float32))[..., 0]
    outside = _outside(columns, rows, height, width)
    edge = difference[np.ix_(_nearest(rows, height), _nearest(columns, width))]
    result = plate + edge * np.exp(-outside / EDGE_MEMORY)
    seen = inverse[known]
    farthest = SKY * max(float(np.percentile(seen, 2)), 1e-3 * float(seen.max()))
    return np.asarray(np.clip(result, farthest, 1.5 * seen.max()), np.float32)


def _nearest(positions: Floats64, size: int) -> NDArray[np.int64]:
    """Return the nearest of `size` pixels to each position."""
    return np.clip(positions - 0.5, 0, size - 1).astype(int)


def _outside(columns: Floats64, rows: Floats64, height: int, width: int) -> Floats64:
    """Return the distance of each grid position from the picture, float64 [H', W'], in sizes of the picture."""
    x, y = (np.abs(columns - width / 2) / width - 0.5).clip(0), (np.abs(rows - height / 2) / height - 0.5).clip(0)
    return np.asarray(np.hypot(x, y[:, None]))


def _in_front(inverse: Floats, columns: Floats64, rows: Floats64, lens: Intrinsics) -> NDArray[np.bool_]:
    """Return what morphological openings of the inverse depth remove: things that stand before something else.

    A floor is not removed: it is as wide as its row, or the surface beyond the picture continues it.
    """
    size = round(OPENING * max(lens.fx, lens.fy)) | 1
    # A grid of equal steps, on which the picture has a margin of the size of the opening.
    x, y = (np.arange(-size, len(axis) - 2 * RINGS + size, dtype=np.float64) + 0.5 for axis in (columns, rows))
    wide = _resampled(inverse, _index(x, columns), _index(y, rows))
    opened = np.asarray(cv2.morphologyEx(wide, cv2.MORPH_OPEN, np.ones((size, size), np.uint8)), np.float32)
    behind = _resampled(opened, columns + size - 0.5, rows + size - 0.5)
    in_row = cv2.morphologyEx(inverse, cv2.MORPH_OPEN, np.ones((1, size), np.uint8))
    within = ((columns > x[0]) & (columns < x[-1])) & ((rows > y[0]) & (rows < y[-1]))[:, None]
    return np.asarray(within & (inverse > FOREGROUND_RATIO * np.maximum(behind, in_row)))


def _index(positions: NDArray[Any], axis: Floats64) -> Floats64:
    """Return where positions are in an increasing axis, as fractions of its indices."""
    return np.asarray(np.interp(positions, axis, np.arange(len(axis))))


def _resampled(values: Floats, columns: Floats64, rows: Floats64) -> Floats:
    """Return values [H, W] at the crossings of columns [W'] and rows [H'] that are given as indices."""
    x, y = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _farness(inverse: Floats, lens: Intrinsics) -> Floats:
    """Return weights float32 [H, W] that favor the far side of depth edges: the farthest surface nearby in each row.

    Ground in one row has one depth, so that it counts beside what stands on it.
    """
    size = round(OPENING * lens.fx) | 1
    farthest = cv2.erode(inverse, np.ones((1, size), np.uint8))
    return np.asarray(np.maximum((farthest / inverse) ** FARNESS, EDGE_WEIGHT**2), np.float32)


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
