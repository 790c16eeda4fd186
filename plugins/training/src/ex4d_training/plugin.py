"""The commands of the plugin."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Command


@hookimpl
def ex4d_commands() -> list[Command]:
    """Return `ex4d data` and `ex4d train`."""
    return [
        Command(
            name="data",
            summary="Prepare ordinary videos for training: download, filter, mask, encode.",
            app="ex4d_training.data.cli:app",
            license="Apache-2.0",
            requires=("diffusers", "transformers"),
        ),
        Command(
            name="train",
            summary="Train EX-4D's adapter on prepared videos.",
            app="ex4d_training.cli:train",
            license="Apache-2.0",
            requires=("accelerate", "diffusers", "peft"),
        ),
    ]
