"""Measure masks: hidden area, hole sizes, and temporal stability."""

from __future__ import annotations

import attrs
import numpy as np
import torch
from torch import Tensor

SIZES = (0.001, 0.01, 0.1)
"""Areas that separate tiny, small, medium and large holes, as fractions of the frame."""

Parts = tuple[float, float, float, float]
"""Values of tiny, small, medium and large holes."""


@attrs.frozen(kw_only=True)
class MaskStatistics:
    """Statistics of a mask, or means over several. Frame 0, which is fully visible, is ignored if there are more."""

    known: float
    """Fraction of visible pixels."""
    known_last: float
    """Fraction of visible pixels in the last frame."""
    holes: float
    """Mean number of connected hidden regions per frame."""
    hidden_in: Parts
    """Fractions of the hidden area in tiny, small, medium and large holes; all 0 if nothing is hidden."""
    flicker: float
    """Fraction of pixels that change between visible and hidden from one frame to the next."""


def measure(mask: Tensor) -> MaskStatistics:
    """Return the statistics of a mask, bool [T, H, W], True where visible."""
    frames = mask[1:] if len(mask) > 1 else mask
    sizes = [_hole_sizes(frame) for frame in frames]
    areas = np.concatenate(sizes)
    parts = np.zeros(len(SIZES) + 1)
    np.add.at(parts, np.searchsorted(SIZES, areas), areas)
    tiny, small, medium, large = (parts / max(areas.sum(), np.finfo(float).tiny)).tolist()
    changes = (frames[1:] != frames[:-1]).float().mean() if len(frames) > 1 else torch.tensor(0.0)
    return MaskStatistics(
        known=float(frames.float().mean()),
        known_last=float(frames[-1].float().mean()),
        holes=len(areas) / len(frames),
        hidden_in=(tiny, small, medium, large),
        flicker=float(changes),
    )


def known_by_frame(mask: Tensor) -> list[float]:
    """Return the fraction of visible pixels of each frame."""
    fractions: list[float] = mask.float().mean(dim=(1, 2)).tolist()
    return fractions


def _hole_sizes(frame: Tensor) -> np.ndarray:
    """Return the area of each hidden region of a frame, as a fraction of the frame."""
    import cv2  # a slow import, which sweeps and finished runs do without

    _, _, regions, _ = cv2.connectedComponentsWithStats((~frame).byte().numpy(), connectivity=8)
    return np.asarray(regions[1:, cv2.CC_STAT_AREA] / frame.numel())
