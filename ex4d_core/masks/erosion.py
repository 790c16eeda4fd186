"""Erode the visible region before a model sees it, at inference and in training (2 to 8 pixels in EX-4D).

At inference a backbone does it to the guidance that it is given; for training `ex4d_core.masks.simulate` has done it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sample_erosion_sizes(count: int, sides: tuple[int, int] | None, *, seed: int) -> Tensor:
    """Return by which square to erode each frame, int64 [count], drawn evenly from `sides`, both included."""
    if sides is None:
        return torch.ones(count, dtype=torch.int64)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(sides[0], sides[1] + 1, (count,), generator=generator)


def erode(mask: Tensor, sides: Tensor) -> Tensor:
    """Return masks bool [T, H, W] where only pixels stay known whose square of `sides[t]` pixels is known throughout.

    An even square reaches one pixel further to the right and down; what lies outside of the frame hides nothing.
    """
    out = mask.clone()
    for side in set(sides.tolist()):
        of_side = sides == side
        before, after = (side - 1) // 2, side // 2
        hidden = functional.pad((~mask[of_side]).float(), (before, after, before, after))
        out[of_side] = functional.max_pool2d(hidden, side, stride=1) == 0
    return out
