"""Run the jobs of a manifest in worker processes, so that a crash in a library ends one job, not the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.node import NodeFacts, check_node, node_facts
from ex4d_core.jobs.records import JobReport, crash_sentence, read_record, write_record
from ex4d_core.jobs.storage import Storage, is_url
from ex4d_core.jobs.worker_process import Done, LastResult
from ex4d_core.jobs.workers import ATTEMPTS, Execute, process_groups

if TYPE_CHECKING:
    from ex4d_core.runs.export import Goal


def run_jobs(
    jobs: Sequence[Job],
    place: str | Path,
    *,
    run: str,
    goal: Goal = "result",
    environments: Sequence[Mapping[str, str]] = ({},),
    execute: Execute | None = None,
    on_report: Callable[[JobReport], None] = lambda report: None,
) -> list[JobReport]:
    """Run jobs in worker processes; return their states in the order in which they end.

    A job that ends its process is run twice more, then recorded as crashed.

    Args:
        jobs: the jobs.
        place: the output folder, which all machines share, or a URL.
        run: identifier of this run.
        goal: the last stage.
        environments: variables of each worker of this machine, such as its GPU; their number is that of the workers.
        execute: runs the workers elsewhere instead.
        on_report: called with the state of each job when it ends.

    Raises:
        OutputFailed: the output folder cannot be written to.
        PluginFailed: workers die while they start, or a machine differs from this one.
        KeyboardInterrupt: Ctrl-C was pressed; the workers are stopped.
    """
    place = str(place) if is_url(str(place)) else os.path.abspath(place)
    make = partial(_make_worker, place=place, run=run, goal=goal)
    if execute is None:
        execute = partial(process_groups, workers=len(environments))
        make = partial(make, environments=environments)
    else:
        make = partial(make, expected=node_facts((job.config for job in jobs), goal))
    reports = []
    for done in execute(groups_of(jobs), make):
        report = done.result or _failed(done, Storage(place))
        reports.append(report)
        on_report(report)
    return reports


def groups_of(jobs: Iterable[Job]) -> list[list[Job]]:
    """Return the jobs of each clip, of which the first one computes the depth."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.first or job.id, []).append(job)
    return list(groups.values())


def _make_worker(
    number: int,
    *,
    place: str,
    run: str,
    goal: Goal,
    environments: Sequence[Mapping[str, str]] = (),
    expected: NodeFacts | None = None,
) -> Callable[[Job], JobReport]:
    """Return a function that runs a job; models are loaded by the first job and stay loaded."""
    if environments:
        os.environ.update(environments[number])  # before CUDA is initialized

    from ex4d_core.jobs.runner import JobRunner

    if expected is not None:
        check_node(expected)
    runner = JobRunner(place, run=run, goal=goal)

    def work(job: Job) -> JobReport:
        report = runner.run(job)
        if report.unexpected:
            raise LastResult(report)
        return report

    return work


def _failed(done: Done[Job, JobReport], storage: Storage) -> JobReport:
    """Record and return the state of a job whose process ended each time, or that failed outside of the run.

    The state is not left to the record of the job, since a process may end before it writes one.
    """
    job = done.item
    report = attrs.evolve(
        read_record(storage.folder, job.id),
        clip=job.clip,
        cam=job.config.cam,
        status="crashed" if done.is_crash else "failed",
        error=crash_sentence(done.error) if done.is_crash else done.error,
        starts=ATTEMPTS if done.is_crash else 1,
        fresh=True,
    )
    write_record(storage.folder, report)
    return report
