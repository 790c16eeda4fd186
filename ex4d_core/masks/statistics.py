"""Measure masks: hidden area, hole sizes, and temporal stability."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import cv2
import numpy as np
import torch
from torch import Tensor

SIZES = (0.001, 0.01, 0.1)
"""What parts holes into tiny, small, middling and large: shares of the picture."""

Parts = tuple[float, float, float, float]
"""Of tiny, small, middling and large holes."""


@attrs.frozen(kw_only=True)
class MaskStatistics:
    """Of one mask or of several; frame 0, which is known in full, is left out where there are others."""

    known: float
    """Share of the pixels that is known."""
    known_last: float
    """The same of the last frame."""
    holes: float
    """Number of connected hidden regions in a frame."""
    hidden_in: Parts
    """Of what is hidden, the share that is in tiny, small, middling and large holes; they add up to 1, or 0."""
    flicker: float
    """Share of the pixels that are known in one frame and hidden in the next, or the other way round."""


def measure(mask: Tensor) -> MaskStatistics:
    """Return the statistics of a mask, bool [T, H, W], True = known."""
    frames = mask[1:] if len(mask) > 1 else mask
    sizes = [_hole_sizes(frame) for frame in frames]
    areas = np.concatenate(sizes)
    parts = np.zeros(len(SIZES) + 1)
    np.add.at(parts, np.searchsorted(SIZES, areas), areas)
    changes = (frames[1:] != frames[:-1]).float().mean() if len(frames) > 1 else torch.tensor(0.0)
    return MaskStatistics(
        known=float(frames.float().mean()),
        known_last=float(frames[-1].float().mean()),
        holes=len(areas) / len(frames),
        hidden_in=_four(parts / max(areas.sum(), np.finfo(float).tiny)),
        flicker=float(changes),
    )


def known_by_frame(mask: Tensor) -> list[float]:
    """Return the share of each frame that is known."""
    shares: list[float] = mask.float().mean(dim=(1, 2)).tolist()
    return shares


def pooled(several: Iterable[MaskStatistics]) -> MaskStatistics:
    """Return the mean of the statistics of several masks."""
    rows = list(several)

    def mean(name: str) -> float:
        return float(np.mean([getattr(row, name) for row in rows]))

    return MaskStatistics(
        known=mean("known"),
        known_last=mean("known_last"),
        holes=mean("holes"),
        hidden_in=_four(np.mean([row.hidden_in for row in rows], axis=0)),
        flicker=mean("flicker"),
    )


def differences(one: MaskStatistics, other: MaskStatistics) -> dict[str, float]:
    """Return how far two masks are apart.

    Returns:
        `known` and `known_last`, differences of shares; `sizes`, the share of what is hidden that would have to be in
        holes of another size (total variation); `holes` and `flicker`, the larger over the smaller.
    """

    def ratio(name: str) -> float:
        low, high = sorted((getattr(one, name), getattr(other, name)))
        return float(high / low) if low else float("inf") if high else 1.0

    return {
        "known": abs(one.known - other.known),
        "known_last": abs(one.known_last - other.known_last),
        "sizes": sum(abs(a - b) for a, b in zip(one.hidden_in, other.hidden_in, strict=True)) / 2,
        "holes": ratio("holes"),
        "flicker": ratio("flicker"),
    }


def _hole_sizes(frame: Tensor) -> np.ndarray:
    """Return the size of each hidden region of a frame, as a share of the picture."""
    _, _, regions, _ = cv2.connectedComponentsWithStats((~frame).byte().numpy(), connectivity=8)
    return np.asarray(regions[1:, cv2.CC_STAT_AREA] / frame.numel())


def _four(parts: np.ndarray) -> Parts:
    tiny, small, middling, large = parts.tolist()
    return tiny, small, middling, large
