"""Run jobs in this process: each is resumed, recorded and logged; sessions share loaded components."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs

from ex4d_core.config.run_config import RunConfig, config_tree, make_config
from ex4d_core.errors import Ex4dError, InputNotFound, InvalidInput
from ex4d_core.files import locked_if_free
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.records import RECORDS, JobReport, StageCost, crash_sentence, read_record, record_file, write_record
from ex4d_core.jobs.storage import Storage, fetched
from ex4d_core.jobs.workers import ATTEMPTS
from ex4d_core.pipeline.artifacts import StageRecord
from ex4d_core.pipeline.session import Session
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import SilentReporter
from ex4d_core.runs.batch import Outcome, run_batch
from ex4d_core.runs.export import Goal
from ex4d_core.runs.saved_config import with_paths

LOGS = "logs"
"""Folder of the logs in the output folder: a file for each process, a line of JSON for each stage."""


class JobRunner:
    """Runs jobs one after another, with their run folders and records in one output folder."""

    def __init__(self, place: str | Path, *, run: str, goal: Goal = "result") -> None:
        """Set the output folder.

        Args:
            place: the output folder, or a URL.
            run: identifier of this run, the same in all of its processes and after their restarts.
            goal: the last stage.
        """
        self._storage = Storage(str(place))
        self.folder = folder = self._storage.folder
        self._run, self._goal = run, goal
        self._worker = f"{socket.gethostname()}-{os.getpid()}"
        self._log = JobLog(folder / LOGS / f"{self._worker}.jsonl", run=run)
        self._registry = Registry()
        self._session: Session | None = None

    def run(self, job: Job) -> JobReport:
        """Run a job, unless it is done or another process is running it; return its state.

        Errors of the clip or of a component are in the report.

        Raises:
            OutputFailed: the records cannot be written.
        """
        with locked_if_free(record_file(self.folder, job.id)) as is_own:
            self._storage.pull(_name(job.id))
            before = read_record(self.folder, job.id)
            if not is_own:
                return attrs.evolve(before, status="running", error="another process is running this job")
            try:
                key = job.key()
            except (InputNotFound, InvalidInput) as error:  # the clip is at a URL
                return self._written(_failed_report(job, before, self._run, str(error)))
            if before.is_done(key, self._storage.has):
                return before
            started = before.run == self._run and before.status == "running"
            report = JobReport(
                id=job.id,
                clip=job.clip,
                cam=job.config.cam,
                status="running",
                key=key,
                run=self._run,
                starts=before.starts + 1 if started else 1,
                worker=self._worker,
                fresh=True,
            )
            if report.starts > ATTEMPTS:
                report = attrs.evolve(
                    report, status="crashed", error=crash_sentence("its process ended"), starts=before.starts
                )
            else:
                write_record(self.folder, report)
                self._storage.push([_name(job.id)])
                self._log.job = job.id
                report = self._finished(job, report)
            self._storage.push(report.outputs)
            return self._written(report)

    def _written(self, report: JobReport) -> JobReport:
        """Write and log the state of a job, and return it."""
        write_record(self.folder, report)
        self._storage.push([_name(report.id)])
        self._log.job = report.id
        for stage, cost in report.stages.items():
            self._log.write(stage=stage, **attrs.asdict(cost))
        self._log.write(status=report.status, seconds=report.seconds, error=report.error)
        return report

    def _finished(self, job: Job, report: JobReport) -> JobReport:
        started = time.monotonic()
        try:
            config = self._local(job.config)
        except Ex4dError as error:
            return attrs.evolve(report, status="failed", error=str(error))
        outcomes = run_batch(
            self._session_for(config),
            [Path(config.clips[0])],
            [self.folder / job.id],
            goal=self._goal,
            shared=self.folder / job.first if job.first else None,
        )
        failure = _error_of(outcomes)
        files = [file for outcome in outcomes for file in outcome.files.values()]
        return attrs.evolve(
            report,
            status="failed" if failure else "done",
            error=failure,
            outputs=tuple(dict.fromkeys(file.relative_to(self.folder).as_posix() for file in files)),
            seconds=time.monotonic() - started,
            unexpected=any(outcome.unexpected for outcome in outcomes),
            stages=_costs([record for outcome in outcomes for record in outcome.records]),
        )

    def _local(self, config: RunConfig) -> RunConfig:
        """Return a configuration with local copies of the files at URLs."""
        tree = config_tree(config)
        located = with_paths(tree, self._registry, fetched)
        if located == tree:
            return config
        return attrs.evolve(make_config(located), cam_folder=config.cam_folder, download=config.download)

    def _session_for(self, config: RunConfig) -> Session:
        """Return the session of a configuration; components with equal options stay loaded."""
        if self._session is None or self._session.config != config:
            self._session = (
                self._session.changed(config)
                if self._session
                else Session(config, registry=self._registry, reporter=self._log)
            )
        return self._session


class JobLog(SilentReporter):
    """Appends lines of JSON to a file: notes and warnings of jobs, the cost of each stage, and the end of each job."""

    def __init__(self, file: Path, *, run: str) -> None:
        """Set the file, which is created with the first line."""
        self.job = ""
        """Id of the job that lines are about."""
        self._file, self._run = file, run

    def write(self, **facts: object) -> None:
        """Append a line, unless the disk is full, which the record of the job reports."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"time": now, "run": self._run, "job": self.job, **facts}) + "\n")

    def note(self, text: str) -> None:
        """Append a note."""
        self.write(note=text)

    def warn(self, text: str) -> None:
        """Append a warning."""
        self.write(warning=text)


def _name(job: str) -> str:
    return f"{RECORDS}/{job}.json"


def _failed_report(job: Job, before: JobReport, run: str, error: str) -> JobReport:
    return attrs.evolve(
        before, clip=job.clip, cam=job.config.cam, status="failed", run=run, starts=1, error=error, fresh=True
    )


def _error_of(outcomes: Sequence[Outcome]) -> str:
    """Return the errors of the paths, or '' if there are none; one of all paths is stated once."""
    if len({outcome.error for outcome in outcomes}) == 1:
        return outcomes[0].error or ""
    return "; ".join(f"--cam {outcome.cam}: {outcome.error}" for outcome in outcomes if outcome.error is not None)


def _costs(records: list[StageRecord]) -> dict[str, StageCost]:
    costs: dict[str, StageCost] = {}
    for record in records:
        before = costs.get(record.stage)
        cost = record.cost
        costs[record.stage] = StageCost(
            seconds=cost.seconds + (before.seconds if before else 0),
            peak_gib=max(cost.peak_bytes / 2**30, before.peak_gib if before else 0),
            gpu_peak_gib=max(cost.peak_gpu_bytes / 2**30, before.gpu_peak_gib if before else 0),
            reused=record.reused and (before.reused if before else True),
        )
    return costs
