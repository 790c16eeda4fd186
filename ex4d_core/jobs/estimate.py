"""Estimate what a manifest takes, from what stages took on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs

from ex4d_core.errors import Ex4dError
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.records import read_record
from ex4d_core.jobs.storage import Storage, fetched
from ex4d_core.pipeline.forecast import Forecast, duration, forecast, size_of
from ex4d_core.pipeline.rates import LEAST_MEGAPIXELS, LEAST_SECONDS
from ex4d_core.pipeline.session import Session
from ex4d_core.pipeline.store import content_key
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import SilentReporter
from ex4d_core.runs.export import Goal


@attrs.define
class Estimate:
    """What the jobs of a manifest that are not done take."""

    jobs: int = 0
    done: int = 0
    errors: dict[str, str] = attrs.field(factory=dict)
    """Errors of jobs that cannot run on this machine, such as of a clip that cannot be read, by the id of the job."""
    paths: int = 0
    """Camera paths of the jobs that are not done."""
    unknown: int = 0
    """Paths of which nothing was measured on this machine, or a stage has neither a measured nor a typical time."""
    seconds: float = 0
    """Of the other paths, by one worker."""
    measured_seconds: float = 0
    """The part of them that was measured; the rest is typical times of stages."""
    disk: float = 0
    """Bytes of the artifacts, at measured or typical sizes."""
    device: str = ""
    """Name of the GPU, or `this CPU`."""

    def add(self, found: Forecast) -> None:
        """Add a path."""
        self.paths += 1
        self.device = found.device
        self.disk += sum(found.disk.values())
        if found.seconds is None or not found.measured:
            self.unknown += 1
        else:
            self.seconds += found.seconds
            self.measured_seconds += found.seconds * found.measured

    def lines(self) -> list[str]:
        """Return lines: the counts, an error, the time with its basis, the disk space."""
        found = [f"jobs: {self.jobs}, {self.done} done, {self.paths} camera paths to run"]
        for job, error in list(self.errors.items())[:1]:
            found.append(
                f"errors: {len(self.errors)} of {self.jobs} jobs cannot run on this machine, such as {job}: {error}"
            )
        if known := self.paths - self.unknown:
            worker = "one worker on this CPU" if self.device == "this CPU" else f"one {self.device}"
            measured = self.measured_seconds / self.seconds
            basis = "" if measured > 0.995 else f"{measured:.0%} of it "
            rest = ", the rest typical times" * bool(basis)
            found.append(
                f"time: about {duration(self.seconds)} of {worker} for {known} paths, without loading models and "
                f"writing videos; {basis}measured on this machine{rest}"
            )
        if self.unknown:
            found.append(
                f"time: unknown for {self.unknown} paths with stages that were not measured on {self.device}; run one "
                f"of their jobs first (stages below {LEAST_SECONDS:g} s and clips below {LEAST_MEGAPIXELS:g} million "
                "pixels do not count)"
            )
        if self.paths:
            found.append(f"disk: about {size_of(self.disk)} of artifacts, at measured or typical sizes")
        return found


def estimate(jobs: Iterable[Job], storage: Storage, *, goal: Goal = "result") -> Estimate:
    """Return what jobs take; only the headers of their clips are read.

    Args:
        jobs: the jobs.
        storage: the output folder.
        goal: the last stage.
    """
    registry, found = Registry(), Estimate()
    depths: set[str] = set()
    for job in jobs:
        found.jobs += 1
        if read_record(storage.folder, job.id).is_done(job.key(), storage.has):
            found.done += 1
            continue
        session = Session(job.config, registry=registry, reporter=SilentReporter())
        try:
            clip_run = session.open_clip(Path(fetched(job.clip)), folder=storage.folder / job.id, read_only=True)
            depth = content_key(clip_run.depth_inputs)
            ready: tuple[str, ...] = ("depth",) if depth in depths else ()  # by another job of the clip
            for cam in job.config.cam:
                path = forecast(clip_run.along(cam), goal, ready=ready)
                if path is not None:
                    found.add(path)
                    ready = ("read", "depth", "refine")
            depths.add(depth)
        except Ex4dError as error:
            found.errors[job.id] = str(error).partition("\n")[0]
    return found
