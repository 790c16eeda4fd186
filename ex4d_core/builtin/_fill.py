"""Fill holes in an image from their surroundings, farthest surface first: hidden regions lie behind the occluder.

Push-pull filling (Gortler et al., The Lumigraph, 1996, section 3.4.2): known pixels are averaged into ever smaller
pictures until nothing is unknown, and holes take their color from the finest one that knows it. Here a pixel gives
way, at each size, to farther ones beside it and beside holes in which only farther things can be, so that a person's
colors do not run into the wall behind.
"""

from __future__ import annotations

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

NEARNESS_PENALTY = 4
"""Power of the ratio of depths with which a pixel gives way: twice as near counts 1/16."""

_ANYTHING = np.float32(1e6)
"""Inverse depth of nothing in particular: nearer than all."""

_LEAST_RATIO = np.float32(0.2)
"""Ratios of depths below count as this, so that some color is left where everything around is too near."""

_LEAST = 1e-30
"""Weights below count as none."""


def fill_from_surroundings(color: Picture, depth: Picture, trust: Picture, limit: Picture) -> Picture:
    """Return the picture with its untrusted pixels filled.

    Args:
        color: float32 [H, W, 3]; ignored where `trust` is 0.
        depth: float32 [H, W], > 0 and finite where `trust` is not 0; one constant where nothing is known of it.
        trust: float32 [H, W], 0..1: how much a pixel counts; 1 keeps it as it is.
        limit: float32 [H, W], how near at least what is hidden at a pixel must be behind: 0 where anything may be.

    Returns:
        float32 [H, W, 3]; all zeros where no pixel is trusted.
    """
    known = trust > 0
    level = _Level(
        color=np.where(known[..., None], color, 0).astype(np.float32),
        near=np.where(known, 1 / np.where(known, depth, 1), 0).astype(np.float32),
        weight=trust.astype(np.float32),
        limit=np.where(limit > 0, 1 / np.where(limit > 0, limit, 1), _ANYTHING).astype(np.float32),
    )
    return _push_pull(level)[..., :3]


@attrs.frozen(eq=False, kw_only=True)
class _Level:
    """The picture at one size."""

    color: Picture
    near: Picture
    """float32 [H, W], inverse depth of what is known; 0 where nothing is."""
    weight: Picture
    """float32 [H, W], 0 unknown to 1 known."""
    limit: Picture
    """float32 [H, W], inverse depth that what is hidden has at most."""

    def giving_way(self, other: Picture) -> Picture:
        """Return 1 where nothing is nearer than `other` [H, W] (inverse depth), and less the nearer it is."""
        ratio = np.clip(np.minimum(other, _ANYTHING) / np.maximum(self.near, 1e-9), _LEAST_RATIO, 1)
        return np.asarray(ratio**NEARNESS_PENALTY, np.float32)

    def values(self) -> Picture:
        """Return color and inverse depth, float32 [H, W, 4]."""
        return np.dstack([self.color, self.near])


def _push_pull(level: _Level) -> Picture:
    """Return color and inverse depth, each pixel of weight < 1 mixed with what the next smaller picture says."""
    height, width = level.weight.shape
    values = level.values()
    if level.weight.min() >= 1:
        return values
    if max(height, width) <= 2:
        total = max(float(level.weight.sum()), _LEAST)
        mean = (values * level.weight[..., None]).sum(axis=(0, 1)) / total
        return np.broadcast_to(mean.astype(np.float32), values.shape)
    coarse = cv2.pyrUp(_push_pull(_halve(level)), dstsize=(width, height))
    own = level.weight * level.giving_way(np.minimum(coarse[..., 3], level.limit))
    # Known pixels stay as they are whatever is behind them.
    own = np.where(level.weight >= 1, 1, own)[..., None]
    return np.asarray(coarse + (values - coarse) * own, np.float32)


def _halve(level: _Level) -> _Level:
    """Return the picture at half the size."""
    known = np.where(level.weight > _LEAST, level.near, _ANYTHING).astype(np.float32)
    allowed = level.weight * level.giving_way(_smallest_around(level.limit))
    share = allowed * level.giving_way(_smallest_around(known))
    stacked = np.asarray(cv2.pyrDown(np.dstack([level.values() * share[..., None], share, allowed])), np.float32)
    total, covered = stacked[..., 4], stacked[..., 5]
    mean = (stacked[..., :4] / np.maximum(total, np.float32(_LEAST))[..., None]).astype(np.float32)
    return _Level(
        color=mean[..., :3],
        near=np.ascontiguousarray(mean[..., 3]),
        # Four pixels make one: a quarter of them known is enough to know it.
        weight=np.where(total > _LEAST, np.minimum(4 * covered, 1), 0).astype(np.float32),
        # Passed on by the inner 3 x 3 only, or one limit would soon rule the whole picture.
        limit=np.ascontiguousarray(_smallest_around(level.limit, 3)[::2, ::2]),
    )


def _smallest_around(values: Picture, size: int = 5) -> Picture:
    """Return the smallest of the size x size values around each; 5 x 5 of them make one of half the size."""
    return np.asarray(cv2.erode(values, np.ones((size, size), np.uint8)), np.float32)
