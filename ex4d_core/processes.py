"""Processes that end with this one, and a connection to each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

_GRACE = 5.0
"""Seconds that a process has to end before it is killed."""

_SAFE_PATH = "PYTHONSAFEPATH"
_CONTEXT = multiprocessing.get_context("spawn")

_starting = threading.Lock()
"""Two threads that start processes at once would restore the environment of each other."""


def start_process(serve: Callable[..., None], *arguments: Any, name: str) -> tuple[BaseProcess, Connection]:
    """Start a process and return it with the connection to it.

    Args:
        serve: called in the process with its end of the connection and the arguments; importable. It calls
            `end_with_parent` first.
        arguments: picklable.
        name: of the process.
    """
    ours, theirs = _CONTEXT.Pipe()
    # Not a daemon, since a component may start processes of its own; it ends with this process all the same.
    process = _CONTEXT.Process(target=serve, args=(theirs, *arguments), name=name)
    with _starting, _without_current_folder(), _interrupts_blocked():
        process.start()
    theirs.close()
    return process, ours


def end_with_parent() -> None:
    """Leave Ctrl-C to the parent of this process, and end as soon as the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


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
