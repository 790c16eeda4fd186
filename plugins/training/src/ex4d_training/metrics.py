"""Where the losses of a run go: a file of JSON lines always, TensorBoard or Weights & Biases where asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ex4d_core.errors import InvalidConfig, OutputFailed
from ex4d_core.files import replacing
from ex4d_training.config import Tracker

METRICS = "metrics.jsonl"

Log = Callable[[int, Mapping[str, float]], None]
"""Called as `log(step, values)`."""


class Metrics:
    """Writes what it is told; a context manager that closes what it opened.

    Args:
        folder: of the run.
        tracker: where values go besides the file.
        after: the step that the run goes on from; what an earlier one said of later steps is dropped.

    Raises:
        InvalidConfig: what the tracker needs is not installed.
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
        """Write a step's values.

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
        run: Any = wandb.init(project="ex4d", dir=str(folder), resume="allow", id=folder.resolve().name)
        self._log = lambda step, values: run.log(dict(values), step=step)
        self._close = run.finish


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Return what was written of a run, oldest first; a line that a kill cut off is left out."""
    path = folder / METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _drop_lines(path: Path, *, after: int) -> None:
    """Leave what a file says of the steps up to one."""
    if path.is_file():
        kept = [line for line in read_metrics(path.parent) if line["step"] <= after]
        with replacing(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


def _not_installed(name: str) -> InvalidConfig:
    return InvalidConfig(f"output.tracker is {name}, which is not installed; try: pip install 'ex4d-training[{name}]'")
