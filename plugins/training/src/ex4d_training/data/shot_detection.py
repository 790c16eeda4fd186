"""Where one shot ends and another begins."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_CELLS = 2
"""Histograms along each side of a frame: a cut to the same colors elsewhere in the picture shows too."""

_SAMPLES = 48
"""Pixels along each side of a cell that are counted, at most."""

_LEAST = 0.35
"""Share of the pixels that change their color at a cut, at least."""

_ABOVE_USUAL = 4.0
"""How much more changes at a cut than from frame to frame otherwise; a camera that moves fast changes much always."""


def find_cuts(frames: Tensor) -> list[int]:
    """Return the frames that begin another shot, by how colors change.

    Histograms of 8x8x8 colors of each quarter are compared from frame to frame; half of the sum of the differences is
    the share of pixels that changed, which at a cut is large and stands out.

    Args:
        frames: uint8 [T, H, W, 3].
    """
    if len(frames) < 2:
        return []
    changes = color_changes(frames)
    usual = float(np.median(changes))
    return (np.flatnonzero((changes > _LEAST) & (changes > _ABOVE_USUAL * usual)) + 1).tolist()


def color_changes(frames: Tensor) -> np.ndarray:
    """Return which share of the pixels has other colors than in the frame before, float64 [T - 1], T at least 2."""
    histograms = np.stack([_histograms(frame) for frame in frames])
    return np.asarray(np.abs(np.diff(histograms, axis=0)).sum(axis=1) / 2)


def _histograms(frame: Tensor) -> np.ndarray:
    """Return how often each of 512 colors is in each cell; the sum over all is 1."""
    height, width = frame.shape[:2]
    down, across = max(1, height // (_CELLS * _SAMPLES)), max(1, width // (_CELLS * _SAMPLES))
    few = frame[::down, ::across].to(torch.int64) >> 5
    color = (few[..., 0] << 6) | (few[..., 1] << 3) | few[..., 2]
    rows, columns = (torch.arange(side) * _CELLS // side for side in color.shape)
    cell = rows[:, None] * _CELLS + columns
    counts = torch.bincount((cell * 512 + color).flatten(), minlength=_CELLS**2 * 512)
    return (counts.double() / color.numel()).numpy()
