"""Processes that work through a list, and what happens when one of them is killed.

`concurrent.futures` gives all of its work up when one process dies, and does not say at which item it was.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

import attrs

from ex4d_core.errors import Ex4dError, PluginFailed, tracing, unexpected

Item = TypeVar("Item")
Result = TypeVar("Result")

_SAFE_PATH = "PYTHONSAFEPATH"

ATTEMPTS = 2
"""Times that an item may be at work in a process that dies."""


@attrs.frozen(kw_only=True)
class Done(Generic[Item, Result]):
    """An item and what became of it."""

    item: Item
    result: Result | None = None
    error: str = ""
    """One sentence, or '' where it went well."""


@attrs.define(eq=False)
class _Worker(Generic[Item]):
    process: BaseProcess
    connection: Connection
    item: Item | None = None


def work_through(
    items: Iterable[Item],
    make: Callable[[int], Callable[[Item], Result]],
    *,
    workers: int,
) -> Iterator[Done[Item, Result]]:
    """Yield what becomes of each item, in the order in which they are finished.

    An error of ours ends all of it. Any other is told and the others go on, in a fresh process: what a GPU says after
    an error may be wrong, or nothing but that error again. An item whose process died twice is told too.

    Args:
        items: hashable values that can be sent to a process.
        make: called in each process with its number, from 0; returns the function of an item. It must be importable.
        workers: number of processes; 0 works in this one.

    Raises:
        Ex4dError: what a process raised.
        PluginFailed: processes die before they take an item.
    """
    waiting = deque(items)
    if workers == 0 and waiting:
        act = make(0)
        yield from (_acted(act, item) for item in waiting)
        return
    pool = _Pool(waiting, make)
    try:
        pool.start(workers)
        yield from pool.results()
    finally:
        pool.stop()


def _acted(act: Callable[[Item], Result], item: Item) -> Done[Item, Result]:
    try:
        return Done(item=item, result=act(item))
    except Ex4dError:
        raise
    except Exception as error:
        return Done(item=item, error=_told(error))


def _told(error: Exception) -> str:
    """Return one sentence on an error that nobody foresaw; its traceback stays in this process."""
    if tracing():
        traceback.print_exception(error)
    return unexpected(error)


class _Pool(Generic[Item, Result]):
    def __init__(self, waiting: deque[Item], make: Callable[[int], Callable[[Item], Result]]) -> None:
        self._waiting = waiting
        self._make = make
        self._deaths: dict[Item, int] = {}
        self._workers: dict[int, _Worker[Item]] = {}
        self._context = multiprocessing.get_context("spawn")

    def start(self, count: int) -> None:
        for number in range(min(count, len(self._waiting))):
            self._start(number)

    def _start(self, number: int) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, number), daemon=True)
        with _without_current_folder(), _interrupts_wait():
            process.start()
        theirs.close()
        with suppress(BrokenPipeError, ConnectionResetError):  # it was killed, which is noticed like any end
            ours.send(self._make)
        self._workers[number] = _Worker(process, ours)

    def results(self) -> Iterator[Done[Item, Result]]:
        while self._workers:
            ready = wait([worker.connection for worker in self._workers.values()])
            for number, worker in list(self._workers.items()):
                if worker.connection in ready:
                    yield from self._heard(number, worker)

    def _heard(self, number: int, worker: _Worker[Item]) -> Iterator[Done[Item, Result]]:
        try:
            told = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            yield from self._died(number, worker)
            return
        if isinstance(told, Exception):
            raise told
        if told is not None and told.error:
            self._end(number)
            self._go_on(number)
            yield told
            return
        if told is not None:
            yield told
        worker.item = self._waiting.popleft() if self._waiting else None
        if worker.item is None:
            self._end(number)
            return
        try:
            worker.connection.send(worker.item)
        except (BrokenPipeError, ConnectionResetError):
            yield from self._died(number, worker)

    def _died(self, number: int, worker: _Worker[Item]) -> Iterator[Done[Item, Result]]:
        self._end(number)
        how = _ending(worker.process)
        item = worker.item
        if item is None:
            raise PluginFailed(
                f"a process that was to prepare videos {how} while it started; free memory, or use fewer"
            )
        self._deaths[item] = self._deaths.get(item, 0) + 1
        if self._deaths[item] < ATTEMPTS:
            self._waiting.append(item)
        else:
            yield Done(item=item, error=f"the process that worked on it {how}, twice")
        self._go_on(number)

    def _go_on(self, number: int) -> None:
        """Start another process in the place of one that ended."""
        if self._waiting:
            self._start(number)

    def _end(self, number: int) -> None:
        worker = self._workers.pop(number)
        worker.connection.close()
        worker.process.join(timeout=10)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.process.kill()
        for number in list(self._workers):
            self._end(number)


def _serve(connection: Connection, number: int) -> None:
    """Receive what to do and answer items until the other end hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that asks
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        act = connection.recv()(number)  # the imports for it may take long
        connection.send(None)
        healthy = True
        while healthy:
            done = _acted(act, connection.recv())
            connection.send(done)
            healthy = not done.error
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        ours = isinstance(error, Ex4dError)
        connection.send(error if ours else PluginFailed(f"videos cannot be prepared: {_told(error)}"))


def _end_with_parent() -> None:
    """End this process as soon as the one that asks is killed, and not once an item is done."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _without_current_folder() -> Iterator[None]:
    """Keep processes that are started in the block from importing modules of the current folder.

    Python is started with a command there, for which it searches the current folder first, whatever this process does.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Let Ctrl-C wait in processes that are started in the block, until they ignore it, and in this one meanwhile."""
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # a start that has to do it lets Ctrl-C through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ending(process: BaseProcess) -> str:
    code = process.exitcode
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
        return f"was killed by {name}" + (" (is the memory full?)" if -code == signal.SIGKILL else "")
    return f"ended with exit code {code}"


def default_workers() -> int:
    """Return how many processes suit this machine: one for each GPU, one without any."""
    import torch

    return max(1, torch.cuda.device_count())


def share_cores(workers: int) -> None:
    """Let torch, in one of several processes on one machine, use its share of the cores."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // max(1, workers)))
