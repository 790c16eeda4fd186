"""The command `ex4d app`."""

from pathlib import Path
from typing import Annotated

import typer

ACCESS, LIMITS = "Who can open it", "Limits"


def app(
    folder: Annotated[
        Path, typer.Option("--folder", "-o", help="Folder for uploads and results; each clip gets its own.")
    ] = Path("app"),
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    examples: Annotated[
        Path | None, typer.Option(help="Folder of example clips, NAME/clip.mp4 with NAME/depth.npz.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; by default the first free one from 7860.", rich_help_panel=ACCESS),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; 0.0.0.0 accepts connections from the network, unencrypted.",
            rich_help_panel=ACCESS,
        ),
    ] = "127.0.0.1",
    share: Annotated[
        bool,
        typer.Option("--share", help="Create a public address too, through Gradio's tunnel.", rich_help_panel=ACCESS),
    ] = False,
    auth: Annotated[
        Path | None,
        typer.Option(help="File with NAME:PASSWORD on each line; the app asks for them.", rich_help_panel=ACCESS),
    ] = None,
    public: Annotated[
        bool,
        typer.Option(
            "--public",
            help="Let everyone in who reaches the port, without the secret in the address.",
            rich_help_panel=ACCESS,
        ),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Further host name of the app, such as that of a proxy; repeatable.", rich_help_panel=ACCESS),
    ] = None,
    embed_in: Annotated[
        str,
        typer.Option(
            help="Sites that may show the app in a frame, such as https://huggingface.co.", rich_help_panel=ACCESS
        ),
    ] = "",
    max_upload: Annotated[
        int, typer.Option(min=1, max=100_000, help="Largest upload in MB.", rich_help_panel=LIMITS)
    ] = 200,
    max_frames: Annotated[
        int, typer.Option(min=1, max=100_000, help="Largest number of frames.", rich_help_panel=LIMITS)
    ] = 121,
    max_side: Annotated[
        int, typer.Option(min=256, max=16_384, help="Longest side of frames in pixels.", rich_help_panel=LIMITS)
    ] = 960,
    max_minutes: Annotated[
        float, typer.Option(min=0.1, help="Longest duration of a job.", rich_help_panel=LIMITS)
    ] = 60,
    max_waiting: Annotated[
        int, typer.Option(min=1, max=10_000, help="Jobs that wait at the same time.", rich_help_panel=LIMITS)
    ] = 20,
    keep_hours: Annotated[
        float, typer.Option(min=0.1, help="Hours after which unused uploads are removed.", rich_help_panel=LIMITS)
    ] = 24,
) -> None:
    """Serve a web app: upload a clip, check its depth, plan a camera path, generate the new view."""
    from ex4d_core.terminal import say
    from ex4d_web.limits import Limits
    from ex4d_web.serving import Access, read_users, serve

    access = Access(
        host=host,
        port=port,
        share=share,
        users=read_users(auth) if auth else (),
        is_public=public,
        names=tuple(allow_host or ()),
        embed_in=embed_in,
    )
    limits = Limits(
        upload_mb=max_upload,
        frames=max_frames,
        side=max_side,
        minutes=max_minutes,
        waiting=max_waiting,
        hours=keep_hours,
    )

    def greet(url: str) -> None:
        say(f"The app is at {url} (Ctrl-C ends it)")

    with serve(folder, access=access, limits=limits, device=device, examples=examples, greet=greet) as served:
        served.wait()
