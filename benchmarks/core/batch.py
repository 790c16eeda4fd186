"""Measure `ex4d batch`: overhead per job, a manifest with bad clips and killed workers, scaling over workers.

    python -m benchmarks.core.batch overhead [--ray local] [--jobs 10000]
    python -m benchmarks.core.batch faults [--ray local] [--clips 40]
    python -m benchmarks.core.batch shards [--clips 40]
    python -m benchmarks.core.batch scaling [--ray local] [--clips 24]
    python -m benchmarks.core.batch head [--clips 12]

`overhead` runs jobs that do nothing for 10 ms, with their records and logs, in worker processes. `faults` runs short
clips, 4 of which are not videos, and kills a process in the middle of a job twice; then runs them again. `shards` runs
the same manifest by `ex4d batch run --shard 0/2` and `1/2` at the same time. `scaling` compares one and two workers.
`head` kills the head of a Ray cluster in the middle of `ex4d batch run --ray`, and repeats the command.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import psutil

from ex4d_core.config import make_config  # before torch
from ex4d_core.jobs import runner
from ex4d_core.jobs.executors import find_executor
from ex4d_core.jobs.manifest import Job, write_manifest
from ex4d_core.jobs.records import RECORDS, JobReport, read_record
from ex4d_core.jobs.running import run_jobs
from ex4d_core.jobs.workers import Execute, process_groups
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import Video
from ex4d_core.video_io import write_video

COMMAND = [sys.executable, "-c", "from typer_cli import main; main()", "batch"]

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
    """Print the overhead of one job, and the memory of this process."""
    clip = folder / "clip.mp4"
    clip.write_bytes(b"-")
    jobs = [Job(id=f"{number:05d}", config=make_config({"clips": [str(clip)]})) for number in range(arguments.jobs)]
    make = partial(_make_idle, place=str(folder / "out"))
    for title in ("a job", "a finished job"):
        before, cpu = psutil.Process().memory_info().rss, _cpu_seconds()
        started = time.perf_counter()
        ends = [time.perf_counter() for _ in _processes(arguments)(([job] for job in jobs), make)]
        seconds = ends[-1] - ends[0]  # without the start of the workers
        own = seconds * arguments.workers / (len(ends) - 1) - (IDLE if title == "a job" else 0)
        grown = (psutil.Process().memory_info().rss - before) / 2**20
        print(f"overhead of {title}: {own * 1e3:.1f} ms in its worker, ", end="")
        print(f"{(_cpu_seconds() - cpu) / len(ends) * 1e3:.1f} ms of CPU time with the start of the workers; ", end="")
        print(f"{len(ends)} jobs in {ends[-1] - started:.0f} s, memory of the parent {grown:+.0f} MiB", flush=True)


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of its workers that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _make_idle(number: int, *, place: str) -> Callable[[Job], JobReport]:
    """Return a function that runs a job which does nothing but its records and logs."""

    def idle(self: runner.JobRunner, job: Job, report: JobReport) -> JobReport:
        time.sleep(IDLE)
        return attrs.evolve(report, status="done")

    runner.JobRunner._finished = idle  # type: ignore[method-assign]  # of this process only
    return runner.JobRunner(place, run="run").run


def faults(arguments: argparse.Namespace, folder: Path) -> None:
    """Run a manifest with 4 bad clips while workers are killed, and run it again."""
    jobs = make_jobs(folder, arguments.clips, bad=4)
    killed: list[int] = []
    stop = threading.Event()
    threading.Thread(target=_kill, args=(folder / "out", killed, stop), daemon=True).start()
    ended: list[str] = []
    started = time.perf_counter()
    reports = _run(arguments, jobs, folder / "out", on_report=lambda report: ended.append(report.id))
    stop.set()
    print(
        f"{time.perf_counter() - started:.0f} s, {len(killed)} workers killed:",
        dict(Counter(r.status for r in reports)),
    )
    print("jobs that ended more than once:", [name for name, count in Counter(ended).items() if count > 1])
    print("started more than once:", [report.id for report in reports if report.starts > 1])
    started = time.perf_counter()
    again = _run(arguments, jobs, folder / "out")
    fresh = [report.id for report in again if report.fresh]
    print(f"again: {time.perf_counter() - started:.0f} s, run: {fresh}")


def _kill(out: Path, killed: list[int], stop: threading.Event) -> None:
    """Kill the process of a running job twice, after a quarter and after half of the jobs."""
    while len(killed) < 2 and not stop.wait(0.1):
        reports = [read_record(out, file.stem) for file in (out / RECORDS).glob("*.json")]
        running = [report for report in reports if report.status == "running"]
        if running and len(reports) - len(running) >= 10 * (len(killed) + 1):
            process = int(running[0].worker.rpartition("-")[2])
            if process not in killed and psutil.pid_exists(process):
                os.kill(process, signal.SIGKILL)
                killed.append(process)


def shards(arguments: argparse.Namespace, folder: Path) -> None:
    """Run a manifest as two shards at the same time, and join their reports."""
    make_jobs(folder, arguments.clips, bad=4)
    manifest, out = folder / "manifest.csv", folder / "out"
    write_manifest(manifest, sorted(folder.glob("*.mp4")), ["20", "-20"])
    options = ["run", str(manifest), "-o", str(out), "--depth", "sketch", "--quiet"]
    started = time.perf_counter()
    for title in ("first run", "second run"):
        started = time.perf_counter()
        both = [subprocess.Popen([*COMMAND, *options, "--shard", f"{index}/2"]) for index in range(2)]
        codes = [process.wait() for process in both]
        print(f"{title}: {time.perf_counter() - started:.0f} s, exit codes {codes}")
    subprocess.run([*COMMAND, "report", str(out)], check=True)


def scaling(arguments: argparse.Namespace, folder: Path) -> None:
    """Print the jobs per hour of one and of two workers."""
    jobs = make_jobs(folder, arguments.clips)
    for workers in (1, 2):
        arguments.workers = workers
        started = time.perf_counter()
        reports = _run(arguments, jobs, folder / f"out{workers}")
        seconds = time.perf_counter() - started
        good = sum(report.status == "done" for report in reports)
        print(f"{workers} worker(s): {good} jobs in {seconds:.0f} s, {good / seconds * 3600:.0f} per hour")


def head(arguments: argparse.Namespace, folder: Path) -> None:
    """Kill the head after a third of the jobs, start it again, and repeat the command."""
    make_jobs(folder, arguments.clips)
    manifest, out, ray = folder / "manifest.csv", folder / "out", folder / "ray"
    write_manifest(manifest, sorted(folder.glob("*.mp4")), ["20", "-20"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    start = ["start", "--head", f"--port={port}", "--num-cpus=4", "--include-dashboard=false", f"--temp-dir={ray}"]
    start = [str(Path(sys.executable).with_name("ray")), *start]
    options = ["run", str(manifest), "-o", str(out), "--depth", "sketch", "--quiet", "--ray", f"127.0.0.1:{port}"]
    before: list[JobReport] = []
    for is_first in (True, False):
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started = time.perf_counter()
        command = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while is_first and command.poll() is None and len(_done(out)) < arguments.clips // 3:
            time.sleep(0.2)
        if is_first:
            before, started = _done(out), time.perf_counter()
            _kill_all(ray)
        printed, _ = command.communicate()
        states = Counter(row["status"] for row in csv.DictReader((out / "report.csv").open()))
        print(f"report: {dict(states)}; ", end="")
        print(f"exit code {command.returncode} after {time.perf_counter() - started:.0f} s; it printed:\n{printed}")
    after = _done(out)
    kept = sum(report in before for report in after)
    print(
        f"{len(before)} jobs were done before the head was killed; after the second run {len(after)}, {kept} unchanged"
    )
    _kill_all(ray)


def _done(out: Path) -> list[JobReport]:
    reports = [read_record(out, file.stem) for file in sorted((out / RECORDS).glob("*.json"))]
    return [report for report in reports if report.status == "done"]


def _kill_all(session: Path) -> None:
    """Kill the processes of a Ray session, as if its machine were lost."""
    found = [each for each in psutil.process_iter(["cmdline"]) if str(session) in " ".join(each.info["cmdline"] or [])]
    for process in [*found, *(child for each in found for child in each.children(recursive=True))]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _run(arguments: argparse.Namespace, jobs: list[Job], out: Path, **more: Any) -> list[JobReport]:
    return run_jobs(jobs, out, run=uuid.uuid4().hex, execute=_processes(arguments), **more)


def _processes(arguments: argparse.Namespace) -> Execute:
    if arguments.ray:
        return find_executor("ray", arguments.ray, arguments.workers)
    return partial(process_groups, workers=arguments.workers)


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measurements: dict[str, Any] = {
        "overhead": overhead,
        "faults": faults,
        "shards": shards,
        "scaling": scaling,
        "head": head,
    }
    parser.add_argument("measurement", choices=measurements)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--ray")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measurements[arguments.measurement](arguments, Path(folder))


if __name__ == "__main__":
    from benchmarks.core.batch import main as run  # workers import functions of this module by its name

    run()
