"""The command of the plugin."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Command


@hookimpl
def ex4d_commands() -> list[Command]:
    """Return `ex4d eval`."""
    return [
        Command(
            name="eval",
            summary="Evaluate methods: make videos by a protocol, score the videos of any method.",
            app="ex4d_evaluation.cli:app",
            license="code Apache-2.0; weights: Inception and I3D Apache-2.0, AlexNet BSD-3-Clause, CLIP MIT",
            weights="ex4d_evaluation.weights:hub_files",
        )
    ]
