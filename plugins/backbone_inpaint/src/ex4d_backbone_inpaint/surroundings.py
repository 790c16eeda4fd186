"""Colors of what lies outside of the picture: what is usual at its elevation and depth."""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from ex4d_backbone_inpaint.push_pull import push_pull
from ex4d_backbone_inpaint.samples import Floats, Floats64

BINS = 16
"""Number of elevation angles for which the model has a color of the far surroundings."""

BANDS = 8
"""Number of bands of rows for which there are usual colors."""

DEPTH_STEP = 0.25
"""Step of the logarithm of inverse depth between two usual colors of a band."""

FAR = 0.1
"""Inverse depth below which all is far, in the largest of the picture: mountains and sky have one color in a row."""

ENOUGH = 50
"""Number of pixels from which a color does not depend on those of neighboring rows and depths."""

UNUSUAL = 100.0
"""Difference in levels from the median from which a color does not count."""


@attrs.frozen(eq=False, kw_only=True)
class UsualColors:
    """The usual color of the background by row and inverse depth: a floor and a wall behind it differ in one row."""

    _table: Floats
    """float32 [BANDS, N, 3]."""
    _height: int
    """H of the picture."""
    _far: float
    """Inverse depth of the first color of a band."""

    @classmethod
    def of(cls, color: Floats, inverse: Floats, known: NDArray[np.bool_]) -> UsualColors:
        """Return the usual colors of a picture.

        Args:
            color: float32 [H, W, 3].
            inverse: float32 [H, W], inverse depth > 0.
            known: bool [H, W], pixels that count.
        """
        height = len(color)
        largest = float(inverse[known].max(initial=0)) or 1.0
        far = max(float(inverse[known].min(initial=largest)), FAR * largest)
        depths = int(_depth_bin(np.float32(largest), far)) + 1
        bands = np.arange(height) * BANDS // height
        cells = (bands[:, None] * depths + np.minimum(_depth_bin(inverse, far), depths - 1).astype(int))[known]
        order = np.argsort(cells, kind="stable")
        present, starts = np.unique(cells[order], return_index=True)
        table, weight = np.zeros((BANDS * depths, 3), np.float32), np.zeros(BANDS * depths, np.float32)
        for cell, colors in zip(present, np.split(color[known][order], starts)[1:], strict=True):
            table[cell], weight[cell] = _usual(colors), min(len(colors) / ENOUGH, 1)
        table = push_pull(table.reshape(BANDS, depths, 3), weight.reshape(BANDS, depths))
        return cls(table=table, height=height, far=far)

    def at(self, rows: Floats64, inverse: Floats) -> Floats:
        """Return the colors, float32 [H', W', 3], at positions [H'] in pixels and inverse depths [H', W']."""
        x = (_depth_bin(inverse, self._far) - 0.5).astype(np.float32)
        y = (rows / self._height * BANDS - 0.5).clip(0, BANDS - 1).astype(np.float32)
        y = np.broadcast_to(y[:, None], x.shape)
        return np.asarray(cv2.remap(self._table, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _usual(colors: Floats) -> Floats:
    """Return the mean of colors [N, 3] without those that are unlike the median."""
    median = np.median(colors, axis=0)
    alike = np.abs(colors - median).max(axis=1) < UNUSUAL
    return np.asarray(colors[alike].mean(axis=0) if alike.any() else median, np.float32)


def _depth_bin(inverse: Any, far: float) -> Any:
    """Return positions of inverse depths in a band of the table, for arrays or scalars."""
    return np.log(np.maximum(inverse, far) / far) / DEPTH_STEP


def colors_of_directions(points: Floats64, colors: Floats, world_to_camera: Floats64) -> Floats:
    """Return the mean color for each elevation in world coordinates; empty bins are filled from their neighbors."""
    down = points @ world_to_camera[:3, 1]
    sine = down / np.maximum(np.linalg.norm(points, axis=1), 1e-30)
    bins = np.clip(((sine + 1) / 2 * BINS).astype(int), 0, BINS - 1)
    count = np.bincount(bins, minlength=BINS).astype(np.float32)
    total = np.stack([np.bincount(bins, colors[:, channel], minlength=BINS) for channel in range(3)], axis=-1)
    mean = (total / np.maximum(count, 1)[:, None]).astype(np.float32)
    return np.asarray(push_pull(mean[:, None], np.minimum(count, 1)[:, None])[:, 0])
