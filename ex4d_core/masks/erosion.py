"""Erode the visible region before a model sees it, at inference and in training (2 to 8 pixels in EX-4D).

At inference, backbones erode the guidance; for training, `ex4d_core.masks.simulate` does.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sample_erosion_sizes(count: int, sides: tuple[int, int] | None, *, seed: int) -> Tensor:
    """Return the side of the erosion square of each frame, int64 [count], uniform in `sides`, inclusive."""
    if sides is None:
        return torch.ones(count, dtype=torch.int64)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(sides[0], sides[1] + 1, (count,), generator=generator)


def erode(mask: Tensor, sides: Tensor) -> Tensor:
    """Erode masks bool [T, H, W]: a pixel stays visible if all pixels of its square of side `sides[t]` are.

    An even square extends one pixel further to the right and down. Pixels outside the frame count as visible.
    """
    out = mask.clone()
    for side in set(sides.tolist()):
        frames = sides == side
        before, after = (side - 1) // 2, side // 2
        hidden = functional.pad((~mask[frames]).float(), (before, after, before, after))
        out[frames] = functional.max_pool2d(hidden, side, stride=1) == 0
    return out
