"""Metrics of sets of videos: FID and FVD."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from ex4d_core.progress import Reporter
from ex4d_evaluation.layout import Evaluation
from ex4d_evaluation.metrics._record import Column
from ex4d_evaluation.references import Pair


@attrs.frozen(kw_only=True)
class SetMetric:
    """A metric of the videos of a method together, compared with reference videos."""

    name: str
    columns: tuple[Column, ...]
    measure: Callable[[Sequence[Path], Sequence[Path], Path], float]
    """Takes the videos, the reference videos and a folder for cached features."""
    unavailable: Callable[[], str]
    """Returns why it cannot be computed here, with what to install, or ''."""


SET_METRICS: tuple[SetMetric, ...] = ()


def set_scores(
    evaluation: Evaluation, pairs: Sequence[Pair], *, reporter: Reporter
) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    """Return scores by method, then camera or `all`, then column."""
    return {}
