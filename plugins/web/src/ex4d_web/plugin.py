"""What the plugin offers: the command `ex4d app`."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Command


@hookimpl
def ex4d_commands() -> list[Command]:
    """Offer the web app."""
    return [
        Command(
            name="app",
            summary="Serve a web app: upload a clip, plan a camera path, generate the new view.",
            license="Apache-2.0; Gradio is Apache-2.0",
            app="ex4d_web.cli:app",
            requires=("gradio",),
        )
    ]
