"""How far away is what a camera moves around."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.types import DepthVideo

SUBJECT_PERCENTILE = 0.25
"""Nearer than most of what is in the middle of the picture, so that a thing before a wall counts and not the wall."""


def subject_distance(depth: DepthVideo) -> float:
    """Return how far away what is in the middle of frame 0 is, along z, in the units of the depth.

    The 25th percentile of what is known in the central half of the picture (in all of it where nothing is known
    there), rounded up in rank so that one bad pixel is never it.

    Raises:
        InvalidInput: no pixel of frame 0 has a depth.
    """
    valid = _known(depth)
    height, width = valid.shape
    middle = torch.zeros_like(valid)
    middle[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    chosen = valid & middle
    values = depth.depth[0][chosen if chosen.any() else valid]
    # kthvalue, because torch.quantile refuses more than 16 million values.
    rank = math.ceil(SUBJECT_PERCENTILE * (len(values) - 1))
    return float(values.kthvalue(rank + 1).values)


def nearest_distance(depth: DepthVideo) -> float:
    """Return EX-4D's distance: the smallest depth of frame 0 plus 0.15, its outermost ring of pixels taken as 100.

    Raises:
        InvalidInput: no pixel of frame 0 has a depth.
    """
    known = depth.depth[0].where(_known(depth), torch.inf)
    inside = known[1:-1, 1:-1]
    return min([float(inside.amin()), 100.0] if inside.numel() else [100.0]) + 0.15


def _known(depth: DepthVideo) -> Tensor:
    valid = depth.valid_at(0)
    if not valid.any():
        raise InvalidInput("no pixel of the first frame has a depth, so the camera has nothing to move around")
    return valid
