"""A model of the scene behind everything that moves, made once for a clip.

Two kinds of holes are two problems: what a foreground hid, where the background continues, and what lies outside of the
picture, where the scene continues beyond its edge. Both get an answer in the source camera, once for the clip, and not
in each target view: colors that last, and geometry that moves as the scene does. The model has two sheets:

1. The background that the frames show, over time: at each pixel the far surface, wherever something moved away from it.
   A thin plate continues it beyond the picture, and its colors approach those that are usual at their
   elevation and depth.
2. What the foreground of sheet 1 hides: background depth and color, continued smoothly from its far side. It is closed:
   faces across depth edges have the color of the far side.
"""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from ex4d_backbone_inpaint.edges import EDGE_WEIGHT, far_side, split_at_edges
from ex4d_backbone_inpaint.push_pull import Picture, push_pull
from ex4d_backbone_inpaint.samples import (
    FAR,
    NEAR,
    Floats,
    Floats64,
    Samples,
    beside_edge,
    grid_faces,
    grid_points,
    unbroken,
)
from ex4d_backbone_inpaint.surroundings import BINS, UsualColors, colors_of_directions
from ex4d_backbone_inpaint.thin_plate import margin_axis, thin_plate
from ex4d_core.builtin.render_zbuffer import Bands, Drawing
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

FADE = 0.1
"""Distance, in longer sides of a view, in which the colors beside an uncovered area fade to those of its direction."""


