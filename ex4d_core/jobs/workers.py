"""Worker processes that share a list of items; a process that fails or is killed is replaced.

`concurrent.futures` abandons all work when one process dies. `pebble.ProcessPool` replaces dead processes, but hides
errors of the initializer, keeps using a process after an error, and gives processes no number to select a GPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, Protocol

import attrs

from ex4d_core.errors import PluginFailed
from ex4d_core.jobs.worker_process import (
    Done,
    Item,
    Make,
    Result,
    process_item,
    start_worker,
)
from ex4d_core.processes import exit_reason, join_or_kill

ATTEMPTS = 3
"""Number of processes that an item may kill before it is given up, and of processes in a row that may fail to start."""


class Execute(Protocol):
    """Processes items by functions that are made once in each process, on this machine or on others."""

    def __call__(
        self, groups: Iterable[Sequence[Item]], make: Make[Item, Result]
    ) -> Iterator[Done[Item, Result]]:  # pragma: no cover
        """Yield each item with its result or error, in the order of completion.

        An `Ex4dError` stops all work. Any other error is the error of its item, and its process is replaced, since the
        state of a GPU is undefined after an error. A dead process is replaced too, and its item is tried again, but
        not without end.

        Args:
            groups: picklable items. The first one of a group is processed before the others of it are started.
            make: called in each process with its number, from 0; returns the function that processes an item.
                Importable.

        Raises:
            Ex4dError: raised by `make` or its function.
            PluginFailed: processes die while they start.
        """


def process_groups(
    groups: Iterable[Sequence[Item]], make: Make[Item, Result], *, workers: int
) -> Iterator[Done[Item, Result]]:
    """Process items on this machine, as described by `Execute`.

    Args:
        groups: the items.
        make: returns the function that processes an item.
        workers: number of processes; 0 processes the items in this process.
    """
    entries = [_Entry(item=group[0], later=tuple(map(_Entry, group[1:]))) for group in groups if group]
    if workers == 0:
        act = make(0) if entries else None
        for entry in entries:
            assert act is not None
            yield from (process_item(act, each.item) for each in (entry, *entry.later))
        return
    pool = _Pool(deque(entries), make, workers)
    try:
        yield from pool.results()
    finally:
        pool.stop()


@attrs.define(eq=False)
class _Entry(Generic[Item]):
    item: Item
    later: tuple[_Entry[Item], ...] = ()
    """The other items of its group."""
    deaths: int = 0
    """Number of processes that have died with it."""


@attrs.define(eq=False)
class _Worker(Generic[Item]):
    process: BaseProcess
    connection: Connection
    number: int
    is_ready: bool = False
    """Whether it has started."""
    entry: _Entry[Item] | None = None

    @property
    def is_idle(self) -> bool:
        return self.is_ready and self.entry is None


class _Pool(Generic[Item, Result]):
    """The processes and the items that wait for one."""

    def __init__(self, waiting: deque[_Entry[Item]], make: Make[Item, Result], count: int) -> None:
        self._waiting, self._make, self._count = waiting, make, count
        self._failed_starts = 0
        self._workers: dict[int, _Worker[Item]] = {}

    def results(self) -> Iterator[Done[Item, Result]]:
        while True:
            self._assign()
            busy = {worker.connection: worker for worker in self._workers.values() if not worker.is_idle}
            if not busy:
                return
            for connection in wait(list(busy)):
                yield from self._receive(busy[connection])  # type: ignore[index]  # wait is declared for other objects too

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.connection.close()  # which ends an idle process
            if not worker.is_idle:
                worker.process.terminate()
        for worker in self._workers.values():
            join_or_kill(worker.process)

    def _assign(self) -> None:
        """Hand out items to idle processes, and start further ones for the rest."""
        for worker in self._workers.values():
            if worker.is_idle and self._waiting:
                worker.entry = self._waiting.popleft()
                with suppress(BrokenPipeError, ConnectionResetError):  # it died; reading notices it
                    worker.connection.send(worker.entry.item)
        starting = sum(not worker.is_ready for worker in self._workers.values())
        free = [number for number in range(self._count) if number not in self._workers]
        for number in free[: max(0, len(self._waiting) - starting)]:
            process, connection = start_worker(number)
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.send(self._make)
            self._workers[number] = _Worker(process, connection, number)

    def _receive(self, worker: _Worker[Item]) -> Iterator[Done[Item, Result]]:
        """Handle a message of a process: it is ready (None), an item is done, or an error stops all work."""
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            yield from self._handle_death(worker)
            return
        if isinstance(message, Exception):
            raise message
        if message is None:
            worker.is_ready, self._failed_starts = True, 0
            return
        entry, worker.entry = worker.entry, None
        assert entry is not None
        if message.is_last:
            self._end(worker)
        self._waiting.extendleft(reversed(entry.later))
        yield message

    def _handle_death(self, worker: _Worker[Item]) -> Iterator[Done[Item, Result]]:
        self._end(worker)
        reason, entry = exit_reason(worker.process), worker.entry
        if entry is None:
            self._failed_starts += 1
            if self._failed_starts == ATTEMPTS:
                raise PluginFailed(f"a worker process {reason} while it started; free memory, or reduce --workers")
            return
        entry.deaths += 1
        if entry.deaths < ATTEMPTS:
            self._waiting.appendleft(entry)
            return
        self._waiting.extendleft(reversed(entry.later))
        yield Done(item=entry.item, error=f"its process {reason}", is_crash=True)

    def _end(self, worker: _Worker[Item]) -> None:
        del self._workers[worker.number]
        worker.connection.close()
        join_or_kill(worker.process)
