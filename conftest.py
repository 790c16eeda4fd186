"""What all tests of the repository share."""

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing import forkserver
from pathlib import Path

import pytest
from hypothesis import settings

import ex4d_core  # noqa: F401  # before torch, see OMP_WAIT_POLICY in it

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")  # a machine that is busy is no failure, and the same inputs fail again

pytest_plugins = [f"{name}.fixtures" for name in ("ex4d_backbone_wan", "ex4d_backbone_vace") if find_spec(name)]


def pytest_configure() -> None:
    """Let commands that tests start be stopped with Ctrl-C: in the background a shell has all it starts ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of commands would each compile everything anew
    os.environ["EX4D_CONFIG"] = ""  # not the defaults of the user
    os.environ["EX4D_CACHE"] = ""  # no measurements of the user


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests for a GPU where there is none."""
    import torch

    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


def pytest_collection_finish() -> None:
    """Keep libraries and tests out of garbage collections, which tests of memory and inner runs of pytest ask for."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def fork_server_with_diffusers() -> None:
    """Have processes forked from one that will have imported diffusers; one that other tests started has not."""
    forkserver._forkserver._stop()
    names = ["ex4d_backbone_wan.parallel.worker", "diffusers.models.transformers.transformer_wan"]
    multiprocessing.get_context("forkserver").set_forkserver_preload(names)
    forkserver.ensure_running()


@pytest.fixture(scope="module")
def without_what_was_before() -> None:
    """Keep all objects so far out of garbage collections, for modules that ask for hundreds."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def ex4d(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run the command in an empty folder; return its exit code, stdout and stderr."""
    import typer_cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            typer_cli.main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return int(exit_.value.code or 0), out, err

    return call
