"""One of several training processes: `accelerate launch -m ex4d_training.worker OUTPUT/config.toml`."""

from __future__ import annotations

import sys
from pathlib import Path

from ex4d_core.config import read_config
from ex4d_core.console import ConsoleReporter
from ex4d_core.errors import Ex4dError
from ex4d_training.config import make_train_config
from ex4d_training.run import train


def main() -> None:
    """Train by the configuration that is named."""
    try:
        train(make_train_config(read_config(Path(sys.argv[1]))), reporter=ConsoleReporter())
    except Ex4dError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
