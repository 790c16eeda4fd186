"""What the plugin offers: the command `ex4d view`."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Command

EX4D_API = 2


@hookimpl
def ex4d_commands() -> list[Command]:
    """Offer the page."""
    return [
        Command(
            name="view",
            summary="See a run in the browser, while it goes on too; make camera paths by hand.",
            license="Apache-2.0; viser is Apache-2.0",
            app="ex4d_viewer.cli:view",
            requires=("viser",),
        )
    ]
