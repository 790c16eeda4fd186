"""Estimate the back surfaces of foreground objects, which no frame shows.

The thickness of an object is assumed to equal its width, like that of a ball or a cylinder. Its back lies behind the
visible front, in the region that the object occludes, so that it never contradicts the frame; both meet at the
silhouette. From there, its color approaches the mean color of the object at that height: an ear or a stripe at the
silhouette does not cover the back of a head.
"""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from ex4d_backbone_inpaint.samples import EDGE_RATIO, Floats, Floats64, drawn
from ex4d_core.types import Intrinsics

WIDEST = 0.1
"""Half of the width in focal lengths up to which the thickness of a thing grows with its width: 11 degrees in all."""

THINNEST = 2.5
"""Half of the width in pixels of the thinnest thing that has a back."""

WIDTHS = 8
"""Number of widths that are distinguished."""

MIXED = 3.0
"""Distance in pixels from the outline within which colors are mixed with those behind it."""

SMOOTHING = 1.5
"""Standard deviation in pixels of the smoothing of colors at outlines, which would be streaks on the back."""

MEAN_REACH = (0.75, 0.1)
"""Standard deviations, along and across rows, of the weights of mean colors, in half widths of the widest thing."""

BOX = 4
"""Side in pixels of the boxes in which mean colors are computed."""

MIN_WEIGHT = 1e-3
"""Smaller weights of mean colors count as 0."""


@attrs.frozen(eq=False, kw_only=True)
class Backs:
    """A colored mesh of the backs of all things in one frame, and of the fronts before them, which close it."""

    points: Floats64
    """float64 [V, 3], in the frame of the source camera: all fronts, then all backs."""
    faces: NDArray[np.int32]
    colors: Floats
    """float32 [V, 3], 0..255."""

    @classmethod
    def of(cls, color: Floats, inverse: Floats, lens: Intrinsics) -> Backs:
        """Return the backs of a frame.

        Args:
            color: float32 [H, W, 3].
            inverse: float32 [H, W], inverse depth; 0 where unknown.
            lens: of the source camera, for an image of W x H.
        """
        focal = max(lens.fx, lens.fy)
        inward, grown = _outline(inverse)
        outline = np.logical_or(*np.moveaxis(inward != 0, -1, 0))
        inside, offset = _inside(outline, grown)
        radius = _half_width(inside, WIDEST * focal)
        depth = np.minimum(inside, radius)
        thickness = 2 * np.sqrt(depth * (2 * radius - depth)) / focal
        # Far from outlines, only a camera behind the scene would see it.
        wanted = (thickness > 0) & (inside < WIDEST * focal)
        faces = _faces(grown, wanted & ~_cut(np.asarray(inward.any(axis=-1)), 2 * WIDEST * focal))
        used = np.zeros(inverse.size, bool)
        used[faces] = True
        index = np.cumsum(used, dtype=np.int32) - 1
        at = used.reshape(inverse.shape)
        # The outline is between two pixels.
        rows, columns = (np.argwhere(at) + 0.5 + 0.5 * inward[at]).T
        rays = np.stack([(columns - lens.cx) / lens.fx, (rows - lens.cy) / lens.fy, np.ones(len(rows))], axis=-1)
        front = rays / grown[at][:, None]
        outer = _outline_colors(_inner_colors(color, inside), inward, offset)
        mean = _mean_colors(color, inside, WIDEST * focal, outer)
        is_outer = (outline | (inside < MIXED - 1))[at][:, None]
        outer, mean, thickness = outer[at], mean[at], thickness[at][:, None]
        around = np.sqrt(thickness * focal / np.maximum(2 * radius[at][:, None], 1))  # 0 at the outline, 1 opposite it
        return cls(
            points=np.concatenate([front, front * (1 + thickness)]),
            faces=np.concatenate([index[faces], index[faces] + len(front)]),
            colors=np.concatenate([np.where(is_outer, outer, color[at]), outer + around * (mean - outer)]),
        )

    def render(self, pose: Floats64, lens: Intrinsics) -> tuple[Floats, Floats64]:
        """Return color float32 [H, W, 3] and depth [H, W], inf where nothing is, seen by a camera at `pose`."""
        drawing = drawn(self.points, self.faces, pose, lens)
        return drawing.interpolate(self.colors), drawing.depth


def _outline(inverse: Floats) -> tuple[Floats, Floats]:
    """Return the pixels just outside of things, and inverse depth [H, W] with that of the thing there.

    The pixels are given as directions to the thing in rows and columns, float32 [H, W, 2], otherwise 0.
    """
    inward = np.zeros((*inverse.shape, 2), np.float32)
    grown = inverse.copy()
    for axis in (0, 1):
        for sign in (1, -1):
            here, there = (np.moveaxis(each, axis, 0)[::sign][:-1] for each in (inverse, inward[..., axis]))
            near = np.moveaxis(inverse, axis, 0)[::sign][1:]
            behind = (here > 0) & (near > EDGE_RATIO * here)
            there[behind] += sign
            target = np.moveaxis(grown, axis, 0)[::sign][:-1]
            target[behind] = np.maximum(target, near)[behind]
    return inward, grown


