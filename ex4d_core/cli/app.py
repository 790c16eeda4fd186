"""Entry point of the `ex4d` command line. The commands are in `ex4d_core.cli.commands`, which is imported on demand."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from ex4d_core import command_exit
from ex4d_core.imports import without_collections

# Expandable segments avoid fragmentation between stages that use most of the GPU memory. Eight threads page-lock
# weights in main memory: 7 s for the 24 GB of Wan 14B instead of 23 s.
os.environ.setdefault(
    "PYTORCH_ALLOC_CONF",
    "expandable_segments:True,pinned_use_cuda_host_register:True,pinned_num_register_threads:8",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; `ex4d_core.command_exit` handles the end of all commands."""
    if arguments is None:
        command_exit.run_process(lambda: _call(sys.argv[1:]))
    sys.exit(command_exit.exit_code(lambda: _call(arguments)))


def _call(arguments: Sequence[str]) -> int:
    with without_collections():
        from ex4d_core.cli.commands import call  # a slow import, during which Ctrl-C may arrive

    return call(arguments)


def __getattr__(name: str) -> Any:
    """Import the Typer app on first use."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ex4d_core.cli.commands import app

    return app
