"""Several processes that train together: what ends one of them, or the one that started them, ends all and is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import attrs
import psutil
import pytest

from ex4d_training.launch import launch
from ex4d_training.metrics import METRICS
from ex4d_training.trainer import TrainingStopped
from tests.helpers.forked import fork_command

pytestmark = pytest.mark.slow

NEEDED = (
    ("model", "base"), ("model", "rank"), ("model", "camera_hidden"), ("data", "path"), ("learning", "steps"),
    ("machine", "device"), ("machine", "num_gpus"), ("output", "dir"), ("output", "tracker"), ("output", "log_every"),
)  # fmt: skip
"""Options that the command needs to train as `config` does."""

WANDB = """
import os, pathlib

class init:
    def __init__(self, **_): pass
    def log(self, *_, **__): pass
    def finish(self): pathlib.Path(os.environ["WANDB_ENDED"]).touch()
"""
"""A tracker that is there and leaves a word when it is closed."""

LIGHT = """
import sys

if "ex4d_training.worker" in sys.orig_argv:
    import torch
    import ex4d_training.run

    class Net(torch.nn.Conv3d):
        def forward(self, noisy, sigma, sample):
            return super().forward(noisy)

    ex4d_training.run._TrainRun._model = lambda run: Net(16, 16, 1)
"""
"""A network that trains as Wan does, but takes no ten seconds to import."""


def test_a_process_that_is_killed_is_told(tmp_path):
    over = threading.Event()

    def kill_the_first():
        while not over.wait(0.05):
            for child in filter(is_worker, psutil.Process().children(recursive=True)):
                child.kill()
                return

    threading.Thread(target=kill_the_first, daemon=True).start()
    try:
        with pytest.raises(TrainingStopped, match=r"process of GPU 0 ended with exit code -9, .* last checkpoint"):
            launch(tmp_path / "absent.toml", processes=1, quiet=True)
    finally:
        over.set()


def test_an_error_is_told_and_signals_and_modules_of_the_current_folder_are_left_alone(tmp_path, monkeypatch):
    """The folder may be a download, or anybody's."""
    for name in ("numpy", "torch", "pickle", "ex4d_training"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(TrainingStopped, match=r"^the configuration file .*absent.toml does not exist; check the path"):
        launch(tmp_path / "absent.toml", processes=1, quiet=True)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert not (tmp_path / "ran").exists()


def test_a_bug_is_told_with_its_place(tmp_path, monkeypatch, capfd):
    (tmp_path / "sitecustomize.py").write_text(
        "import ex4d_training.config as c\nc.make_train_config = lambda tree: 1 // 0\n"
    )
    (tmp_path / "config.toml").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TrainingStopped, match=r"ZeroDivisionError: .* ex4d_training/worker.py:\d+: a bug in "):
        launch(tmp_path / "config.toml", processes=1, quiet=True)
    assert "Traceback" not in capfd.readouterr().err


STARTER = """
import os, subprocess, sys
worker = subprocess.Popen([sys.executable, "-m", "ex4d_training.worker", sys.argv[1], "--parent", str(os.getpid())])
print(worker.pid, flush=True)
worker.wait()
"""


def test_a_process_ends_with_the_one_that_started_it(tmp_path, monkeypatch):
    """Which may be killed, and cannot end it then."""
    busy = f"import pathlib, time; pathlib.Path({str(tmp_path / 'busy')!r}).touch(); time.sleep(600)"
    (tmp_path / "sitecustomize.py").write_text(
        f"import ex4d_training.config as c\nc.make_train_config = lambda tree: exec({busy!r})\n"
    )
    (tmp_path / "config.toml").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    call = [sys.executable, "-c", STARTER, str(tmp_path / "config.toml")]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as starter:
        worker = psutil.Process(int(starter.stdout.readline()))
        while not (tmp_path / "busy").exists():
            time.sleep(0.02)
        starter.kill()
    assert psutil.wait_procs([worker], timeout=60)[1] == []


def is_worker(process: psutil.Process) -> bool:
    """Whether a process trains for another."""
    with suppress(psutil.Error):  # it has just ended
        return "ex4d_training.worker" in process.cmdline()
    return False


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "interrupted; run the same command again to resume\n"),
        (
            signal.SIGTERM, 143,
            "interrupted by SIGTERM; run the same command again to resume\n",
        ),
    ],
)  # fmt: skip
def test_what_stops_the_command_ends_its_processes(config, tmp_path, number, code, said):
    tree = attrs.asdict(config(learning={"steps": 10**6}, machine={"num_gpus": 2}, output={"tracker": "wandb"}))
    settings = [f"--set={section}.{name}={tree[section][name]}" for section, name in NEEDED]
    (tmp_path / "wandb.py").write_text(WANDB)
    (tmp_path / "sitecustomize.py").write_text(LIGHT)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "WANDB_ENDED": str(tmp_path / "ended")}
    process = fork_command(["train", "--quiet", *settings], folder=tmp_path, environment=environment, place=tmp_path)
    try:
        while process.is_alive() and not (Path(tree["output"]["dir"]) / METRICS).exists():
            time.sleep(0.05)
        workers = [child for child in psutil.Process().children(recursive=True) if is_worker(child)]
        os.kill(process.pid, number)
        process.join(60)
    finally:
        process.terminate()
    err = (tmp_path / "stderr").read_text()
    assert process.exitcode == code, err
    assert err.endswith(said)
    assert not any(word in err for word in ("Traceback", "SignalException", "shutting down"))
    assert len(workers) == 2
    assert not any(worker.is_running() for worker in workers)
    assert (tmp_path / "ended").exists()


def test_a_signal_that_is_to_be_ignored_stays_so(tmp_path, monkeypatch):
    """As SIGHUP is under nohup."""
    taken = []
    monkeypatch.setattr(
        "torch.distributed.launcher.api.elastic_launch",
        lambda settings, _: lambda *_: taken.extend(settings.signals_to_handle.split(",")),
    )
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        launch(tmp_path / "absent.toml", processes=1, quiet=True)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "SIGTERM" in taken
    assert "SIGHUP" not in taken
