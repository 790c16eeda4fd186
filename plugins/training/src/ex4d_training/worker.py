"""One of several training processes: `accelerate launch -m ex4d_training.worker OUTPUT/config.toml`."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from ex4d_core.config import read_config
from ex4d_core.console import ConsoleReporter
from ex4d_core.errors import Ex4dError
from ex4d_training.config import make_train_config
from ex4d_training.launch import ERROR_FILE


def main() -> None:
    """Train by the configuration that is named; `--quiet` says nothing but warnings."""
    # What ends all processes lets this one close what it writes to.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    last_words = get_error_handler()
    last_words.initialize()
    # Of FSDP: nothing here changes what the transformer returns.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
    quiet = "--quiet" in sys.argv or os.environ.get("RANK", "0") != "0"
    try:
        config = make_train_config(read_config(Path(sys.argv[1])))
        from ex4d_training.run import train  # what it needs is heavy

        train(config, reporter=ConsoleReporter(quiet=quiet))
    except Ex4dError as error:
        last_words.record_exception(error)
        sys.exit(1 if ERROR_FILE in os.environ else f"error: {error}")
    except Exception as error:
        last_words.record_exception(error)
        raise


if __name__ == "__main__":
    main()
