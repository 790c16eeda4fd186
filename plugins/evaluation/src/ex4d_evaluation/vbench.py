"""Scores of VBench, which needs an environment of its own: its dependencies are older than those of ex4d."""

from __future__ import annotations

from ex4d_evaluation.metrics._record import Column

DIMENSIONS = (
    "subject_consistency",
    "background_consistency",
    "motion_smoothness",
    "dynamic_degree",
    "aesthetic_quality",
    "imaging_quality",
    "temporal_flickering",
)
"""Dimensions that VBench can compute for videos of others (`--mode=custom_input`)."""

COLUMNS = tuple(
    Column(
        name=f"vbench_{name}",
        label=f"VBench {name.replace('_', ' ')}",
        better="higher",
        definition=f"dimension {name} of VBench for custom videos, mean over videos; not the total score of VBench",
    )
    for name in DIMENSIONS
)