def _cut(outline: NDArray[np.bool_], widest: float) -> NDArray[np.bool_]:
    """Return the pixels [H, W] of narrow things that the left or right edge of the picture cuts.

    Their width, and with it their thickness, is not known; that of wide things does not depend on it.

    Args:
        outline: bool [H, W], pixels just outside of things.
        widest: width of the widest narrow thing in pixels.
    """
    width = outline.shape[1]
    result = np.zeros_like(outline)
    for rows, cut in ((outline, result), (outline[:, ::-1], result[:, ::-1])):
        first = np.where(rows.any(axis=1), rows.argmax(axis=1), width)[:, None]
        cut |= (np.arange(width) < first) & (first < widest)
    return result


def _inside(outline: NDArray[np.bool_], grown: Floats) -> tuple[Floats, Floats]:
    """Return the distance [H, W] of pixels inside of things from their outline, and the offset [H, W, 2] from it.

    The offset is in rows and columns. Both are 0 outside of things.
    """
    distance, labels = cv2.distanceTransformWithLabels(
        1 - outline.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros((int(labels.max()) + 1, 2), np.int32)
    places[labels[outline]] = np.argwhere(outline)
    nearest = places[labels]
    same = EDGE_RATIO * grown >= grown[nearest[..., 0], nearest[..., 1]]
    offset = np.moveaxis(np.indices(outline.shape, np.int32), 0, -1) - nearest
    inside = np.where(same, (distance - 0.5).clip(0), 0)
    return inside.astype(np.float32), np.where(same[..., None], offset, 0).astype(np.float32)


def _inner_colors(color: Floats, inside: Floats) -> Floats:
    """Return color [H, W, 3], smoothed over the pixels of things that are not beside their outlines."""
    weight = (inside >= MIXED - 1).astype(np.float32)
    total = cv2.GaussianBlur(color * weight[..., None], (0, 0), SMOOTHING)
    divisor = cv2.GaussianBlur(weight, (0, 0), SMOOTHING)[..., None]
    return np.asarray(np.where(divisor > 0.05, total / np.maximum(divisor, 0.05), color), np.float32)


def _outline_colors(color: Floats, inward: Floats, offset: Floats) -> Floats:
    """Return the color [H, W, 3] of the outline that is nearest to each pixel, so that no feature is seen twice.

    Colors are taken from further inside, see `MIXED`.
    """
    length = np.hypot(offset[..., :1], offset[..., 1:])
    direction = inward + offset / np.maximum(length, 1)
    rows, columns = np.moveaxis(MIXED * direction - offset, -1, 0) + np.indices(length.shape[:2], np.float32)
    return np.asarray(cv2.remap(color, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _mean_colors(color: Floats, inside: Floats, widest: float, otherwise: Floats) -> Floats:
    """Return the mean color [H, W, 3] of the things around each pixel at its height.

    Args:
        color: float32 [H, W, 3].
        inside: distance from the outline inside of things, float32 [H, W].
        widest: half of the width of the widest thing in pixels.
        otherwise: float32 [H, W, 3], colors where nothing is near.
    """
    height, width = inside.shape
    weight = (inside >= MIXED - 1).astype(np.float32)
    boxes = -(-width // BOX), -(-height // BOX)
    total = cv2.resize(np.dstack([color * weight[..., None], weight]), boxes, interpolation=cv2.INTER_AREA)
    along, across = (reach * widest / BOX for reach in MEAN_REACH)
    total = cv2.resize(cv2.GaussianBlur(total, (0, 0), sigmaX=along, sigmaY=across), (width, height))
    near = total[..., 3:] > MIN_WEIGHT
    return np.asarray(np.where(near, total[..., :3] / np.where(near, total[..., 3:], 1), otherwise), np.float32)


def _faces(inverse: Floats, wanted: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the faces of all cells of a grid that have a wanted corner and span no depth edge, int32 [F, 3]."""
    height, width = inverse.shape

    def corners(values: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return values[:-1, :-1], values[:-1, 1:], values[1:, :-1], values[1:, 1:]

    low, high = np.minimum.reduce(corners(inverse)), np.maximum.reduce(corners(inverse))
    cells = np.logical_or.reduce(corners(wanted)) & (low > 0) & (high <= EDGE_RATIO * low)
    index = np.arange(height * width, dtype=np.int32).reshape(height, width)
    upper_left, upper_right, lower_left, lower_right = (each[cells] for each in corners(index))
    upper = np.stack([lower_left, upper_left, upper_right], axis=1)
    return np.concatenate([upper, np.stack([lower_left, upper_right, lower_right], axis=1)])


def _half_width(inside: Floats, widest: float) -> Floats:
    """Return the radius of the largest disk inside of the thing around each pixel, float32 [H, W], 0 in thin things."""
    radius = np.zeros_like(inside)
    sizes = np.geomspace(THINNEST, max(widest, THINNEST), WIDTHS)
    middle = np.sqrt(sizes[1] / sizes[0])  # between a size and the next
    for size in sizes:
        outside = (inside < size).astype(np.uint8)
        if outside.all():
            break
        radius[cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_3) <= size] = middle * size
    return radius