@attrs.frozen(eq=False, kw_only=True)
class Backdrop:
    """A colored mesh of the static scene, and colors for directions that it does not cover."""

    points: Floats64
    """float64 [V, 3], in the frame of its camera."""
    faces: NDArray[np.int32]
    colors: Floats
    """float32 [V, 5]: color, 0..255; 1 for the background or 0 for things in front of it; certainty of the color."""
    world_to_camera: Floats64
    """float64 [4, 4]."""
    surroundings: Floats
    """float32 [BINS, 3]: color by the sine of the elevation, from straight up (-1) to straight down (1)."""

    @classmethod
    def of(cls, samples: Samples, tolerance: float, *, foreground: bool = True) -> Backdrop:
        """Return the model of a clip.

        Args:
            samples: frames of the clip.
            tolerance: relative difference of inverse depth up to which two points are the same.
            foreground: whether things in front of the background are part of it.
        """
        sheets = _Sheets.of(_Background.of(samples, tolerance), samples.intrinsics)
        faces = grid_faces(*sheets.shape)
        points = [grid_points(depth, sheets.columns, sheets.rows, samples.intrinsics) for depth in sheets.inverse]
        colors = np.concatenate([sheets.color, sheets.background, sheets.certainty], axis=-1).reshape(2, -1, 5)
        # The hidden sheet is closed, so that rays between two parts of the first find something: the farther of both.
        intact, bridges, ends = split_at_edges(sheets.inverse[1], faces)
        # Where nothing is hidden, it is the first, which is drawn.
        intact = intact[(sheets.background[0] == 0).ravel()[intact].any(axis=1)]
        bridge_colors = colors[1][ends]
        bridge_colors[:, :3] = far_side(sheets.inverse[1], sheets.color[1], ends)
        shown = unbroken(sheets.inverse[0], faces)
        if not foreground:
            shown = shown[sheets.background[0].ravel()[shown].all(axis=1)]
        return cls(
            points=np.concatenate([*points, points[1][bridges.ravel()]]),
            faces=np.concatenate(
                [
                    shown,
                    intact + len(points[0]),
                    np.arange(bridges.size, dtype=np.int32).reshape(-1, 3) + 2 * len(points[0]),
                ]
            ),
            colors=np.ascontiguousarray(np.concatenate([*colors, bridge_colors])),
            world_to_camera=samples.world_to_camera,
            surroundings=colors_of_directions(points[1], sheets.color[1].reshape(-1, 3), samples.world_to_camera),
        )

    def render(self, world_to_camera: Floats64, intrinsics: Intrinsics, bands: Bands) -> tuple[Picture, Floats64]:
        """Return the view of a camera, float32 [H, W, 3], 0..255, and its depth [H, W], inf where nothing is."""
        drawing = Drawing.of(
            self.points,
            self.faces,
            pose=world_to_camera @ np.linalg.inv(self.world_to_camera),
            intrinsics=intrinsics,
            near=NEAR,
            far=FAR,
            bands=bands,
        )
        values, covered = drawing.interpolate(self.colors), drawing.face_index >= 0
        far = self._far_colors(world_to_camera, intrinsics)
        known, background, certainty = np.split(values, [3, 4], axis=-1)
        view = far + certainty * (known - far)
        if covered.all():
            return view, drawing.depth
        # Things in front of the background do not continue beside it.
        beside = push_pull(view - far, np.where(covered, background[..., 0], 0).astype(np.float32))
        distance = cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)[~covered]
        fade = np.exp(-distance / (FADE * max(covered.shape)))[:, None]
        view[~covered] = far[~covered] + fade * beside[~covered]
        return view, drawing.depth

    def _far_colors(self, world_to_camera: Floats64, intrinsics: Intrinsics) -> Picture:
        """Return the color of the surroundings in the direction of each pixel, float32 [H, W, 3]."""
        x = ((np.arange(intrinsics.width) + 0.5 - intrinsics.cx) / intrinsics.fx).astype(np.float32)
        y = ((np.arange(intrinsics.height) + 0.5 - intrinsics.cy) / intrinsics.fy).astype(np.float32)[:, None]
        down = world_to_camera[:3, 1].astype(np.float32)
        sine = (down[0] * x + down[1] * y + down[2]) / np.sqrt(x * x + y * y + 1)
        position = (sine + 1) / 2 * BINS - 0.5
        table = self.surroundings[None]
        return np.asarray(
            cv2.remap(table, position, np.zeros_like(position), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )


@attrs.frozen(eq=False, kw_only=True)
class _Background:
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
    def of(cls, samples: Samples, tolerance: float) -> _Background:
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
class _Sheets:
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

    @property
    def certainty(self) -> Floats:
        """float32 [2, H', W', 1], 1 in the picture, less with the distance from it."""
        outside = _outside(self.columns, self.rows, len(self.rows) - 2 * RINGS, len(self.columns) - 2 * RINGS)
        return np.broadcast_to(np.exp(-outside / DIRECTION)[None, ..., None], (2, *outside.shape, 1)).astype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """H', W'."""
        return len(self.rows), len(self.columns)

    @classmethod
    def of(cls, picture: _Background, lens: Intrinsics) -> _Sheets:
        """Return the sheets of the background that the frames show."""
        height, width = picture.inverse.shape
        columns = margin_axis(width, RINGS, SLOPE * lens.fx / width)
        rows = margin_axis(height, RINGS, SLOPE * lens.fy / height)
        plate = thin_plate(picture.inverse, picture.known, columns, rows)
        inside = np.s_[RINGS:-RINGS, RINGS:-RINGS]
        first = _continued(picture.inverse, picture.known, plate, columns, rows)
        in_front = _in_front(first, columns, rows, lens)
        seen, color = np.zeros(first.shape, bool), np.zeros((*first.shape, 3), np.float32)
        seen[inside], color[inside] = picture.seen, picture.color
        # Colors beside the foreground are mixed with it, and would outline it where it is not drawn.
        seen &= in_front | ~_grown(in_front)
        background = seen & ~in_front
        trusted = background if background.any() else seen
        usual = UsualColors.of(picture.color, first[inside], trusted[inside])
        unlike = color - usual.at(rows, first)
        behind = push_pull(np.dstack([unlike, first - plate]), trusted * _farness(first, lens))
        hidden = np.where(in_front, np.clip(behind[..., 3] + plate, first.min(), BEHIND * first), first)
        # Walls and floors continue; the more a color differs from what is usual, the sooner it ends.
        unusual = np.maximum.reduce([np.abs(behind[..., channel]) for channel in range(3)]) / UNUSUAL
        fade = np.exp(-_outside(columns, rows, height, width) * (1 + unusual**4) / COLOR_MEMORY)
        behind[..., :3] = usual.at(rows, hidden) + fade[..., None] * behind[..., :3]
        color = np.where(seen[..., None], color, behind[..., :3])
        hidden_color = np.where(in_front[..., None], behind[..., :3], color)
        return cls(
            columns=columns,
            rows=rows,
            color=np.stack([color, hidden_color]).astype(np.float32),
            inverse=np.stack([first, hidden]).astype(np.float32),
            background=np.stack([~in_front, np.ones_like(in_front)])[..., None].astype(np.float32),
        )


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
