"""Metrics of one video: each module declares a tuple `METRICS` of `Metric` records."""

from __future__ import annotations

from ex4d_evaluation.metric import MISSING, Measured, Metric
from ex4d_evaluation.metrics import clip, consistency, flicker, guidance, perceptual, pixels

METRICS: tuple[Metric, ...] = tuple(
    metric for module in (pixels, perceptual, flicker, guidance, consistency, clip) for metric in module.METRICS
)
"""All metrics, in the order of tables."""

__all__ = ["METRICS", "MISSING", "Measured", "Metric"]
