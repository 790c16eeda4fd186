"""The record of losses that a run leaves, and the trackers that it can tell."""

from __future__ import annotations

import io
import json
import os
import sys
import types
from pathlib import Path

import pytest

from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_training.config import TrainConfig
from ex4d_training.metrics import METRICS, Metrics, read_metrics
from ex4d_training.run import train


def folder_of(config: TrainConfig) -> Path:
    return Path(config.output.dir)


def test_metrics_lose_nothing_that_is_not_of_later_steps(stopped, config):
    path = folder_of(stopped) / METRICS
    first, second = path.read_text().splitlines()
    odd = ["[" * 1000, "9" * 5000, "[1]", '{"step": "a"}', '{"step": 1, "loss": NaN}', "\x1b[31m"]
    path.write_text("\n".join([*odd, first, '{"step": 9, "loss": 1.0}', second]) + '\n{"step": 3, "lo')
    assert [line["step"] for line in read_metrics(folder_of(stopped))] == [1, 9, 2]
    train(config(learning={"steps": 3}))
    lines = path.read_text().splitlines()
    assert lines[:-1] == [*odd, first, second]
    assert json.loads(lines[-1])["step"] == 3


def test_a_last_line_of_metrics_without_an_end_stays(stopped, config):
    path = folder_of(stopped) / METRICS
    path.write_text(path.read_text().rstrip())
    train(config(learning={"steps": 3}))
    assert [line["step"] for line in read_metrics(folder_of(stopped))] == [1, 2, 3]


def test_metrics_that_are_a_pipe_are_refused(stopped, config):
    path = folder_of(stopped) / METRICS
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InvalidInput, match=r"metrics.jsonl is a named pipe"):
        train(config())


def test_a_tracker_asks_no_questions(tmp_path, monkeypatch):
    asked = []
    fake = types.ModuleType("wandb")
    fake.init = lambda **_: asked.append(input("key? "))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    stdin = io.StringIO("y\n")
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(InvalidConfig, match=r"wandb, which does not start: EOFError.*; run `wandb login`"):
        Metrics(tmp_path, "wandb", after=0)
    assert (asked, stdin.read()) == ([], "y\n")


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb"])
def test_a_tracker_that_is_not_installed_is_told(tracker, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InvalidConfig, match=rf"not installed; try: pip install 'ex4d-training\[{tracker}\]'"):
        Metrics(tmp_path, tracker, after=0)
