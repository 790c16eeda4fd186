"""Commands in processes of their own, forked from one that has imported the libraries: a new one takes seconds to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_ENVIRONMENT = dict(os.environ)

PRELOADED = (
    *("typer_cli", "torch", "numba", "av", "cv2", "rich.console", "scipy.interpolate", "scipy.stats", "torch._dynamo"),
    *("ex4d_core.runs.batch", "ex4d_core.builtin.render_zbuffer", "tests.helpers.forked"),
)
"""Not huggingface_hub, nor what imports it: it reads the environment when it is imported."""


def fork(function: Callable[..., object], *arguments: Any) -> ForkServerProcess:
    """Start a process that calls a function of a module that does not take long to import."""
    process = forking().Process(target=function, args=arguments)
    process.start()
    return process


def forking() -> Any:
    """Return a context of `multiprocessing` to put in the place of one that spawns, where start-up is not tested."""
    serve_forks(*PRELOADED)
    return multiprocessing.get_context("forkserver")


_served: tuple[int | None, tuple[str, ...]] = (None, ())
"""The process that new ones are forked from, and the modules that it was told to import."""


def serve_forks(*modules: str) -> None:
    """Have processes forked from one that imports these modules, and no other ones that tests before wanted.

    It starts in the folder and environment in which the tests did, not in those of the test that needs it first.
    """
    global _served
    server = forkserver._forkserver
    if server._forkserver_pid is not None and _served == (server._forkserver_pid, modules):
        return
    server._stop()
    server.set_forkserver_preload(list(modules))
    with _as_at_first():
        server.ensure_running()
    _served = server._forkserver_pid, modules


@contextmanager
def _as_at_first() -> Iterator[None]:
    now = dict(os.environ)
    os.environ.clear()
    os.environ.update(_ENVIRONMENT)
    try:
        with chdir(_ROOT):
            yield
    finally:
        os.environ.clear()
        os.environ.update(now)


def fork_command(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], place: Path
) -> ForkServerProcess:
    """Start `ex4d` in a folder; what it prints goes to the files `stdout` and `stderr` in `place`."""
    return fork(_call, list(arguments), str(folder), dict(environment), str(place))


class ForkedCommand:
    """A forked `ex4d` that is used as a `subprocess.Popen` is."""

    def __init__(self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], place: Path) -> None:
        self._process = fork_command(arguments, folder=folder, environment=environment, place=place)
        self._place = place

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None as long as it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the same."""
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """Wait until it ends; return what it wrote to stdout and stderr."""
        self._process.join()
        out, err = ((self._place / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        return out, err

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self._process.is_alive() and self._process.pid:
            os.kill(self._process.pid, number)

    def __enter__(self) -> ForkedCommand:
        return self

    def __exit__(self, *_: object) -> None:
        self.send_signal(signal.SIGKILL)
        self._process.join()


def _call(arguments: list[str], folder: str, environment: Mapping[str, str], place: str) -> None:
    """Call the command line as a process of its own would."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[1:1] = environment["PYTHONPATH"].split(os.pathsep)
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(f"{place}/{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(file, number)
    import typer_cli

    sys.argv[:] = ["ex4d", *arguments]
    Path(place, "called").touch()
    typer_cli.main()
