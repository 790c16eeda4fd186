"""What the plugin offers: the command `ex4d view`."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Command


@hookimpl
def ex4d_commands() -> list[Command]:
    """Offer the page."""
    return [
        Command(
            name="view",
            summary="View a run in the browser, also while it runs, and edit camera paths.",
            license="Apache-2.0; viser is Apache-2.0",
            app="ex4d_viewer.cli:view",
            requires=("viser",),
        )
    ]
