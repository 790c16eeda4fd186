"""Minimum and maximum of windows of pixels."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional


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
