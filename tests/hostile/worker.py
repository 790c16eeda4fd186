"""One process that runs many commands, one after the other: `python -m tests.hostile.worker IN OUT`.

It reads a line of JSON for each command from the descriptor IN and answers with one on OUT. Importing torch once
instead of a thousand times is what lets a table of a thousand rows run in minutes.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOST_MEMORY = 4 * 2**30
"""Bytes of data: a bomb ends in an error instead of a machine without memory."""


def main() -> None:
    """Answer until nothing more is asked."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asked, answers = (os.fdopen(int(number), mode) for number, mode in zip(sys.argv[1:], "rw", strict=True))
    for line in asked:
        answers.write(json.dumps(_run(json.loads(line))) + "\n")
        answers.flush()


def _run(task: dict[str, Any]) -> dict[str, Any]:
    os.chdir(task["folder"])
    before, started = _reset_peak(), time.monotonic()
    with tempfile.TemporaryFile(dir=task["scratch"]) as out, tempfile.TemporaryFile(dir=task["scratch"]) as err:
        with _interrupted(task["interrupt"], out.fileno()):
            code = _called(task["arguments"], out.fileno(), err.fileno())
        texts = [_text(file) for file in (out, err)]
    seconds = time.monotonic() - started
    return {"code": code, "out": texts[0], "err": texts[1], "seconds": seconds, "grown": _peak() - before}


@contextmanager
def _interrupted(seconds: float, out: int) -> Iterator[None]:
    """Let Ctrl-C come so many seconds after the command in the block has printed an address; 0 never."""
    ended = threading.Event()

    def interrupt() -> None:
        while not ended.wait(0.05):
            if b"http://" in os.pread(out, 2**16, 0) and not ended.wait(seconds):
                os.kill(os.getpid(), signal.SIGINT)
                return

    thread = threading.Thread(target=interrupt)
    if seconds:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if seconds:
            thread.join()


def _called(arguments: list[str], out: int, err: int) -> int:
    """Call the command line as a process of its own would, and return its exit code."""
    import typer_cli

    with tempfile.TemporaryFile() as answers:
        answers.write(b"y\n" * 100)  # what asks for leave to run code gets it
        answers.seek(0)
        os.dup2(answers.fileno(), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # it is the process's own
    try:
        typer_cli.main(arguments)
        code: Any = 0
    except SystemExit as stop:
        code = stop.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
            code = 1
    except BaseException:  # whatever a process of its own would end with
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return 0 if code is None else int(code)


def _text(file: Any) -> str:
    file.seek(0)
    data: bytes = file.read(2**22)
    return data.decode("utf-8", errors="surrogateescape")


def _reset_peak() -> int:
    """Forget the peak of memory, and return how much is used now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
