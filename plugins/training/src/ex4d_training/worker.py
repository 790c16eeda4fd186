"""Entry point of a training process: `accelerate launch -m ex4d_training.worker OUTPUT/config.toml`."""

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
"""Seconds to close files after a signal."""


def main() -> None:
    """Train with the configuration on the command line."""
    # Exit normally, so that open files are closed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    given = _arguments()
    if given.parent is not None:
        threading.Thread(target=_end_with, args=(given.parent,), daemon=True).start()
    error_handler = get_error_handler()
    error_handler.initialize()
    # Warning of FSDP; the output of the transformer is not modified in place.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
    quiet = given.quiet or os.environ.get("RANK", "0") != "0"
    try:
        config = make_train_config(read_config(given.config))
        from ex4d_training.run import train  # heavy imports

        train(config, reporter=make_reporter(quiet=quiet))
    except Exception as error:
        if tracing():
            sys.excepthook(type(error), error, error.__traceback__)
        reported = error if isinstance(error, Ex4dError) else TrainingStopped(unexpected(error))
        error_handler.record_exception(reported)
        if ERROR_FILE not in os.environ:  # otherwise the launcher prints it
            say(f"error: {reported}", err=True)
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ex4d_training.worker", description="Train in one of several processes.")
    parser.add_argument("config", type=Path, help="configuration file, such as config.toml of the output folder")
    parser.add_argument("--quiet", action="store_true", help="print only warnings")
    parser.add_argument("--parent", type=int, help="process id of the launcher; this process ends with it")
    return parser.parse_args()


def _end_with(parent: int) -> None:
    """End this process when its launcher was killed, so that the lock of the folder is released."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)  # a collective operation may block signals
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
