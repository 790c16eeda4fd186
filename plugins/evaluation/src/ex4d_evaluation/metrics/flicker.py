"""Flicker: changes of the error between frames."""

from __future__ import annotations

import numpy as np

from ex4d_evaluation.metric import Column, Frames, Measured, Metric, Region


def flicker(made: Frames, truth: Frames, region: Region) -> Measured:
    """Return the mean absolute change of the error from each frame to the next.

    Args:
        made: uint8 [T, H, W, 3].
        truth: uint8 [T, H, W, 3].
        region: bool [T, H, W]; pixels that are True in both frames count.

    Returns:
        In levels of 255, NaN for the first frame and for frames without pixels.
    """
    changes = [np.nan]
    for frame in range(1, len(made)):
        both = region[frame - 1] & region[frame]
        before, after = (made[t][both].astype(np.int16) - truth[t][both] for t in (frame - 1, frame))
        changes.append(float(np.abs(after - before).mean()) if both.any() else np.nan)
    return {"flicker": np.array(changes)}


METRICS = (
    Metric(
        name="flicker",
        against="truth",
        by_region=True,
        measure=flicker,
        columns=(
            Column(
                name="flicker",
                label="Flicker",
                unit="levels",
                better="lower",
                definition="mean absolute change of the error (video - truth, levels 0..255) at a pixel from a frame "
                "to the next; 0 for a constant error",
            ),
        ),
    ),
)
