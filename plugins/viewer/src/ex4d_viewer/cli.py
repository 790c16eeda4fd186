"""The command `ex4d view`."""

from pathlib import Path
from typing import Annotated

import typer


def view(
    run: Annotated[Path, typer.Argument(help="Run folder, such as outputs/clip.")],
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; by default the first free one from 8080.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 accepts connections from the network, unencrypted.")
    ] = "127.0.0.1",
    detail: Annotated[int, typer.Option(min=16, max=1024, help="Points along the longer side of each mesh.")] = 160,
    most_frames: Annotated[
        int, typer.Option(min=1, max=100_000, help="Maximum number of meshes; longer clips show every n-th frame.")
    ] = 60,
    share: Annotated[
        bool,
        typer.Option("--share", help="Create a public address too, through viser's share.viser.studio."),
    ] = False,
) -> None:
    """View a run in the browser: the scene over time, its camera paths, and an editor for new ones."""
    from ex4d_core.terminal import say
    from ex4d_viewer.serving import serve

    def greet(url: str) -> None:
        say(f"{run} is at {url} (Ctrl-C ends it)")

    with serve(run, host=host, port=port, detail=detail, most_frames=most_frames, share=share, greet=greet) as page:
        page.wait()
