"""Depth edges of a grid, where colors are mixed and faces span near and far."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ex4d_backbone_inpaint.samples import EDGE_RATIO, Floats, beside_edge

EDGE_WEIGHT = 0.02
"""Weight of samples beside depth edges: their colors are mixed with the surface on the other side."""

FAR_REACH = 5
"""Radius in pixels of the surroundings that determine the color at a depth edge."""


def split_at_edges(inverse: Floats, faces: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the faces that span no depth edge, and those that do, the bridges."""
    corners = inverse.ravel()[faces]
    broken = corners.max(axis=1) > EDGE_RATIO * corners.min(axis=1)
    return faces[~broken], faces[broken]


def bridge_colors(
    inverse: Floats, color: Floats, bridges: NDArray[np.int32], ground: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], Floats]:
    """Return the vertex of which each corner of a bridge has the color, int32 [3 * F], and these colors [3 * F, 3].

    It is the farthest corner, or the nearest one if that is ground: behind its rim, the ground goes on.

    Args:
        inverse: float32 [H, W].
        color: float32 [H, W, 3].
        bridges: int32 [F, 3].
        ground: bool [H, W].
    """
    corners = inverse.ravel()[bridges]
    farthest, nearest = (
        np.take_along_axis(bridges, place[:, None], axis=1)[:, 0]
        for place in (corners.argmin(axis=1), corners.argmax(axis=1))
    )
    flat = ground.ravel()[nearest]
    result = np.empty((len(bridges), 3), np.float32)
    result[~flat] = _mean_color(inverse, color, farthest[~flat])
    result[flat] = _mean_color(inverse, color, nearest[flat], least=1 / EDGE_RATIO)
    return np.repeat(np.where(flat, nearest, farthest), 3), np.repeat(result, 3, axis=0)


def _mean_color(inverse: Floats, color: Floats, at: NDArray[np.int32], *, least: float = 0.0) -> Floats:
    """Return the mean color of the surface around grid positions, float32 [N, 3].

    Args:
        inverse: float32 [H, W].
        color: float32 [H, W, 3].
        at: int32 [N], indices of pixels.
        least: smallest inverse depth of pixels that count, in those of the position.
    """
    height, width = inverse.shape
    offsets = np.stack(np.meshgrid(*[np.arange(-FAR_REACH, FAR_REACH + 1)] * 2), axis=-1).reshape(-1, 2)
    places, back = np.unique(at, return_inverse=True)
    rows = np.clip(places[:, None] // width + offsets[:, 0], 0, height - 1)
    columns = np.clip(places[:, None] % width + offsets[:, 1], 0, width - 1)
    near = inverse[rows, columns] / inverse.ravel()[places][:, None]
    # Pixels beside the edge are mixed.
    weight = (near < EDGE_RATIO) * (near > least) * np.where(beside_edge(inverse)[rows, columns], EDGE_WEIGHT, 1)
    mean = np.einsum("nk,nkc->nc", weight, color[rows, columns]) / weight.sum(axis=1, keepdims=True)
    return np.asarray(mean[back.reshape(-1)], np.float32)
