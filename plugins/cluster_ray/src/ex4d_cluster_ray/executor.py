"""Process items on a Ray cluster, driven by a process of its own.

Ray ends the process that is connected to a cluster whose head is lost, and prints to both of its streams; neither
reaches the process of the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from ex4d_cluster_ray.driver import AUTO, make_driver
from ex4d_core.errors import PluginFailed
from ex4d_core.jobs.worker_process import Done, Item, Make, Result, start_worker
from ex4d_core.processes import exit_reason, join_or_kill


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
        InvalidConfig: no cluster answers at the address.
        PluginFailed: the cluster failed or was lost.
    """
    own = [list(group) for group in groups if group]
    if not own:
        return
    process, connection = start_worker(0)
    try:
        connection.send(partial(make_driver, groups=own, make=make, target=target, workers=workers))
        _receive(connection)  # the cluster is ready
        while (done := _next(connection)) is not None:
            yield done
        connection.close()  # which ends the process
    except (EOFError, ConnectionError) as error:
        join_or_kill(process)
        raise PluginFailed(
            f"the Ray cluster at {target!r} was lost (the process that drove it {exit_reason(process)}); start it "
            "again and run the same command to resume"
        ) from error
    finally:
        if not connection.closed:
            connection.close()
            process.terminate()
        join_or_kill(process)


def _next(connection: Connection) -> Any:
    """Return the next finished item, or None after the last one."""
    connection.send(None)
    answer = _receive(connection)
    if answer.error:
        raise PluginFailed(f"the Ray cluster failed ({answer.error}); run the same command again to resume")
    return answer.result


def _receive(connection: Connection) -> Any:
    message = connection.recv()
    if isinstance(message, Exception):
        raise message
    return message
