"""Run jobs on one machine: one worker process per GPU, so that a crash in a library ends one job, not the run."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ex4d_core.errors import Ex4dError
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.records import JobReport, read_report, write_report
from ex4d_core.jobs.storage import Storage

if TYPE_CHECKING:
    from ex4d_core.runs.export import Goal

_SPAWN = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA

GRACE = 5.0
"""Seconds that a worker has to end before it is killed."""


@attrs.define(kw_only=True)
class _Worker:
    """A worker process and its job."""

    process: Any
    connection: Connection
    number: int
    job: Job | None = None


class _Queue:
    """Jobs that are still to run; those of a clip follow its first one, whose depth they reuse."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        firsts = {job.id for job in jobs if not job.first}
        self._ready = deque(job for job in jobs if job.first not in firsts)
        self._later: dict[str, list[Job]] = {}
        for job in jobs:
            if job.first in firsts:
                self._later.setdefault(job.first, []).append(job)

    def next(self) -> Job | None:
        return self._ready.popleft() if self._ready else None

    def again(self, job: Job) -> None:
        self._ready.appendleft(job)

    def ended(self, job: Job) -> None:
        self._ready.extendleft(reversed(self._later.pop(job.id, [])))


def run_jobs(
    jobs: Sequence[Job],
    place: str | Path,
    *,
    run: str,
    goal: Goal = "result",
    environments: Sequence[Mapping[str, str]] = ({},),
    on_report: Callable[[JobReport], None] = lambda report: None,
) -> list[JobReport]:
    """Run jobs in worker processes; return their states in the order in which they end.

    A job that ends its process is run twice more, then recorded as crashed.

    Args:
        jobs: the jobs.
        place: the output folder, or a URL.
        run: identifier of this run.
        goal: the last stage.
        environments: variables of each worker, such as its GPU; their number is that of the workers.
        on_report: called with the state of each job when it ends.

    Raises:
        OutputFailed: the output folder cannot be written to.
        KeyboardInterrupt: Ctrl-C was pressed; the workers are stopped.
    """
    folder, starts = Storage(str(place)).folder, Counter[str]()
    queue, reports, idle = _Queue(jobs), list[JobReport](), deque(range(min(len(environments), len(jobs))))
    with _workers() as running:
        while True:
            while idle and (job := queue.next()):
                number = idle.popleft()
                worker = running.get(number) or _start(number, environments[number], str(place), run, goal)
                running[number], worker.job = worker, job
                starts[job.id] += 1
                with suppress(OSError):  # a worker that has ended is noticed below
                    worker.connection.send(job)
            busy = {worker.connection: worker for worker in running.values() if worker.job}
            if not busy:
                return reports
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]  # wait is declared for other objects too
                job, worker.job = worker.job, None
                assert job is not None
                report = _received(worker)
                if report is None:
                    del running[worker.number]
                    report = _crashed(job, worker, folder, starts=starts[job.id])
                idle.append(worker.number)
                if report.status == "interrupted":
                    queue.again(job)
                    continue
                queue.ended(job)
                reports.append(report)
                on_report(report)


@contextmanager
def _workers() -> Iterator[dict[int, _Worker]]:
    """Yield the running workers by number, and end them afterwards: when idle at once, else by a signal."""
    running: dict[int, _Worker] = {}
    try:
        yield running
    finally:
        for worker in running.values():
            worker.connection.close()
            if worker.job:
                worker.process.terminate()
        for worker in running.values():
            worker.process.join(GRACE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _start(number: int, environment: Mapping[str, str], place: str, run: str, goal: Goal) -> _Worker:
    own, other = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(other, dict(environment), place, run, goal), name=f"ex4d-{number}")
    process.start()
    other.close()  # so that the end of the process closes the connection
    return _Worker(process=process, connection=own, number=number)


def _serve(connection: Connection, environment: Mapping[str, str], place: str, run: str, goal: Goal) -> None:
    """Run jobs from a connection until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    os.environ.update(environment)  # before torch is imported

    from ex4d_core.jobs.runner import JobRunner

    runner = JobRunner(place, run=run, goal=goal)
    with suppress(EOFError, OSError):
        while True:
            job = connection.recv()
            try:
                connection.send(runner.run(job))
            except Ex4dError as error:  # of the output folder, which concerns all jobs
                connection.send(error)


def _received(worker: _Worker) -> JobReport | None:
    """Return the report of a worker, or None if it has ended.

    Raises:
        Ex4dError: the worker cannot write to the output folder.
    """
    try:
        received = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join()
        return None
    if isinstance(received, Ex4dError):
        raise received
    report: JobReport = received
    return report


def _crashed(job: Job, worker: _Worker, folder: Path, *, starts: int) -> JobReport:
    """Return the state of a job whose process has ended: interrupted at first, then crashed, which is recorded.

    The number of starts is not read from the record, since a process may end before it writes one.
    """
    from ex4d_core.jobs.runner import MOST_STARTS, crash_sentence

    report = read_report(folder, job.id)
    if starts < MOST_STARTS:
        return attrs.evolve(report, status="interrupted")
    code = worker.process.exitcode or 0
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
    report = attrs.evolve(
        report,
        clip=job.clip,
        cam=job.config.cam,
        status="crashed",
        error=crash_sentence(how),
        starts=starts,
        fresh=True,
    )
    write_report(folder, report)
    return report
