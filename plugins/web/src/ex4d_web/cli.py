"""The command `ex4d app`."""

from pathlib import Path
from typing import Annotated, Any

import typer


def _access(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel="Who can open it", **more)


def _limit(*, help: str, **more: Any) -> Any:
    return typer.Option(help=help, rich_help_panel="Limits", **more)


Folder = Annotated[Path, typer.Option("--folder", "-o", help="Folder for uploads and results; each clip gets its own.")]
Device = Annotated[str, typer.Option(help="Device: auto, cpu, cuda, cuda:1 or mps.")]
Examples = Annotated[
    Path | None, typer.Option(help="Folder of example clips, NAME/clip.mp4 with NAME/depth.npz.", show_default=False)
]

Port = Annotated[int | None, _access(min=0, max=65535, help="Port; by default the first free one from 7860.")]
Host = Annotated[str, _access(help="Address to listen on; 0.0.0.0 accepts connections from the network, unencrypted.")]
Share = Annotated[bool, _access("--share", help="Create a public address too, through Gradio's tunnel.")]
Auth = Annotated[Path | None, _access(help="File with NAME:PASSWORD on each line; the app asks for them.")]
Public = Annotated[
    bool, _access("--public", help="Let everyone in who reaches the port, without the secret in the address.")
]
AllowHost = Annotated[
    list[str] | None, _access(help="Further host name of the app, such as that of a proxy; repeatable.")
]
EmbedIn = Annotated[str, _access(help="Sites that may show the app in a frame, such as https://huggingface.co.")]

MaxUpload = Annotated[int, _limit(min=1, max=100_000, help="Largest upload in MB.")]
MaxFrames = Annotated[int, _limit(min=1, max=100_000, help="Largest number of frames.")]
MaxSide = Annotated[int, _limit(min=256, max=16_384, help="Longest side of frames in pixels.")]
MaxMinutes = Annotated[float, _limit(min=0.1, help="Longest duration of a job.")]
MaxWaiting = Annotated[int, _limit(min=1, max=10_000, help="Jobs that wait at the same time.")]
KeepHours = Annotated[float, _limit(min=0.1, help="Hours after which unused uploads are removed.")]


def app(
    folder: Folder = Path("app"),
    device: Device = "auto",
    examples: Examples = None,
    port: Port = None,
    host: Host = "127.0.0.1",
    share: Share = False,
    auth: Auth = None,
    public: Public = False,
    allow_host: AllowHost = None,
    embed_in: EmbedIn = "",
    max_upload: MaxUpload = 200,
    max_frames: MaxFrames = 121,
    max_side: MaxSide = 960,
    max_minutes: MaxMinutes = 60,
    max_waiting: MaxWaiting = 20,
    keep_hours: KeepHours = 24,
) -> None:
    """Serve a web app: upload a clip, check its depth, plan a camera path, generate the new view."""
    from ex4d_core.terminal import say

    say("starting the web app", err=True)  # Gradio takes seconds to import

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
