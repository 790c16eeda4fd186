"""A process for each GPU of this machine, started and watched by torchrun's own library."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ex4d_training.trainer import TrainingStopped

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
"""Variable that names where a process leaves its last words, if somebody reads them."""


def is_launched() -> bool:
    """Whether this process was started as one of several, by `launch`, `accelerate launch` or torchrun."""
    return "LOCAL_RANK" in os.environ


def launch(config: Path, *, processes: int, quiet: bool) -> None:
    """Train by a written configuration in several processes of this machine and wait for them.

    Raises:
        TrainingStopped: one of them failed or was killed, and the others were ended.
    """
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
        elastic_launch(settings, sys.executable)(*arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise TrainingStopped(_why(failure.message, rank, failure.exitcode)) from error


def _why(said: object, rank: int, exit_code: int) -> str:
    if isinstance(said, dict):
        return str(said["message"]).partition(": ")[2]  # without the class of the error
    return (
        f"the process of GPU {rank} was ended (exit code {exit_code}), and so were the others; the same command goes "
        "on from the last checkpoint"
    )
