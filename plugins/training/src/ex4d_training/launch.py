"""A process for each GPU, started and watched by torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ex4d_training.trainer import TrainingStopped


def is_launched() -> bool:
    """Whether this process was started as one of several, by `launch`, `accelerate launch` or torchrun."""
    return "LOCAL_RANK" in os.environ


def launch(config: Path, *, processes: int) -> None:
    """Train by a written configuration in several processes of this machine and wait for them.

    Raises:
        TrainingStopped: one of them failed or was killed, and the others were ended.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    ended = subprocess.run([*command, "-m", "ex4d_training.worker", str(config)], check=False)
    if ended.returncode != 0:
        raise TrainingStopped(
            f"one of the {processes} training processes failed or was killed (its message is above), so all were "
            "ended; the same command goes on from the last checkpoint"
        )
