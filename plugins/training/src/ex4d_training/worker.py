"""One of several training processes: `accelerate launch -m ex4d_training.worker OUTPUT/config.toml`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from ex4d_core.cli.kit import make_reporter
from ex4d_core.config import read_config
from ex4d_core.errors import Ex4dError, tracing, unexpected
from ex4d_core.terminal import say
from ex4d_training.config import make_train_config
from ex4d_training.launch import ERROR_FILE
from ex4d_training.trainer import TrainingStopped

_PATIENCE = 10.0
"""Seconds that a process has to close its files once it is asked to end."""


def main() -> None:
    """Train by the configuration that is named; `--quiet` says nothing but warnings."""
    # What ends all processes lets this one close what it writes to.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    given = _arguments()
    if given.parent is not None:
        threading.Thread(target=_end_with, args=(given.parent,), daemon=True).start()
    last_words = get_error_handler()
    last_words.initialize()
    # Of FSDP: nothing here changes what the transformer returns.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
    quiet = given.quiet or os.environ.get("RANK", "0") != "0"
    try:
        config = make_train_config(read_config(given.config))
        from ex4d_training.run import train  # what it needs is heavy

        train(config, reporter=make_reporter(quiet=quiet))
    except Exception as error:
        if tracing():
            sys.excepthook(type(error), error, error.__traceback__)
        told = error if isinstance(error, Ex4dError) else TrainingStopped(unexpected(error))
        last_words.record_exception(told)
        if ERROR_FILE not in os.environ:  # nobody else tells it
            say(f"error: {told}", err=True)
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ex4d_training.worker", description="Train in one of several processes.")
    parser.add_argument("config", type=Path, help="the configuration, as it is written into the output folder")
    parser.add_argument("--quiet", action="store_true", help="say nothing but warnings")
    parser.add_argument("--parent", type=int, help="number of the process that started this one, to end with it")
    return parser.parse_args()


def _end_with(parent: int) -> None:
    """End this process once the one that started it was killed: nobody else would, and it holds the folder's lock."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)  # it may wait for others that have ended, where no signal is handled
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
