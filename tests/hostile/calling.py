"""Running commands: many in one process that is replaced where one hangs, or each in a process of its own."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .rows import Ended

ROOT = Path(__file__).parents[2]

WITHOUT_ROOT = "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"
"""What has a process of root obey permissions as one of any other user does."""


def obeying_permissions() -> list[str]:
    """Return what a command is started with so that permissions hold for it.

    Raises:
        FileNotFoundError: the user is root and setpriv is not installed.
    """
    if os.geteuid() != 0:
        return []
    found = shutil.which("setpriv")
    if found is None:
        raise FileNotFoundError("setpriv")
    return [found, *WITHOUT_ROOT]


def environment_of(home: Path, endpoint: str, **more: str) -> dict[str, str]:
    """Return the environment of commands: a home of their own, and a hub on this machine."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    own = {
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "HF_HOME": str(home / "hub"),
        "HF_ENDPOINT": endpoint,
        "XDG_CACHE_HOME": str(home / "cache"),
        "NUMBA_CACHE_DIR": str(Path.home() / ".cache" / "numba"),
        "MPLCONFIGDIR": str(home / "cache" / "matplotlib"),
        "PYTHONPATH": os.pathsep.join([str(home / "plugins"), str(ROOT), *_own_path()]),
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
    }
    for name in ("tmp", "cache", "plugins"):
        (home / name).mkdir(parents=True, exist_ok=True)
    return {**kept, **own, **more}


def _own_path() -> list[str]:
    return [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]


class Worker:
    """A process that runs commands one after the other, replaced by another where one does not end."""

    def __init__(self, environment: Mapping[str, str], scratch: Path) -> None:
        self._environment, self._scratch = dict(environment), scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._ask: Any = None
        self._answer: Any = None

    def run(self, arguments: Sequence[str], folder: Path, *, seconds: float, interrupt: float = 0.0) -> Ended:
        """Run a command in a folder, for at most so many seconds."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        task = {
            "arguments": list(arguments),
            "folder": str(folder),
            "scratch": str(self._scratch),
            "interrupt": interrupt,
        }
        started = time.monotonic()
        with suppress(BrokenPipeError):  # what it died of is said below
            self._ask.write(json.dumps(task).encode() + b"\n")
            self._ask.flush()
        ready, *_ = select.select([self._answer], [], [], seconds)
        line = self._answer.readline() if ready else b""
        if line:
            return Ended(**json.loads(line))
        died = self._process.wait(timeout=10) if ready and self._process else None
        self.close()
        text = f"the process ended with {died}" if ready else ""
        return Ended(code=died, out="", err=text, seconds=time.monotonic() - started)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            for pipe in (self._ask, self._answer):
                with suppress(BrokenPipeError):
                    pipe.close()
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # what it started, too
            self._process.wait()
            self._process = None

    def _start(self) -> None:
        asked, self_ask = os.pipe()
        self_answer, answers = os.pipe()
        with (self._scratch / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*obeying_permissions(), sys.executable, "-m", "tests.hostile.worker", str(asked), str(answers)],
                cwd=ROOT,
                env=self._environment,
                pass_fds=(asked, answers),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        os.close(asked)
        os.close(answers)
        self._ask, self._answer = os.fdopen(self_ask, "wb"), os.fdopen(self_answer, "rb")


def run_alone(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], *, seconds: float, redirection: str = ""
) -> Ended:
    """Run `ex4d` in a process of its own, for at most so many seconds."""
    started = time.monotonic()
    command = [*obeying_permissions(), sys.executable, "-P", "-m", "typer_cli", *arguments]
    if redirection:
        command = ["bash", "-c", f'set -o pipefail; "$@" {redirection}', "bash", *command]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            code = None
    texts = [data.decode("utf-8", errors="surrogateescape") for data in (out, err)]
    return Ended(code=code, out=texts[0], err=texts[1], seconds=time.monotonic() - started)
