"""Where the losses of a run go: a file of JSON lines always, TensorBoard or Weights & Biases where asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ex4d_core.errors import InvalidConfig, OutputFailed
from ex4d_training.config import Tracker

Log = Callable[[int, Mapping[str, float]], None]
"""Called as `log(step, values)`."""


class Metrics:
    """Writes what it is told; a context manager that closes what it opened."""

    def __init__(self, folder: Path, tracker: Tracker) -> None:
        """Open the outputs; a file that is there is gone on with.

        Raises:
            InvalidConfig: what the tracker needs is not installed.
        """
        self._path = folder / "metrics.jsonl"
        self._close: Callable[[], Any] = lambda: None
        self._log: Log | None = None
        if tracker == "tensorboard":
            self._open_tensorboard(folder)
        elif tracker == "wandb":
            self._open_wandb(folder)

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

    def _open_tensorboard(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InvalidConfig("output.tracker is tensorboard, which is not installed; try: "
                                "pip install 'ex4d-training[tensorboard]'") from error  # fmt: skip
        writer: Any = SummaryWriter(str(folder / "tensorboard"))

        def log(step: int, values: Mapping[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        self._log, self._close = log, writer.close

    def _open_wandb(self, folder: Path) -> None:
        try:
            wandb = import_module("wandb")
        except ImportError as error:
            raise InvalidConfig("output.tracker is wandb, which is not installed; try: "
                                "pip install 'ex4d-training[wandb]'") from error  # fmt: skip
        run: Any = wandb.init(project="ex4d", dir=str(folder), resume="allow", id=folder.resolve().name)
        self._log = lambda step, values: run.log(dict(values), step=step)
        self._close = run.finish
