"""The commands `ex4d batch`: manifests of many clips, with one worker process per GPU."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ex4d_core.cli.kit import Json, make_reporter
from ex4d_core.cli.shared import FlagsCommand, JsonOutput, Quiet, check_output, takes_flags
from ex4d_core.terminal import say, say_error

if TYPE_CHECKING:
    from ex4d_core.config.run_config import RunConfig
    from ex4d_core.jobs.manifest import Job, Manifest
    from ex4d_core.jobs.records import JobReport
    from ex4d_core.jobs.shards import Shard
    from ex4d_core.jobs.storage import Storage

app = typer.Typer(no_args_is_help=True, help="Run a manifest of many clips, on one or many machines.")

RunOutput = Annotated[
    str, typer.Option("--output-dir", "-o", help="Output folder or URL (s3://, gs://), the same for all shards.")
]


@app.command("plan")
def plan(
    inputs: Annotated[list[str], typer.Argument(help="Videos, folders of videos, or patterns.")],
    manifest: Annotated[Path, typer.Option("--manifest", "-m", help="CSV file to write.")] = Path("manifest.csv"),
    cam: Annotated[list[str] | None, typer.Option(help="Camera path, repeatable.", show_default="30")] = None,
) -> None:
    """Write a manifest with a row for each clip, to be edited or run."""
    from ex4d_core.jobs.manifest import write_manifest
    from ex4d_core.runs.batch import find_clips

    count = write_manifest(manifest, find_clips(inputs), cam or ["30"])
    say(manifest)
    say(f"{count} jobs; next: ex4d batch run {manifest}", err=True)


@app.command("run", cls=FlagsCommand)
@takes_flags()
def run(
    config: RunConfig,
    manifest: Annotated[
        str, typer.Argument(help="CSV or Parquet file, or its URL, with columns clip, id, cam, flags, options.")
    ],
    output_dir: RunOutput = "outputs",
    goal: Annotated[Literal["guidance", "result"], typer.Option(help="Last stage.")] = "result",
    shard: Annotated[
        str | None,
        typer.Option(metavar="<i/n>", help="Part of the clips, counted from 0; that of a Slurm array by default."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Number of processes.", show_default="one per GPU, else 1")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="<auto|local|address>",
            help="Run on a Ray cluster: the running one, one of this machine, or HOST:PORT.",
        ),
    ] = None,
    skip_invalid: Annotated[bool, typer.Option(help="Run the other rows if some cannot be run.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the jobs, estimate time and disk, and exit.")
    ] = False,
    quiet: Quiet = False,
    json_: JsonOutput = False,
) -> None:
    """Run the jobs of a manifest; run it again to resume: finished jobs are kept, failed ones are retried."""
    from ex4d_core.jobs.executors import find_executor
    from ex4d_core.jobs.running import run_jobs
    from ex4d_core.jobs.shards import Shard
    from ex4d_core.jobs.storage import Storage

    where = {"execute": find_executor("ray", ray, workers)} if ray else {"environments": _environments(workers)}
    part, storage = Shard.parse(shard) if shard else Shard.from_slurm(), Storage(output_dir)
    found = _read(manifest, config, goal)
    for row in found.invalid:
        say_error(str(row))
    if not skip_invalid:
        found.refuse_invalid()
    jobs = part.of(found.jobs, group=lambda job: job.first or job.id)
    if dry_run:
        from ex4d_core.jobs.estimate import estimate

        say("\n".join(estimate(jobs, storage, goal=goal).lines()))
        return
    execute = partial(run_jobs, jobs, output_dir, run=uuid.uuid4().hex[:12], goal=goal, **where)
    reports, files = _execute(execute, found, jobs, storage, part, quiet=quiet or json_)
    _finish(reports, files, quiet=quiet, json_=json_)


def _execute(
    execute: Callable[..., object],
    manifest: Manifest,
    jobs: Sequence[Job],
    storage: Storage,
    shard: Shard,
    *,
    quiet: bool,
) -> tuple[list[JobReport], list[str]]:
    """Run the jobs and write the report, also if they are interrupted; return their states and the files."""
    from ex4d_core.jobs.folder import keep_manifest, write_reports

    check_output(storage.folder)
    keep_manifest(storage, manifest.path)
    reports: list[JobReport] = []
    with _progress(len(jobs), quiet) as show:
        try:
            execute(on_report=lambda report: reports.append(show(report)))
        finally:
            files = write_reports(storage, manifest, jobs, reports, shard)
    return reports, files


@app.command("report")
def report(
    folder: Annotated[str, typer.Argument(help="Output folder or URL of ex4d batch run.")], json_: Json = False
) -> None:
    """Join the reports of all shards and machines: write report.csv and, with pyarrow, report.parquet."""
    from ex4d_core.jobs.folder import collect, write_report_table
    from ex4d_core.jobs.records import rows
    from ex4d_core.jobs.storage import Storage

    storage = Storage(folder)
    reports = collect(storage)
    files = write_report_table(reports, storage)
    if json_:
        say(json.dumps(list(rows(reports)), indent=2))
        return
    say("\n".join(files))
    say(_counts(reports), err=True)


def _read(source: str, config: RunConfig, goal: str) -> Manifest:
    from ex4d_core.cli.flags import COLUMNS, column_tables
    from ex4d_core.jobs.manifest import read_manifest
    from ex4d_core.pipeline.session import Session
    from ex4d_core.pipeline.stage_order import roles_for
    from ex4d_core.plugins.registry import Registry
    from ex4d_core.progress import SilentReporter

    registry, roles = Registry(), roles_for(goal)

    def check(config: RunConfig) -> None:
        Session(config, registry=registry, reporter=SilentReporter()).check(*roles)

    return read_manifest(source, columns=COLUMNS, tables=column_tables, defaults=config, check=check)


def _environments(workers: int | None) -> list[dict[str, str]]:
    """Return the variables of each worker: its own GPU, if there are several."""
    import os

    import torch

    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    gpus = gpus if gpus != [""] else [str(number) for number in range(torch.cuda.device_count())]
    count = workers or max(1, len(gpus))
    if len(gpus) < 2:
        return [{} for _ in range(count)]
    return [{"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} for number in range(count)]


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Callable[[JobReport], JobReport]]:
    """Yield a function that shows the progress over all jobs, and each job that fails."""
    reporter, done = make_reporter(quiet=quiet), 0
    with reporter.stage("jobs") as progress:
        progress(0, total)

        def show(report: JobReport) -> JobReport:
            nonlocal done
            done += 1
            if report.status not in ("done", "running"):
                reporter.warn(f"{report.id}: {report.status}: {report.error}")
            progress(done, total)
            return report

        yield show


def _finish(reports: Sequence[JobReport], files: Sequence[str], *, quiet: bool, json_: bool) -> None:
    """Print the outcome; exit with 2 if all jobs failed, with 1 if some did."""
    from ex4d_core.jobs.records import rows

    if json_:
        say(json.dumps(list(rows(reports)), indent=2))
    else:
        say("\n".join(files))
    if not quiet:
        say(_counts(reports), err=True)
    good = [report for report in reports if report.status in ("done", "running")]
    if len(good) < len(reports):
        raise typer.Exit(1 if good else 2)


def _counts(reports: Sequence[JobReport]) -> str:
    """Return the number of jobs of each state, such as `36 done, 4 failed`."""
    return ", ".join(f"{count} {status}" for status, count in Counter(report.status for report in reports).items())
