"""Process items as a Ray data set: one row per group, mapped by a pool of actors with one GPU each.

Ray schedules, restarts actors of lost nodes and repeats their rows. Whether an item is done and how often it was
started is recorded by its function, so a repeated row resumes, and an item that ends its process is not repeated
without end.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ex4d_cluster_ray.worker import DONE, GROUP, Worker
from ex4d_core.errors import Ex4dError, InvalidConfig, PluginFailed, one_line
from ex4d_core.jobs.worker_process import Done, Item, Make, Result

LOCAL, AUTO = "local", "auto"

_NAME = "ex4d"
"""Name of the data set and its operator in Ray's dashboard and metrics."""

_ATTEMPTS = 3
"""Attempts to start a cluster, which gives up after 30 seconds on a busy machine."""

_AHEAD = 2
"""Rows that an actor has received, so that it does not wait for the next one."""


def process_groups(
    groups: Iterable[Sequence[Item]], make: Make[Item, Result], *, target: str = AUTO, workers: int | None = None
) -> Iterator[Done[Item, Result]]:
    """Process items on a Ray cluster; `ex4d_core.jobs.workers.Execute` describes it.

    Args:
        groups: the items; those of a group are processed by one actor.
        make: makes the function of each actor.
        target: `local` for a cluster of this machine, `auto` for the running one, or an address.
        workers: number of actors; by default as many as the cluster has GPUs, or one for two CPUs without GPUs.

    Raises:
        InvalidConfig: there is no cluster at the address.
        PluginFailed: the cluster failed.
    """
    import ray

    rows = [{GROUP: list(group)} for group in groups if group]
    if not rows:
        return
    _connect(ray, target)
    try:
        size, gpus = _size(ray.cluster_resources(), workers)  # type: ignore[no-untyped-call]  # Ray declares no types here
        results = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            type(_NAME, (Worker,), {}),  # Ray names operators and actors after the class
            fn_constructor_args=(make,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(size, len(rows)), max_tasks_in_flight_per_actor=_AHEAD),
            num_gpus=gpus,
            num_cpus=1,
        )
        results.set_name(_NAME)
        for row in results.iter_rows():
            done = row[DONE]
            if isinstance(done, Ex4dError):
                raise done
            yield done
    except ray.exceptions.RayError as error:
        ray.shutdown()
        raise PluginFailed(_reason(error)) from error


def _connect(ray: Any, target: str) -> None:
    """Connect to a cluster, or start one on this machine; a connection of this process is used again."""
    address = None if target == LOCAL else target
    for attempt in range(_ATTEMPTS):
        if ray.is_initialized():
            break
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=None, logging_level="ERROR")
        except (ConnectionError, ValueError) as error:
            raise InvalidConfig(
                f"there is no Ray cluster at {target!r} ({str(error).splitlines()[0]}); start one with: ray start "
                "--head, or use --ray local"
            ) from error
        except Exception as error:  # Ray raises no more specific one if a node does not start in time
            ray.shutdown()
            if attempt == _ATTEMPTS - 1:
                raise PluginFailed(f"Ray cannot start: {one_line(error)}") from error
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


def _reason(error: BaseException) -> str:
    """Return one line: the last one of an error of Ray, which has the traceback of the node."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (
        f"the Ray cluster failed ({lines[-1] if lines else type(error).__name__}); run the same command again to resume"
    )
