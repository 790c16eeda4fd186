"""Fill holes in an image from their surroundings, farthest surface first: hidden regions lie behind the occluder.

Push-pull filling (Gortler et al., The Lumigraph, 1996, section 3.4.2): known pixels are averaged into an image pyramid,
and each hole gets its color from the finest level at which it is known. Here, at each level, the weight of a pixel is
reduced beside farther pixels and beside holes that can only contain farther surfaces, so that the colors of a person
do not bleed into the wall behind.
"""

from __future__ import annotations

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

NEARNESS_PENALTY = 4
"""Exponent of the depth ratio in the weight of a pixel: at half the depth, the weight is 1/16."""

_UNRESTRICTED = np.float32(1e6)
"""Inverse depth that imposes no restriction: nearer than every surface."""

_MIN_RATIO = np.float32(0.2)
"""Lower bound of depth ratios, so that some color remains where all surroundings are too near."""

_MIN_WEIGHT = 1e-30
"""Smaller weights count as 0."""


def fill_from_surroundings(color: Picture, depth: Picture, trust: Picture, limit: Picture) -> Picture:
    """Return the image with its untrusted pixels filled.

    Args:
        color: float32 [H, W, 3]; ignored where `trust` is 0.
        depth: float32 [H, W], > 0 and finite where `trust` is not 0; a constant if unknown.
        trust: float32 [H, W], weight 0..1 of a pixel; pixels of weight 1 are not changed.
        limit: float32 [H, W], smallest possible depth of the hidden surface; 0 where unrestricted.

    Returns:
        float32 [H, W, 3]; all zeros where no pixel is trusted.
    """
    known = trust > 0
    level = _Level(
        color=np.where(known[..., None], color, 0).astype(np.float32),
        near=np.where(known, 1 / np.where(known, depth, 1), 0).astype(np.float32),
        weight=trust.astype(np.float32),
        limit=np.where(limit > 0, 1 / np.where(limit > 0, limit, 1), _UNRESTRICTED).astype(np.float32),
    )
    return _push_pull(level)[..., :3]


@attrs.frozen(eq=False, kw_only=True)
class _Level:
    """One level of the pyramid."""

    color: Picture
    near: Picture
    """float32 [H, W], inverse depth; 0 where unknown."""
    weight: Picture
    """float32 [H, W], 0 unknown to 1 known."""
    limit: Picture
    """float32 [H, W], largest possible inverse depth of a hidden surface."""

    def relative_weight(self, other: Picture) -> Picture:
        """Return 1 where a pixel is not nearer than `other` [H, W] (inverse depth), less the nearer it is."""
        ratio = np.clip(np.minimum(other, _UNRESTRICTED) / np.maximum(self.near, 1e-9), _MIN_RATIO, 1)
        return np.asarray(ratio**NEARNESS_PENALTY, np.float32)

    def values(self) -> Picture:
        """Return color and inverse depth, float32 [H, W, 4]."""
        return np.dstack([self.color, self.near])


def _push_pull(level: _Level) -> Picture:
    """Return color and inverse depth; pixels of weight < 1 are blended with the next coarser level."""
    height, width = level.weight.shape
    values = level.values()
    if level.weight.min() >= 1:
        return values
    if max(height, width) <= 2:
        total = max(float(level.weight.sum()), _MIN_WEIGHT)
        mean = (values * level.weight[..., None]).sum(axis=(0, 1)) / total
        return np.broadcast_to(mean.astype(np.float32), values.shape)
    coarse = cv2.pyrUp(_push_pull(_halve(level)), dstsize=(width, height))
    own = level.weight * level.relative_weight(np.minimum(coarse[..., 3], level.limit))
    # Known pixels are not changed.
    own = np.where(level.weight >= 1, 1, own)[..., None]
    return np.asarray(coarse + (values - coarse) * own, np.float32)


def _halve(level: _Level) -> _Level:
    """Return the next coarser level."""
    known = np.where(level.weight > _MIN_WEIGHT, level.near, _UNRESTRICTED).astype(np.float32)
    allowed = level.weight * level.relative_weight(_smallest_around(level.limit))
    weight = allowed * level.relative_weight(_smallest_around(known))
    stacked = np.asarray(cv2.pyrDown(np.dstack([level.values() * weight[..., None], weight, allowed])), np.float32)
    total, covered = stacked[..., 4], stacked[..., 5]
    mean = (stacked[..., :4] / np.maximum(total, np.float32(_MIN_WEIGHT))[..., None]).astype(np.float32)
    return _Level(
        color=mean[..., :3],
        near=np.ascontiguousarray(mean[..., 3]),
        # One known pixel of four is enough for a known pixel.
        weight=np.where(total > _MIN_WEIGHT, np.minimum(4 * covered, 1), 0).astype(np.float32),
        # From the inner 3 x 3 only, or one limit would soon apply to the whole image.
        limit=np.ascontiguousarray(_smallest_around(level.limit, 3)[::2, ::2]),
    )


def _smallest_around(values: Picture, size: int = 5) -> Picture:
    """Return the minimum of the size x size neighborhood of each value; 5 x 5 is the footprint of `pyrDown`."""
    return np.asarray(cv2.erode(values, np.ones((size, size), np.uint8)), np.float32)
