"""Run jobs as a Ray data set: one row per clip, mapped by a pool of actors with one GPU each.

Ray schedules, restarts actors of lost nodes and repeats their rows. What a job is, whether it is done and how often it
was started is in its record in the output folder, so a repeated row resumes, and a clip that ends its process is not
repeated without end.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ex4d_cluster_ray.worker import Worker, encode, installed_versions, report_of
from ex4d_core.errors import InvalidConfig, PluginFailed
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.records import JobReport
from ex4d_core.jobs.storage import is_url

if TYPE_CHECKING:
    from ex4d_core.runs.export import Goal

LOCAL, AUTO = "local", "auto"

AHEAD = 2
"""Clips that an actor has received, so that it does not wait for the next one."""


def run_jobs(
    jobs: Sequence[Job],
    place: str | Path,
    *,
    run: str,
    target: str = AUTO,
    workers: int | None = None,
    goal: Goal = "result",
    on_report: Callable[[JobReport], None] = lambda report: None,
) -> list[JobReport]:
    """Run jobs on a Ray cluster; return their states in the order in which they end.

    Args:
        jobs: the jobs.
        place: the output folder, which all nodes share, or a URL.
        run: identifier of the run.
        target: `local` for a cluster of this machine, `auto` for the running one, or an address.
        workers: number of actors; by default as many as the cluster has GPUs, or one for two CPUs without GPUs.
        goal: the last stage.
        on_report: called with the state of each job when it ends.

    Raises:
        InvalidConfig: there is no cluster at the address.
        PluginFailed: a node has other versions of ex4d, or the cluster failed.
    """
    import ray

    if not jobs:
        return []
    place = str(place)
    _connect(ray, target)
    try:
        size, gpus = _size(ray.cluster_resources(), workers)  # type: ignore[no-untyped-call]  # Ray declares no types here
        tasks = [{"jobs": encode(group)} for group in _groups(jobs)]
        reports = []
        results = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map_batches(
            Worker,
            fn_constructor_args=(place if is_url(place) else os.path.abspath(place), run, goal, installed_versions()),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(size, len(tasks)), max_tasks_in_flight_per_actor=AHEAD),
            num_gpus=gpus,
            num_cpus=1,
        )
        for row in results.iter_rows():
            report = report_of(str(row["report"]))
            reports.append(report)
            on_report(report)
        return reports
    except ray.exceptions.RayError as error:
        raise PluginFailed(_reason(error)) from error
    finally:
        ray.shutdown()


def _connect(ray: Any, target: str) -> None:
    """Connect to a cluster, or start one on this machine."""
    address = None if target == LOCAL else target
    try:
        ray.init(address=address, log_to_driver=False, include_dashboard=None, logging_level="ERROR")
    except (ConnectionError, ValueError) as error:
        raise InvalidConfig(
            f"there is no Ray cluster at {target!r} ({str(error).splitlines()[0]}); start one with: ray start --head, "
            "or use --ray local"
        ) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # reports of its own on each data set


def _size(resources: dict[str, float], workers: int | None) -> tuple[int, float]:
    """Return the number of actors and the GPUs of each."""
    gpus = int(resources.get("GPU", 0))
    cpus = int(resources.get("CPU", 1))
    if gpus:
        count = workers or gpus
        return count, min(1.0, gpus / count)
    return workers or max(1, cpus // 2), 0


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Return the jobs of each clip, which one actor runs one after another, so that its depth is computed once."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.first or job.id, []).append(job)
    return list(groups.values())


def _reason(error: BaseException) -> str:
    """Return one line: the error of ex4d in that of Ray, which has it as text only, or the last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = [line.partition(f"{PluginFailed.__name__}: ")[2] for line in lines if f"{PluginFailed.__name__}: " in line]
    if own:
        return own[-1]
    return f"the Ray cluster failed: {lines[-1] if lines else type(error).__name__}"
