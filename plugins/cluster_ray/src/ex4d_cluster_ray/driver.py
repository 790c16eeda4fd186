"""The process that drives a cluster: items are a Ray data set with one row per group, mapped by a pool of actors.

Ray schedules, restarts actors of lost nodes and repeats their rows. Whether an item is done and how often it was
started is recorded by its function, so a repeated row resumes, and an item that ends its process is not repeated
without end.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ex4d_cluster_ray.worker import DONE, GROUP, Worker
from ex4d_core.errors import Ex4dError, InvalidConfig, PluginFailed, one_line, tracing
from ex4d_core.jobs.worker_process import Make

LOCAL, AUTO = "local", "auto"

_NAME = "ex4d"
"""Name of the data set and its operator in Ray's dashboard and metrics."""

_ATTEMPTS = 3
"""Attempts to start a cluster, which gives up after 30 seconds on a busy machine."""

_PATIENCE = 10.0
"""Seconds to wait for an address."""

_AHEAD = 2
"""Rows that an actor has received, so that it does not wait for the next one."""


def make_driver(
    number: int, *, groups: Sequence[Sequence[Any]], make: Make[Any, Any], target: str, workers: int | None
) -> Callable[[None], Any]:
    """Connect to a cluster; return a function that returns the next finished item, or None after the last one.

    Args:
        number: of this process.
        groups: the items.
        make: makes the function of each actor.
        target: `local`, `auto` or an address.
        workers: number of actors.

    Raises:
        InvalidConfig: no cluster answers at the address.
        PluginFailed: the cluster cannot start.
    """
    _hide_output()
    _check_address(target)

    import ray

    _connect(ray, target)
    results = _results(ray, groups, make, workers)
    return lambda _: next(results, None)


def _hide_output() -> None:
    """Discard what Ray prints, which is in its log folder too; if tracing, print it to stderr."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(2 if tracing() else nowhere.fileno(), 1)
        if not tracing():
            os.dup2(nowhere.fileno(), 2)


def _results(ray: Any, groups: Sequence[Sequence[Any]], make: Make[Any, Any], workers: int | None) -> Iterator[Any]:
    """Yield finished items.

    Raises:
        Ex4dError: one that concerns all items.
        PluginFailed: the cluster failed.
    """
    try:
        size, gpus = _size(ray.cluster_resources(), workers)
        rows = ray.data.from_items([{GROUP: group} for group in groups], override_num_blocks=len(groups))
        results = rows.map_batches(
            type(_NAME, (Worker,), {}),  # Ray names operators and actors after the class
            fn_constructor_args=(make,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(size, len(groups)), max_tasks_in_flight_per_actor=_AHEAD),
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
        raise PluginFailed(_reason(error)) from error


def _connect(ray: Any, target: str) -> None:
    """Connect to a cluster, or start one on this machine."""
    address = None if target == LOCAL else target
    for attempt in range(_ATTEMPTS):
        try:
            ray.init(address=address, log_to_driver=tracing(), include_dashboard=None, logging_level="ERROR")
            break
        except (ConnectionError, ValueError) as error:
            raise _no_cluster(target, str(error).splitlines()[0].partition(". ")[0]) from error
        except Exception as error:  # Ray raises no more specific one if a node does not start in time
            ray.shutdown()
            if attempt == _ATTEMPTS - 1:
                raise PluginFailed(f"Ray cannot start: {one_line(error)}") from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # reports of its own on each data set


def _check_address(target: str) -> None:
    """Check that HOST:PORT can be reached, which Ray would try for minutes.

    Raises:
        InvalidConfig: it cannot.
    """
    host, colon, port = target.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise _no_cluster(target, str(error)) from error


def _no_cluster(target: str, reason: str) -> InvalidConfig:
    # Ray looks for a token by itself for `auto` only.
    token = "; if it requires a token, set RAY_AUTH_MODE=token" if ":" in target else ""
    return InvalidConfig(
        f"there is no Ray cluster at {target!r} ({reason}); start one with: ray start --head, or use --ray local{token}"
    )


def _size(resources: dict[str, float], workers: int | None) -> tuple[int, int]:
    """Return the number of actors and the GPUs of each; those without a GPU wait until the cluster has grown."""
    gpus = int(resources.get("GPU", 0))
    cpus = int(resources.get("CPU", 1))
    return workers or gpus or max(1, cpus // 2), int(gpus > 0)


def _reason(error: BaseException) -> str:
    """Return one line: the last one of an error of Ray, which has the traceback of the node."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (
        f"the Ray cluster failed ({lines[-1] if lines else type(error).__name__}); run the same command again to resume"
    )
