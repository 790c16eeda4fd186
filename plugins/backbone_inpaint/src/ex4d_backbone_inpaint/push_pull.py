"""Fill holes in an image from their surroundings by push-pull (Gortler et al., The Lumigraph, 1996, section 3.4.2).

Known pixels are averaged into an image pyramid, and each hole gets its value from the finest level that knows it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

_MIN_WEIGHT = 1e-12
"""Smaller weights count as 0."""


def push_pull(values: Picture, weight: Picture) -> Picture:
    """Return an image whose pixels of weight < 1 are blended with their surroundings.

    Args:
        values: float32 [H, W, C], finite; ignored where the weight is 0.
        weight: float32 [H, W], 0 unknown to 1 known; pixels of weight 1 are not changed.

    Returns:
        float32 [H, W, C]; all zeros where no pixel has a weight.
    """
    height, width = weight.shape
    if weight.min() >= 1:
        return values
    if max(height, width) <= 2:
        average = (values * weight[..., None]).sum(axis=(0, 1)) / max(float(weight.sum()), _MIN_WEIGHT)
        return np.broadcast_to(average.astype(np.float32), values.shape)
    halved = np.asarray(cv2.pyrDown(np.dstack([values * weight[..., None], weight])), np.float32)
    total = halved[..., -1]
    mean = (halved[..., :-1] / np.maximum(total, np.float32(_MIN_WEIGHT))[..., None]).astype(np.float32)
    # One known pixel of four is enough for a known pixel.
    covered = np.where(total > _MIN_WEIGHT, np.minimum(4 * total, 1), 0).astype(np.float32)
    coarse = cv2.pyrUp(push_pull(mean, covered), dstsize=(width, height)).reshape(values.shape)
    return np.asarray(coarse + (values - coarse) * weight[..., None], np.float32)
