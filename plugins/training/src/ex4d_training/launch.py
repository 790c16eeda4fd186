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

from ex4d_training.trainer import TrainingStopped

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
"""Variable that names where a process leaves its last words, if somebody reads them."""

_GO_ON = "the same command goes on from the last checkpoint"


def is_launched() -> bool:
    """Whether this process was started as one of several, by `launch`, `accelerate launch` or torchrun."""
    return "LOCAL_RANK" in os.environ


def launch(config: Path, *, processes: int, quiet: bool) -> None:
    """Train by a written configuration in several processes of this machine and wait for them.

    Raises:
        TrainingStopped: one of them failed or was killed, or this one was asked to end, and the others were ended.
        KeyboardInterrupt: somebody pressed Ctrl-C; all of them were ended.
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
    )
    arguments = ("-m", "ex4d_training.worker", str(config), *["--quiet"] * quiet)
    try:
        with _quiet(), _own_handlers():
            elastic_launch(settings, sys.executable)(*arguments)
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from error
        raise TrainingStopped(f"{error.sigval.name} came, so all processes were ended; {_GO_ON}") from error
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise TrainingStopped(_why(failure.message, rank, failure.exitcode)) from error


def _why(said: object, rank: int, exit_code: int) -> str:
    if isinstance(said, dict):
        return str(said["message"]).partition(": ")[2]  # without the class of the error
    return f"the process of GPU {rank} was ended (exit code {exit_code}), and so were the others; {_GO_ON}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torchrun's library from telling, in several lines with places in its code, what is told in a sentence."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)  # some of its loggers have levels of their own
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Give signals back to whom they belonged: torchrun's library takes some of them for good."""
    taken = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in taken}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # elsewhere it takes none
            for number, handler in handlers.items():
                signal.signal(number, handler)
