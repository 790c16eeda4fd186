"""Measure `ex4d batch`: overhead per job, a manifest with bad clips and killed workers, scaling over workers.

    python -m benchmarks.core.batch overhead [--jobs 1000]
    python -m benchmarks.core.batch faults [--ray local] [--clips 40]
    python -m benchmarks.core.batch scaling [--ray local] [--clips 24]

`overhead` runs jobs that do nothing for 10 ms, with their records and logs, in worker processes. `faults` runs a
manifest of short clips, 4 of which are not videos, and kills a worker process twice; then runs it again. `scaling`
compares one and two workers.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import psutil

from ex4d_core.config import make_config  # before torch
from ex4d_core.jobs import runner
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.pool import run_jobs
from ex4d_core.jobs.records import JobReport
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import Video
from ex4d_core.video_io import write_video

IDLE = 0.010
"""Seconds of a job that does nothing."""


def make_jobs(folder: Path, count: int, *, bad: int = 0) -> list[Job]:
    """Return jobs of short clips of the room, each shifted in color; the last ones are not videos."""
    scene = room_scene().clip(num_frames=8)
    video = scene.video
    jobs = []
    for number in range(count):
        clip = folder / f"clip{number:03d}.mp4"
        if number < count - bad:
            frames = (video.frames[:, ::4, ::4].int() + number).clamp(0, 255).byte()
            write_video(Video(frames=frames, fps=video.fps), clip)
        else:
            clip.write_bytes(b"no video")
        tree = {"clips": [str(clip)], "cam": ["20", "-20"], "depth": {"name": "sketch"}}
        jobs.append(Job(id=clip.stem, config=make_config(tree)))
    return jobs


def overhead(arguments: argparse.Namespace, folder: Path) -> None:
    """Print the overhead of one job."""
    clip = folder / "clip.mp4"
    clip.write_bytes(b"-")
    jobs = [Job(id=f"{number:05d}", config=make_config({"clips": [str(clip)]})) for number in range(arguments.jobs)]

    def idle(self: runner.JobRunner, job: Job, report: JobReport) -> JobReport:
        time.sleep(IDLE)
        return attrs.evolve(report, status="done")

    runner.JobRunner._finished = idle  # type: ignore[method-assign]  # only the records and logs are measured
    own = runner.JobRunner(folder / "out", run="run")
    started = time.perf_counter()
    for job in jobs:
        own.run(job)
    first = time.perf_counter()
    for job in jobs:
        own.run(job)
    again = time.perf_counter() - first
    print(f"overhead of a job: {((first - started) / len(jobs) - IDLE) * 1e3:.1f} ms; ", end="")
    print(f"of a finished job: {again / len(jobs) * 1e3:.2f} ms")


def faults(arguments: argparse.Namespace, folder: Path) -> None:
    """Run a manifest with 4 bad clips while workers are killed, and run it again."""
    jobs = make_jobs(folder, arguments.clips, bad=4)
    killed: list[int] = []
    stop = threading.Event()
    threading.Thread(target=_kill, args=(killed, stop), daemon=True).start()
    ended: list[str] = []
    started = time.perf_counter()
    reports = _execute(arguments)(
        jobs, folder / "out", run=uuid.uuid4().hex, on_report=lambda report: ended.append(report.id)
    )
    stop.set()
    print(
        f"{time.perf_counter() - started:.0f} s, {len(killed)} workers killed:",
        dict(Counter(r.status for r in reports)),
    )
    print("jobs that ended more than once:", [name for name, count in Counter(ended).items() if count > 1])
    print("started more than once:", [report.id for report in reports if report.starts > 1])
    started = time.perf_counter()
    again = _execute(arguments)(jobs, folder / "out", run=uuid.uuid4().hex)
    fresh = [report.id for report in again if report.fresh]
    print(f"again: {time.perf_counter() - started:.0f} s, run: {fresh}")


def _kill(killed: list[int], stop: threading.Event) -> None:
    """Kill a busy worker process twice."""
    pause = 20.0
    while len(killed) < 2 and not stop.wait(pause):
        workers = [child for child in psutil.Process().children(recursive=True) if _is_worker(child)]
        if workers:
            worker = random.Random(0).choice(workers)
            os.kill(worker.pid, signal.SIGKILL)
            killed.append(worker.pid)
            pause = 8.0


def _is_worker(process: psutil.Process) -> bool:
    words = " ".join(process.cmdline())
    return ("spawn_main" in words or "MapWorker" in words) and process.cpu_percent(0.1) > 10


def scaling(arguments: argparse.Namespace, folder: Path) -> None:
    """Print the jobs per hour of one and of two workers."""
    jobs = make_jobs(folder, arguments.clips)
    for workers in (1, 2):
        arguments.workers = workers
        started = time.perf_counter()
        reports = _execute(arguments)(jobs, folder / f"out{workers}", run=uuid.uuid4().hex)
        seconds = time.perf_counter() - started
        good = sum(report.status == "done" for report in reports)
        print(f"{workers} worker(s): {good} jobs in {seconds:.0f} s, {good / seconds * 3600:.0f} per hour")


def _execute(arguments: argparse.Namespace) -> Callable[..., list[JobReport]]:
    if arguments.ray:
        from ex4d_cluster_ray.executor import run_jobs as run_on_ray

        return partial(run_on_ray, target=arguments.ray, workers=arguments.workers)
    return partial(run_jobs, environments=[{}] * arguments.workers)


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measurements: dict[str, Any] = {"overhead": overhead, "faults": faults, "scaling": scaling}
    parser.add_argument("measurement", choices=measurements)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--ray")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measurements[arguments.measurement](arguments, Path(folder))


if __name__ == "__main__":
    main()
