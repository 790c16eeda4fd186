"""Colors of what lies outside of the picture: what is usual at its elevation."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ex4d_backbone_inpaint.push_pull import push_pull
from ex4d_backbone_inpaint.samples import Floats, Floats64

BINS = 16
"""Number of elevation angles for which the model has a color of the far surroundings."""

BANDS = 16
"""Number of bands of rows for which there is a usual color; each is determined with its neighbors."""


def usual_colors(color: Floats, known: NDArray[np.bool_]) -> Floats:
    """Return the median color around each row, float32 [H, 3], smoothed over rows.

    Args:
        color: float32 [H, W, 3].
        known: bool [H, W], pixels that count.
    """
    height = len(color)
    edges = np.linspace(0, height, min(BANDS, height) + 1).astype(int)
    median = np.zeros((len(edges) - 1, 1, 3), np.float32)
    some = np.zeros((len(edges) - 1, 1), np.float32)
    for band in range(len(median)):
        rows = np.s_[edges[max(band - 1, 0)] : edges[min(band + 2, len(median))]]
        if known[rows].any():
            median[band], some[band] = np.median(color[rows][known[rows]], axis=0), 1
    column = cv2.resize(push_pull(median, some), (1, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(column, np.float32).reshape(-1, 3)


def colors_of_directions(points: Floats64, colors: Floats, world_to_camera: Floats64) -> Floats:
    """Return the mean color for each elevation in world coordinates; empty bins are filled from their neighbors."""
    down = points @ world_to_camera[:3, 1]
    sine = down / np.maximum(np.linalg.norm(points, axis=1), 1e-30)
    bins = np.clip(((sine + 1) / 2 * BINS).astype(int), 0, BINS - 1)
    count = np.bincount(bins, minlength=BINS).astype(np.float32)
    total = np.stack([np.bincount(bins, colors[:, channel], minlength=BINS) for channel in range(3)], axis=-1)
    mean = (total / np.maximum(count, 1)[:, None]).astype(np.float32)
    return np.asarray(push_pull(mean[:, None], np.minimum(count, 1)[:, None])[:, 0])
