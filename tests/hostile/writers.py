"""Commands that write, run to be disturbed; started from a process that has imported what they need."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import attrs
import psutil

from tests.helpers.forked import fork_command

from .calling import environment_of
from .rows import Ended
from .table import install_plugin
from .table_files import DEPTH, GOOD, PREPARE, TRAIN, calling, generating, setting


@attrs.frozen(kw_only=True)
class Writer:
    """A command that writes below `out`."""

    name: str
    arguments: tuple[str, ...]
    once: bool = False
    """Whether it refuses where its output is there."""
    alone: bool = False
    """Whether a second one in the same folder may be refused while the first works."""
    growing: tuple[str, ...] = ("run.json",)
    """Names of records that are whole at any time and have more in them at the end."""


WRITERS = (
    Writer(name="run", arguments=calling("run")),
    Writer(name="recon", arguments=calling("recon", GOOD, "--save-mesh", "first")),
    Writer(name="depth", arguments=calling("depth", GOOD, "--format", "png", "--format", "exr")),
    Writer(name="preview", arguments=calling("preview")),
    Writer(name="masks", arguments=calling("masks")),
    Writer(name="generate", arguments=generating()),
    Writer(name="cam convert", arguments=("cam", "convert", "{IN}/cam/good.json", "out/x", "--to", "colmap")),
    Writer(name="plugins new", arguments=("plugins", "new", "mine-two", "--role", "depth", "-o", "out"), once=True),
    Writer(name="fetch", arguments=("fetch", "mine", "--yes")),
    Writer(
        name="data download",
        arguments=("data", "download", "openvid", "--parts", "0", "--yes", "-o", "out"),
        alone=True,
    ),
    Writer(
        name="data prepare",
        arguments=(*PREPARE, "--data-path", "{IN}/texts/captions/good"),
        alone=True,
        growing=("manifest.json",),
    ),
    Writer(
        name="train",
        arguments=(*TRAIN, *setting("learning.steps=4", "output.save_every=1", "output.keep=9")),
        alone=True,
        growing=("metrics.jsonl",),
    ),
)
"""Every command that writes."""

BY_NAME = {writer.name: writer for writer in WRITERS}


def cameras(number: int) -> Writer:
    """Return `ex4d recon` along a path of its own."""
    return Writer(name="recon", arguments=("recon", GOOD, *DEPTH, "--cam", str(10 + number), "-o", "out"))


@attrs.frozen(eq=False)
class Started:
    """A command that runs."""

    process: ForkServerProcess
    place: Path
    began: float

    def wait(self, seconds: float = 120.0) -> Ended:
        """Return how it ended; one that does not is killed."""
        self.process.join(seconds)
        code = self.process.exitcode
        if code is None:
            self.signal(signal.SIGKILL)
            self.process.join()
        out, err = (
            (self.place / name).read_text(encoding="utf-8", errors="surrogateescape") for name in ("stdout", "stderr")
        )
        return Ended(code=code, out=out, err=err, seconds=time.monotonic() - self.began)

    def signal(self, number: int) -> None:
        """Send a signal to the command, and to nothing that it started."""
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, number)

    def wait_until_called(self) -> None:
        """Wait until the command line is called."""
        called = self.place / "called"
        while not called.exists() and self.process.is_alive():
            time.sleep(0.001)

    def left(self, seconds: float = 10.0) -> list[str]:
        """Return the processes of its session that are still there after so many seconds, and end them."""
        until = time.monotonic() + seconds
        while (found := self._session()) and time.monotonic() < until:
            time.sleep(0.02)
        names = [" ".join(each.cmdline()) for each in found if each.is_running()]
        for each in found:
            each.kill()
        return names

    def _session(self) -> list[psutil.Process]:
        assert self.process.pid is not None
        return [psutil.Process(number) for number in _of_session(self.process.pid)]


def _of_session(leader: int) -> Iterable[int]:
    for number in psutil.pids():
        try:
            if number != leader and os.getsid(number) == leader and psutil.Process(number).status() != "zombie":
                yield number
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue


class Stage:
    """Starts commands in a folder of inputs."""

    def __init__(self, inputs: Path, endpoint: str) -> None:
        self._inputs, self._endpoint = inputs, endpoint

    def start(self, writer: Writer, folder: Path, *, place: Path | None = None) -> Started:
        """Start a command in a folder; what it prints goes to files in `place`, by default beside the folder.

        Its home is in `place` too, but for the hub's cache, which is in the folder.
        """
        place = place or folder.with_name(f"{folder.name}.said")
        place.mkdir(parents=True, exist_ok=True)
        (place / "called").unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [argument.replace("{IN}", str(self._inputs)) for argument in writer.arguments]
        environment = environment_of(place / "home", self._endpoint, HF_HOME=str(folder / "out" / "hub"))
        _install(place / "home" / "plugins")
        began = time.monotonic()
        process = fork_command(arguments, folder=folder, environment=environment, place=place)
        return Started(process, place, began)


def _install(plugins: Path) -> None:
    if not any(plugins.iterdir()):
        install_plugin(plugins)
