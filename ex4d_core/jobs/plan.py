"""Estimate what a manifest takes, from the rates measured on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs

from ex4d_core.errors import Ex4dError
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.records import read_report
from ex4d_core.jobs.storage import Storage, fetched
from ex4d_core.pipeline.forecast import duration, forecast, size_of
from ex4d_core.pipeline.session import Session
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import SilentReporter
from ex4d_core.runs.export import Goal


@attrs.frozen(kw_only=True)
class Estimate:
    """What the jobs of a manifest that are not done take."""

    jobs: int
    done: int
    paths: int
    """Camera paths of the jobs that are not done."""
    seconds: float
    """Of one worker, for the paths with measured rates."""
    unmeasured: int
    """Paths without measured rates: a stage has not run on this machine."""
    disk: float
    """Bytes of the artifacts."""
    unreadable: int
    """Jobs whose clip cannot be read."""

    def sentence(self) -> str:
        """Return one line."""
        parts = [f"{self.jobs} jobs, {self.done} done; {self.paths} camera paths to run"]
        if measured := self.paths - self.unmeasured:
            parts.append(f"about {duration(self.seconds)} of one worker for {measured} of them")
        if self.unmeasured:
            parts.append(f"{self.unmeasured} with stages that were never measured on this machine")
        parts.append(f"about {size_of(self.disk)} of disk")
        if self.unreadable:
            parts.append(f"{self.unreadable} clips cannot be read")
        return ", ".join(parts)


def estimate(jobs: Iterable[Job], storage: Storage, *, goal: Goal = "result") -> Estimate:
    """Return what jobs take; only the headers of their clips are read.

    Args:
        jobs: the jobs.
        storage: the output folder.
        goal: the last stage.
    """
    registry, found = Registry(), Estimate(jobs=0, done=0, paths=0, seconds=0, unmeasured=0, disk=0, unreadable=0)
    for job in jobs:
        found = attrs.evolve(found, jobs=found.jobs + 1)
        if read_report(storage.folder, job.id).is_done(job.key(), storage.has):
            found = attrs.evolve(found, done=found.done + 1)
            continue
        session = Session(job.config, registry=registry, reporter=SilentReporter())
        folder = storage.folder
        try:
            clip_run = session.open_clip(Path(fetched(job.clip)), folder=folder / job.id, read_only=True)
            forecasts = [forecast(clip_run.along(cam), goal) for cam in job.config.cam]
        except Ex4dError:  # the job reports it
            found = attrs.evolve(found, unreadable=found.unreadable + 1)
            continue
        for each in filter(None, forecasts):
            found = attrs.evolve(
                found,
                paths=found.paths + 1,
                seconds=found.seconds + (each.seconds or 0),
                unmeasured=found.unmeasured + (each.seconds is None),
                disk=found.disk + sum(each.disk.values()),
            )
    return found
