"""Detection of cuts between shots."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_CELLS = 2
"""Histograms along each side of a frame; several detect cuts that only move colors."""

_SAMPLES = 48
"""Maximum number of sampled pixels along each side of a cell."""

_LEAST = 0.35
"""Minimum fraction of pixels that change color at a cut."""

_ABOVE_USUAL = 4.0
"""Minimum ratio of the change at a cut to the median change, which is large if the camera moves fast."""


def find_cuts(frames: Tensor) -> list[int]:
    """Return the numbers of the first frames of new shots.

    Histograms of 8x8x8 colors of each quarter of consecutive frames are compared. Half of the sum of the differences is
    the fraction of pixels that changed; at a cut it is large, and larger than usual.

    Args:
        frames: uint8 [T, H, W, 3].
    """
    if len(frames) < 2:
        return []
    changes = color_changes(frames)
    usual = float(np.median(changes))
    return (np.flatnonzero((changes > _LEAST) & (changes > _ABOVE_USUAL * usual)) + 1).tolist()


def color_changes(frames: Tensor) -> np.ndarray:
    """Return the fraction of pixels whose color changed since the frame before, float64 [T - 1], T at least 2."""
    histograms = np.stack([_histograms(frame) for frame in frames])
    return np.asarray(np.abs(np.diff(histograms, axis=0)).sum(axis=1) / 2)


def _histograms(frame: Tensor) -> np.ndarray:
    """Return the frequency of each of 512 colors in each cell; all sum to 1."""
    height, width = frame.shape[:2]
    down, across = max(1, height // (_CELLS * _SAMPLES)), max(1, width // (_CELLS * _SAMPLES))
    few = frame[::down, ::across].to(torch.int64) >> 5
    color = (few[..., 0] << 6) | (few[..., 1] << 3) | few[..., 2]
    rows, columns = (torch.arange(side) * _CELLS // side for side in color.shape)
    cell = rows[:, None] * _CELLS + columns
    counts = torch.bincount((cell * 512 + color).flatten(), minlength=_CELLS**2 * 512)
    return (counts.double() / color.numel()).numpy()
