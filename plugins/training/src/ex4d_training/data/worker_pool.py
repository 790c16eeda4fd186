"""Worker processes that share a list of items; a process that fails or is killed is replaced.

`concurrent.futures` abandons all work when one process dies. `pebble.ProcessPool` replaces dead processes, but hides
errors of the initializer, keeps using a process after an error, and gives processes no number to select a GPU.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic

import attrs

from ex4d_core.errors import PluginFailed
from ex4d_training.data.worker_process import Done, Item, Result, exit_reason, process_item, start_process

ATTEMPTS = 2
"""Number of processes that an item may kill before it is given up."""


@attrs.define(eq=False)
class _Worker(Generic[Item]):
    process: BaseProcess
    connection: Connection
    item: Item | None = None


def process_items(
    items: Iterable[Item],
    make: Callable[[int], Callable[[Item], Result]],
    *,
    workers: int,
) -> Iterator[Done[Item, Result]]:
    """Yield each item with its result or error, in the order of completion.

    An `Ex4dError` stops all work. Any other error is the error of its item, and its process is replaced, since the
    state of a GPU is undefined after an error. An item whose process died is retried once.

    Args:
        items: hashable, picklable values.
        make: called in each process with its number, from 0; returns the function that processes an item. Importable.
        workers: number of processes; 0 processes the items in this process.

    Raises:
        Ex4dError: raised by `make` or its function.
        PluginFailed: a process died while it started.
    """
    waiting = deque(items)
    if workers == 0 and waiting:
        act = make(0)
        yield from (process_item(act, item) for item in waiting)
        return
    pool = _Pool(waiting, make)
    try:
        pool.start(workers)
        yield from pool.results()
    finally:
        pool.stop()


class _Pool(Generic[Item, Result]):
    """The processes and the items that wait for one."""

    def __init__(self, waiting: deque[Item], make: Callable[[int], Callable[[Item], Result]]) -> None:
        self._waiting = waiting
        self._make = make
        self._deaths: dict[Item, int] = {}
        self._workers: dict[int, _Worker[Item]] = {}

    def start(self, count: int) -> None:
        for number in range(min(count, len(self._waiting))):
            self._start(number)

    def results(self) -> Iterator[Done[Item, Result]]:
        while self._workers:
            ready = wait([worker.connection for worker in self._workers.values()])
            for number, worker in list(self._workers.items()):
                if worker.connection in ready:
                    yield from self._receive(number, worker)

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.process.kill()
        for number in list(self._workers):
            self._end(number)

    def _start(self, number: int) -> None:
        process, connection = start_process(number)
        with suppress(BrokenPipeError, ConnectionResetError):  # it died already; reading notices it
            connection.send(self._make)
        self._workers[number] = _Worker(process, connection)

    def _receive(self, number: int, worker: _Worker[Item]) -> Iterator[Done[Item, Result]]:
        """Handle a message of a process: it is ready (None), an item is done, or an error stops all work."""
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            yield from self._handle_death(number, worker)
            return
        if isinstance(message, Exception):
            raise message
        if message is not None and message.error:
            self._end(number)
            self._replace(number)
            yield message
            return
        if message is not None:
            yield message
        worker.item = self._waiting.popleft() if self._waiting else None
        if worker.item is None:
            self._end(number)
            return
        try:
            worker.connection.send(worker.item)
        except (BrokenPipeError, ConnectionResetError):
            yield from self._handle_death(number, worker)

    def _handle_death(self, number: int, worker: _Worker[Item]) -> Iterator[Done[Item, Result]]:
        self._end(number)
        reason, item = exit_reason(worker.process), worker.item
        if item is None:
            raise PluginFailed(
                f"a process for the preparation of videos {reason} while it started; free memory, or reduce --workers"
            )
        self._deaths[item] = self._deaths.get(item, 0) + 1
        if self._deaths[item] < ATTEMPTS:
            self._waiting.append(item)
        else:
            yield Done(item=item, error=f"its process {reason}, twice")
        self._replace(number)

    def _replace(self, number: int) -> None:
        if self._waiting:
            self._start(number)

    def _end(self, number: int) -> None:
        worker = self._workers.pop(number)
        worker.connection.close()
        worker.process.join(timeout=10)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def default_workers() -> int:
    """Return the default number of processes: one for each GPU, or one without GPUs."""
    import torch

    return max(1, torch.cuda.device_count())


def share_cores(workers: int) -> None:
    """Limit the threads of torch in this process to an equal part of the cores."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // max(1, workers)))
