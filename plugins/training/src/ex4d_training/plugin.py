"""What the plugin offers: commands that prepare videos and train the adapter."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Command

EX4D_API = 2


@hookimpl
def ex4d_commands() -> list[Command]:
    """Offer `ex4d data`."""
    return [
        Command(
            name="data",
            summary="Prepare ordinary videos for training: download, filter, mask, encode.",
            app="ex4d_training.data.cli:app",
            licence="Apache-2.0",
            needs=("diffusers", "transformers"),
        )
    ]
