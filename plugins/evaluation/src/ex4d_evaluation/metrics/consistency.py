"""Consistency of consecutive frames, for videos without truth."""

from __future__ import annotations

import numpy as np

from ex4d_evaluation.metric import Column, Frames, Measured, Metric, Region
from ex4d_evaluation.metrics.pixels import ssim


def consistency(made: Frames, _: Frames, region: Region) -> Measured:
    """Return the SSIM of each frame with the one before, NaN for the first; see `ssim`."""
    if len(made) < 2:
        return {"frame_ssim": np.full(len(made), np.nan)}
    similar = ssim(made[1:], made[:-1], region[1:])["ssim"]
    return {"frame_ssim": np.concatenate([[np.nan], np.atleast_1d(similar)])}


METRICS = (
    Metric(
        name="frame_ssim",
        against="nothing",
        measure=consistency,
        columns=(
            Column(
                name="frame_ssim",
                label="Frame consistency (SSIM)",
                better="higher",
                definition="SSIM of each frame with the one before, mean over frames; a camera that barely moves "
                "scores best, so read it beside the camera error",
            ),
        ),
    ),
)
