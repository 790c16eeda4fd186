"""Windows around pixels: their minimum and maximum, single neighbors, and how alike their colors are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

RING = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
"""Offsets of the 8 neighbors of a pixel, (row, column)."""

COLOR_SIGMA = 25.0
"""Standard deviation of colors, in levels of 255, Euclidean."""


def window(values: Tensor, radius: int, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the minimum or maximum of each window of 2 radius + 1 pixels, [T, H, W]."""
    joined = functional.pad(values[:, None], (radius,) * 4, mode="replicate")[:, 0]
    length = 2 * radius + 1
    for dim in (1, 2):
        size, reach = joined.shape[dim], 1
        while reach < length:  # windows of `reach` pixels overlap
            step = min(reach, length - reach)
            size -= step
            joined = join(joined.narrow(dim, 0, size), joined.narrow(dim, step, size))
            reach += step
    return joined


def neighbors(index: Tensor, offsets: list[tuple[int, int]], shape: torch.Size) -> Tensor:
    """Return the flat indices [N, K] of pixels at offsets (row, column) from others in the same frame.

    Outside of the frame, the nearest pixel of it counts.

    Args:
        index: flat indices of the pixels, int64 [N].
        offsets: K offsets.
        shape: T, H, W.
    """
    _, height, width = shape
    rows, columns = torch.tensor(offsets).T.to(index.device, non_blocking=True)
    column = (index % width)[:, None] + columns
    row = (index // width % height)[:, None] + rows
    first = index[:, None] // (height * width) * height
    found: Tensor = (first + row.clamp(0, height - 1)) * width + column.clamp(0, width - 1)
    return found


def likeness(own: Tensor, other: Tensor) -> Tensor:
    """Return how alike colors are, from 0 to 1, as in a bilateral filter (Tomasi and Manduchi, 1998), [...].

    Args:
        own: [..., C], C >= 3: colors in levels of 255, and what is disregarded.
        other: the same, of a shape that broadcasts with it.
    """
    distance2 = (other[..., :3] - own[..., :3]).square().sum(-1)
    return torch.exp(distance2 / (-2 * COLOR_SIGMA**2))
