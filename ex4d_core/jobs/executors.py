"""Ways to run worker processes: on this machine, or on others by a plugin."""

from __future__ import annotations

from functools import partial

from ex4d_core.errors import ComponentNotFound
from ex4d_core.jobs.workers import Execute
from ex4d_core.plugins.discovery import find_plugins
from ex4d_core.plugins.known import EXECUTOR, where_to_get


def find_executor(name: str, target: str, workers: int | None) -> Execute:
    """Return the function of a plugin that processes items on other machines.

    Args:
        name: name of the executor, such as `ray`.
        target: the value of its flag, such as an address.
        workers: number of workers; by default, the executor decides.

    Raises:
        ComponentNotFound: no plugin offers it.
        PluginFailed: it cannot be imported.
    """
    for offer in find_plugins().executors:
        if offer.name == name:
            return partial(offer.load(), target=target, workers=workers)
    raise ComponentNotFound(where_to_get(name, EXECUTOR) or f"no plugin runs jobs on {name!r}")
