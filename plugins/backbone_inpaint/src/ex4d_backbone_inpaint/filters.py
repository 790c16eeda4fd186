"""Filters of pictures that know which pixels count."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ex4d_backbone_inpaint.push_pull import Picture

_FARTHEST = 1e6
"""Largest distance in pixels: where nothing counts, OpenCV returns about 1e38, whose quotient would overflow."""


def smoothed(values: Picture, where: NDArray[np.bool_], *, sigma: float = 0, size: int = 0) -> Picture:
    """Return values smoothed over the pixels of a mask; others neither count nor change.

    Args:
        values: float32 [H, W] or [H, W, C].
        where: bool [H, W].
        sigma: standard deviation in pixels, or 0 for the binomial filter of a size.
        size: width of the filter in pixels, or 0 for what `sigma` needs.
    """
    shape = (*where.shape, *[1] * (values.ndim - 2))
    weight = where.astype(np.float32)
    total = cv2.GaussianBlur(values * weight.reshape(shape), (size, size), sigma)
    divisor = np.maximum(cv2.GaussianBlur(weight, (size, size), sigma), 1e-6)
    return np.asarray(np.where(where.reshape(shape), total / divisor.reshape(shape), values), np.float32)


def fading(where: NDArray[np.bool_], reach: float) -> Picture:
    """Return weights float32 [H, W], 1 at the pixels of a mask and 1/e at a distance of `reach` pixels from it."""
    distance = cv2.distanceTransform((~where).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
    return np.asarray(np.exp(-np.minimum(distance, _FARTHEST) / reach), np.float32)
