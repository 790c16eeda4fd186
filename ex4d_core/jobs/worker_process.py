"""One process of the worker pool: how it is started, receives items, and ends with its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import attrs

from ex4d_core.errors import Ex4dError, PluginFailed, tracing, unexpected

Item = TypeVar("Item")
Result = TypeVar("Result")

Make = Callable[[int], Callable[[Item], Result]]
"""Makes the function that processes items in a process, from the number of the process."""

_GRACE = 5.0
"""Seconds that a process has to end before it is killed."""

_SAFE_PATH = "PYTHONSAFEPATH"
_CONTEXT = multiprocessing.get_context("spawn")


@attrs.frozen(kw_only=True)
class Done(Generic[Item, Result]):
    """An item with its result or error."""

    item: Item
    result: Result | None = None
    error: str = ""
    """One sentence, or '' on success."""
    is_crash: bool = False
    """Whether its process died each time."""
    is_last: bool = False
    """Whether its process must not be used again, as after an unexpected error, which can spoil the state of a GPU."""


class LastResult(Exception):
    """Raised with the result of an item after which the process must not be used again."""

    def __init__(self, result: Any) -> None:
        super().__init__(result)
        self.result = result


def process_item(act: Callable[[Item], Result], item: Item) -> Done[Item, Result]:
    """Return the result of an item, or its unexpected error.

    Raises:
        Ex4dError: of the function; it concerns all items.
    """
    try:
        return Done(item=item, result=act(item))
    except Ex4dError:
        raise
    except LastResult as last:
        return Done(item=item, result=last.result, is_last=True)
    except Exception as error:
        return Done(item=item, error=_sentence(error), is_last=True)


def start_process(number: int) -> tuple[BaseProcess, Connection]:
    """Start a worker process and return it with the connection on which it expects `make`, then items."""
    ours, theirs = _CONTEXT.Pipe()
    # Not a daemon, since a backbone may start processes of its own; it ends with this process all the same.
    process = _CONTEXT.Process(target=_serve, args=(theirs, number), name=f"ex4d-{number}")
    with _without_current_folder(), _interrupts_blocked():
        process.start()
    theirs.close()
    return process, ours


def exit_reason(process: BaseProcess) -> str:
    """Return how a process ended, such as 'was killed by SIGKILL'."""
    code = process.exitcode
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
        return f"was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")
    return f"ended with exit code {code}"


def join_or_kill(process: BaseProcess) -> None:
    """Wait until a process has ended; kill it after a few seconds."""
    process.join(_GRACE)
    if process.is_alive():
        process.kill()
        process.join()


def _serve(connection: Connection, number: int) -> None:
    """Receive `make`, then process items until the connection is closed or an item fails."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        act = connection.recv()(number)  # importing its modules can take long
        connection.send(None)
        healthy = True
        while healthy:
            done = process_item(act, connection.recv())
            connection.send(done)
            healthy = not done.is_last
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        is_ours = isinstance(error, Ex4dError)
        connection.send(error if is_ours else PluginFailed(f"a worker process cannot start: {_sentence(error)}"))


def _sentence(error: Exception) -> str:
    """Describe an unexpected error in one sentence; print its traceback if tracing."""
    if tracing():
        traceback.print_exception(error)
    return unexpected(error)


def _end_with_parent() -> None:
    """End this process as soon as its parent is killed, even in the middle of an item."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _without_current_folder() -> Iterator[None]:
    """Prevent processes that are started in the block from importing modules of the current folder.

    A spawned process is started with `python -c`, which searches the current folder first.
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
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C here, and in processes that are started in the block until they ignore it."""
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # its start would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
