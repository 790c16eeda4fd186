"""Launch of one process per GPU of this machine with torchelastic."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ex4d_core.command_exit import Stopped
from ex4d_training.trainer import TrainingStopped

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
"""Environment variable with the file in which a process reports its error."""

_RESUME = "run the same command again to resume from the last checkpoint"


def is_launched() -> bool:
    """Return whether this process was started by `launch`, `accelerate launch` or torchrun."""
    return "LOCAL_RANK" in os.environ


def launch(config: Path, *, processes: int, quiet: bool) -> None:
    """Train with a configuration file in several processes of this machine, and wait for them.

    They do not import modules of the current folder, which may contain downloads.

    Raises:
        TrainingStopped: a process failed or was killed, and the others were ended.
        Stopped: this process received a signal, and all were ended.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        run_id=str(os.getpid()),
        signals_to_handle=",".join(number.name for number in _stopping_signals()),
    )
    own = ("--parent", str(os.getpid()), *["--quiet"] * quiet)
    arguments = ("-P", "-m", "ex4d_training.worker", str(config), *own)
    try:
        with _quiet(), _own_handlers():
            elastic_launch(settings, sys.executable)(*arguments)
    except SignalException as error:
        raise Stopped(error.sigval) from error
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise TrainingStopped(_reason(failure.message, rank, failure.exitcode)) from error


def _reason(message: object, rank: int, exit_code: int) -> str:
    if isinstance(message, dict):
        return str(message["message"]).partition(": ")[2]  # without the class of the error
    return f"the process of GPU {rank} ended with exit code {exit_code}, and all others were ended; {_RESUME}"


def _stopping_signals() -> list[signal.Signals]:
    """Return the signals besides SIGINT that end all processes, except ignored ones, as under `nohup`."""
    known = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) != signal.SIG_IGN]


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Restore the signal handlers after the block; torchelastic replaces them."""
    handlers = {number: signal.getsignal(number) for number in _stopping_signals()}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # other threads cannot set handlers
            for number, handler in handlers.items():
                if handler is not None:  # None: not a Python handler
                    signal.signal(number, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log of torchelastic, whose errors are reported in one sentence."""
    logger, nowhere = logging.getLogger("torch.distributed.elastic"), logging.NullHandler()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(nowhere)
    try:
        yield
    finally:
        logger.removeHandler(nowhere)
        logger.propagate = propagate
