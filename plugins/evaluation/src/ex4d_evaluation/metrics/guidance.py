"""Fidelity to the guidance in its visible region, for videos without truth."""

from __future__ import annotations

from ex4d_evaluation.metric import Column, Frames, Measured, Metric, Region
from ex4d_evaluation.metrics.pixels import psnr


def known_psnr(made: Frames, guidance: Frames, known: Region) -> Measured:
    """Return the PSNR in dB against the guidance in its visible region, per frame; see `psnr`."""
    return {"known_psnr": psnr(made, guidance, known)["psnr"]}


METRICS = (
    Metric(
        name="known_psnr",
        against="guidance",
        measure=known_psnr,
        columns=(
            Column(
                name="known_psnr",
                label="PSNR to guidance",
                unit="dB",
                better="higher",
                definition="PSNR against the guidance over its visible region, mean over frames; it tells whether a "
                "method follows its guidance, not whether the guidance is right",
            ),
        ),
    ),
)
