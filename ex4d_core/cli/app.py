"""Entry point of the `ex4d` command line. The commands are in `ex4d_core.cli.commands`, which is imported on demand."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from ex4d_core import command_exit

# Threads of OpenMP spin while they wait for each other; where cores are few or shared that costs torch a hundredfold
# (a mesh took 640 ms instead of 7). It is read once, when torch is imported, and what the user set is kept.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Stages that need much of the GPU one after the other otherwise leave it in pieces too small for the next. Weights that
# wait in main memory are page-locked by eight threads: 7 s for the 24 GB of Wan 14B instead of 23.
os.environ.setdefault(
    "PYTORCH_ALLOC_CONF",
    "expandable_segments:True,pinned_use_cuda_host_register:True,pinned_num_register_threads:8",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; `ex4d_core.command_exit` says how each command ends, those of plugins included."""
    if arguments is None:
        command_exit.run_process(lambda: _call(sys.argv[1:]))
    sys.exit(command_exit.exit_code(lambda: _call(arguments)))


def _call(arguments: Sequence[str]) -> int:
    from ex4d_core.cli.commands import call  # it takes a moment, in which Ctrl-C may come

    return call(arguments)


def __getattr__(name: str) -> Any:
    """Return the Typer app, which is imported when it is asked for."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ex4d_core.cli.commands import app

    return app
