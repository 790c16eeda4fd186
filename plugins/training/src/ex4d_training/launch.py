"""A process for each GPU of this machine, started and watched by torchrun's own library."""

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
"""Variable that names where a process leaves its last words, if somebody reads them."""

_GO_ON = "the same command goes on from the last checkpoint"


def is_launched() -> bool:
    """Whether this process was started as one of several, by `launch`, `accelerate launch` or torchrun."""
    return "LOCAL_RANK" in os.environ


def launch(config: Path, *, processes: int, quiet: bool) -> None:
    """Train by a written configuration in several processes of this machine and wait for them.

    Their modules are those that are installed: the current folder, which may be a download, is not searched.

    Raises:
        TrainingStopped: one of them failed or was killed, and the others were ended.
        Stopped: a signal asked this one to end, and all were ended.
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
        raise TrainingStopped(_why(failure.message, rank, failure.exitcode)) from error


def _why(said: object, rank: int, exit_code: int) -> str:
    if isinstance(said, dict):
        return str(said["message"]).partition(": ")[2]  # without the class of the error
    return f"the process of GPU {rank} was ended (exit code {exit_code}), and so were the others; {_GO_ON}"


def _stopping_signals() -> list[signal.Signals]:
    """Return what ends the processes and this one, beside Ctrl-C; not what was to be ignored, as `nohup` has it."""
    known = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) != signal.SIG_IGN]


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Give signals back to whom they belonged: torchrun's library takes them for good."""
    handlers = {number: signal.getsignal(number) for number in _stopping_signals()}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # elsewhere it takes none
            for number, handler in handlers.items():
                if handler is not None:  # None: one that is not Python's
                    signal.signal(number, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torchrun's library from telling, in several lines with places in its code, what is told in a sentence."""
    logger, nowhere = logging.getLogger("torch.distributed.elastic"), logging.NullHandler()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(nowhere)
    try:
        yield
    finally:
        logger.removeHandler(nowhere)
        logger.propagate = propagate
