"""The command `ex4d data`; the modules that do the work are imported when a sub-command is called."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ex4d_backbone_wan.options import WanOptions
from ex4d_core.cli.kit import Flag, Json, Quiet, field_flag, make_reporter, print_result, takes_config
from ex4d_core.config import RunConfig, Tree
from ex4d_training.data.options import DataOptions

if TYPE_CHECKING:
    from ex4d_training.data.job import Job

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Prepare ordinary videos for training.")

FLAGS = (
    field_flag("--model", "backbone.model", WanOptions),
    Flag(
        name="--depth",
        key="depth.name",
        kind=str,
        default="auto",
        help="Depth estimator; none for masks without depth.",
    ),
    field_flag("--frames", "data.frames", DataOptions),
    field_flag("--size", "data.size", DataOptions),
    field_flag("--fps", "data.fps", DataOptions),
    field_flag("--masks-per-clip", "data.masks_per_clip", DataOptions),
    field_flag("--seed", "seed", RunConfig),
    field_flag("--device", "device", RunConfig),
)


def _make_job(tables: Tree) -> "Job":
    from ex4d_training.data.job import make_job

    return make_job(tables)


@app.command()
@takes_config(_make_job, FLAGS)
def prepare(
    config: "Job",
    data_path: Annotated[Path, typer.Option(help="Folder of videos, or CSV file of their names and captions.")],
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", help="Output folder for the latents.")],
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Number of processes; by default one for each GPU.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="<i/n>", help="Part of the shards, counted from 0; that of a Slurm array by default."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="<auto|local|address>",
            help="Encode on a Ray cluster: the running one, one of this machine, or HOST:PORT.",
        ),
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Encode videos into shards of latents, so that training decodes no video.

    Run the same command again to resume an interrupted preparation.
    """
    from ex4d_core.jobs.executors import find_executor
    from ex4d_core.jobs.shards import Shard
    from ex4d_training.data.encode import default_workers
    from ex4d_training.data.preparation import prepare as run
    from ex4d_training.data.report import report_json, report_tables

    report = run(
        data_path,
        output_dir,
        job=config,
        workers=default_workers() if workers is None or ray else workers,
        part=Shard.parse(shard) if shard else Shard.from_slurm(),
        execute=find_executor("ray", ray, workers) if ray else None,
        reporter=make_reporter(quiet=quiet or json_),
    )
    print_result(
        as_json=lambda: report_json(report),
        paths=lambda: report.folder,
        as_text=lambda: report_tables(report),
        json_=json_,
        quiet=quiet,
    )


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="Data set: openvid.")],
    parts: Annotated[str, typer.Option(help="Parts to download: 0, 0..3, or 0..3,7.")],
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", help="Output folder for the videos.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Download without confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the planned download and exit.")] = False,
    json_: Json = False,
) -> None:
    """Download parts of OpenVid-1M from the Hugging Face hub and unpack their videos.

    Run the same command again to resume an interrupted download; unpacked parts are not downloaded again.
    """
    from ex4d_core.bounds import shown
    from ex4d_core.terminal import say, show
    from ex4d_training.data.openvid import download_parts, look_up_parts, parse_parts, plan_json, plan_tables

    if name != "openvid":
        raise typer.BadParameter(f"openvid is the data set that can be downloaded, not {shown(name)}")
    plan = look_up_parts(parse_parts(parts), output_dir)
    if not json_:
        show(*plan_tables(plan))
    if not dry_run:
        plan.check_room()
        if plan.missing and not yes and _asks():
            typer.confirm("Download?", default=True, abort=True, err=True)
        reporter = make_reporter(quiet=json_)
        download_parts(plan, transfer=reporter.transfer, stage=reporter.stage)
    if json_:
        say(plan_json(plan, done=not dry_run))
    if not dry_run and not json_:
        say(f"ready: {plan.table}; next: ex4d data prepare --data-path {plan.table} --output-dir SHARDS")


def _asks() -> bool:
    import sys

    return sys.stdin is not None and sys.stdin.isatty()  # None: it was closed when the program started
