"""Compare the statistics of simulated and rendered masks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ex4d_core.masks import MaskStatistics


def pooled(masks: Iterable[MaskStatistics]) -> MaskStatistics:
    """Return the mean of the statistics of several masks."""
    rows = list(masks)

    def mean(name: str) -> float:
        return float(np.mean([getattr(row, name) for row in rows]))

    tiny, small, medium, large = np.mean([row.hidden_in for row in rows], axis=0).tolist()
    return MaskStatistics(
        known=mean("known"),
        known_last=mean("known_last"),
        holes=mean("holes"),
        hidden_in=(tiny, small, medium, large),
        flicker=mean("flicker"),
    )


def differences(first: MaskStatistics, second: MaskStatistics) -> dict[str, float]:
    """Return how far the statistics of two masks are apart.

    Returns:
        `known` and `known_last`: absolute differences; `sizes`: total variation of the hidden area by hole size;
        `holes` and `flicker`: ratios of the larger to the smaller.
    """

    def ratio(name: str) -> float:
        low, high = sorted((getattr(first, name), getattr(second, name)))
        return float(high / low) if low else float("inf") if high else 1.0

    return {
        "known": abs(first.known - second.known),
        "known_last": abs(first.known_last - second.known_last),
        "sizes": sum(abs(a - b) for a, b in zip(first.hidden_in, second.hidden_in, strict=True)) / 2,
        "holes": ratio("holes"),
        "flicker": ratio("flicker"),
    }
