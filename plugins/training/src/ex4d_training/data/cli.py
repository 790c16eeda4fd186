"""`ex4d data`: parsing and printing; the work is in the modules that are imported when a command is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Prepare ordinary videos for training.")

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="SECTION.OPTION=VALUE; sections: data, masks, depth, mesh, renderer, backbone."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and where the data is.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_SHOW = {"show_default": False}
_MOST_WORKERS = 1024


@app.command()
def prepare(
    data_path: Annotated[Path, typer.Option(help="A folder of videos, or a CSV of their names and captions.")],
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", help="The folder for the latents.")],
    model: Annotated[str | None, typer.Option(help="Wan, as --set backbone.model.", **_SHOW)] = None,
    depth: Annotated[
        str | None, typer.Option(help="Depth estimator; none for masks that need no depth.", **_SHOW)
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Frames of a clip, 4k+1; 49.", **_SHOW)] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT of a clip; 512x512.", **_SHOW)] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second that are taken; 0 all.", **_SHOW)] = None,
    masks_per_clip: Annotated[int | None, typer.Option(help="Masks for each clip; 4.", **_SHOW)] = None,
    seed: Annotated[int | None, typer.Option(help="Fixes every mask; 42.", **_SHOW)] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1.", **_SHOW)] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one for each GPU.", **_SHOW)] = None,
    settings: Settings = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with the same sections.", **_SHOW)] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Make videos into latents in shards, once, so that training never decodes a video.

    A run that was stopped, even by kill -9, goes on with the same command.
    """
    from ex4d_core.cli.console import ConsoleReporter
    from ex4d_core.config import merge, parse_settings, read_config
    from ex4d_core.terminal import say, show
    from ex4d_training.data.job import make_job
    from ex4d_training.data.preparation import prepare as run
    from ex4d_training.data.report import report_json, report_tables
    from ex4d_training.data.worker_pool import default_workers

    if workers is not None and not 1 <= workers <= _MOST_WORKERS:
        raise typer.BadParameter(f"--workers must be between 1 and {_MOST_WORKERS}, not {workers}")
    own = {"frames": frames, "size": size, "fps": fps, "masks_per_clip": masks_per_clip}
    flags = {
        "data": own,
        "backbone": {"model": model},
        "depth": {"name": depth},
        **_given({"seed": seed, "device": device}),
    }
    tables = {key: _given(value) if isinstance(value, dict) else value for key, value in flags.items()}
    job = make_job(merge(read_config(config) if config else {}, parse_settings(settings or ()), tables))
    report = run(
        data_path,
        output_dir,
        job=job,
        workers=workers or default_workers(),
        reporter=ConsoleReporter(quiet=quiet or json_),
    )
    if json_:
        say(report_json(report))
    elif quiet:
        say(report.folder)
    else:
        show(*report_tables(report))


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="The data set: openvid.")],
    parts: Annotated[str, typer.Option(help="Which of its parts: 0, 0..3, or 0..3,7.")],
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", help="The folder for the videos.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the download.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be downloaded, and stop.")] = False,
    json_: Json = False,
) -> None:
    """Download parts of OpenVid-1M from the Hugging Face hub and unpack their videos.

    A download that was stopped goes on with the same command; parts that are unpacked are not asked for again.
    """
    from ex4d_core.bounds import shown
    from ex4d_core.cli.console import ConsoleReporter
    from ex4d_core.terminal import say, show
    from ex4d_training.data.openvid import bring, look_up_parts, parse_parts, plan_json, plan_tables

    if name != "openvid":
        raise typer.BadParameter(f"openvid is the data set that can be downloaded, not {shown(name)}")
    plan = look_up_parts(parse_parts(parts), output_dir)
    if not json_:
        show(*plan_tables(plan))
    if not dry_run:
        plan.check_room()
        if plan.missing and not yes and _asks():
            typer.confirm("Download?", default=True, abort=True, err=True)
        reporter = ConsoleReporter(quiet=json_)
        bring(plan, transfer=reporter.transfer, stage=reporter.stage)
    if json_:
        say(plan_json(plan, done=not dry_run))
    if not dry_run and not json_:
        say(f"ready: {plan.table}; next: ex4d data prepare --data-path {plan.table} --output-dir SHARDS")


def _asks() -> bool:
    import sys

    return sys.stdin is not None and sys.stdin.isatty()  # None: it was closed when the program started


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
