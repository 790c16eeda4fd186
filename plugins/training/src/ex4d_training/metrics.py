"""Metrics of a run: a file of JSON lines, and optionally TensorBoard or Weights & Biases."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from ex4d_core.errors import InvalidConfig, OutputFailed, one_line
from ex4d_core.files import atomic_write
from ex4d_core.reading import parse_json, read_bytes
from ex4d_training.config import Tracker
from ex4d_training.records import of_texts

METRICS = "metrics.jsonl"

_MOST = 2**30
"""Limit of bytes of the file; ten million lines are smaller."""

Log = Callable[[int, Mapping[str, float]], None]
"""Called as `log(step, values)`."""


class Metrics:
    """Writes metrics; a context manager that closes the tracker.

    Args:
        folder: output folder of the run.
        tracker: tracker in addition to the file.
        after: step that the run resumes from; entries of later steps are removed.

    Raises:
        InvalidConfig: the package of the tracker is not installed, or does not start.
        InvalidInput: an existing file cannot be read.
        OutputFailed: the file cannot be written.
    """

    def __init__(self, folder: Path, tracker: Tracker, *, after: int) -> None:
        self._path = folder / METRICS
        self._close: Callable[[], Any] = lambda: None
        self._log: Log | None = None
        if tracker == "tensorboard":
            self._open_tensorboard(folder, after)
        elif tracker == "wandb":
            self._open_wandb(folder)
        _drop_lines(self._path, after=after)

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step.

        Raises:
            OutputFailed: the file cannot be written.
        """
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
        except OSError as error:
            raise OutputFailed(f"{self._path} cannot be written: {error.strerror or error}") from error
        if self._log is not None:
            self._log(step, values)

    def _open_tensorboard(self, folder: Path, after: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise _not_installed("tensorboard") from error
        writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=after + 1)

        def log(step: int, values: Mapping[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        self._log, self._close = log, writer.close

    def _open_wandb(self, folder: Path) -> None:
        try:
            wandb = import_module("wandb")
        except ImportError as error:
            raise _not_installed("wandb") from error
        try:
            with _empty_input():
                run: Any = wandb.init(project="ex4d", dir=str(folder), resume="allow", id=folder.resolve().name)
        except Exception as error:  # no account, no network, or an invalid name
            raise InvalidConfig(
                f"output.tracker is wandb, which does not start: {one_line(error)}; run `wandb login`, or set "
                "WANDB_MODE=offline"
            ) from error
        self._log = lambda step, values: run.log(dict(values), step=step)
        self._close = run.finish


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Return the metrics of a run, oldest first; invalid lines, such as truncated ones, are skipped.

    Raises:
        InvalidInput: the file cannot be read.
    """
    return [values for line in _lines(folder / METRICS) if (values := _values(line))]


def _lines(path: Path) -> list[bytes]:
    """Return the lines of a file with their line ends, if it exists."""
    if not os.path.lexists(path):
        return []
    return read_bytes(path, "metrics of a run", most=_MOST).splitlines(keepends=True)


def _values(line: bytes) -> dict[str, float]:
    """Return the values of a line; empty if the line is invalid."""
    try:
        values = of_texts(parse_json(line), "a line")
    except ValueError:
        return {}
    numbers = all(type(value) in (int, float) for value in values.values())
    return values if numbers and type(values.get("step")) is int else {}


def _drop_lines(path: Path, *, after: int) -> None:
    """Remove lines of steps later than `after`, which are repeated, and a truncated last line."""
    lines = _lines(path)
    kept = [line for line in lines if _values(line).get("step", 0) <= after]
    if kept and not kept[-1].endswith(b"\n"):
        kept[-1:] = [kept[-1] + b"\n"] if _values(kept[-1]) else []
    if kept != lines:
        with atomic_write(path) as temporary:
            temporary.write_bytes(b"".join(kept))


@contextmanager
def _empty_input() -> Iterator[None]:
    """Prevent a library from waiting for standard input."""
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before


def _not_installed(name: str) -> InvalidConfig:
    return InvalidConfig(f"output.tracker is {name}, which is not installed; try: pip install 'ex4d-training[{name}]'")
