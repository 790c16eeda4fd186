"""What all tests of the repository share."""

import gc
import os
import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import ex4d_core  # noqa: F401  # before torch, see OMP_WAIT_POLICY in it

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of commands would each compile everything anew
os.environ["EX4D_CONFIG"] = ""  # not the defaults of the user
os.environ["EX4D_CACHE"] = ""  # no measurements of the user
if processes := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):  # threads of all would spend most time on waiting
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // int(processes)))  # read by torch when imported

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")  # a machine that is busy is no failure, and the same inputs fail again

pytest_plugins = [f"{name}.fixtures" for name in ("ex4d_backbone_wan", "ex4d_backbone_vace") if find_spec(name)]


def pytest_configure() -> None:
    """Let commands that tests start be stopped with Ctrl-C: in the background a shell has all it starts ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests as `tests/helpers/units.py` says; the groups of pytest-xdist 3.8 have no effect on pytest 9.2."""
    if config.getoption("dist") != "loadfile":
        return None
    from tests.helpers.units import UnitScheduling

    return UnitScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order tests for several processes; skip those for a GPU where there is none."""
    import torch

    if hasattr(config, "workerinput"):  # of pytest-xdist
        from tests.helpers.units import rank

        items.sort(key=lambda item: rank(item.nodeid))
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


def pytest_collection_finish() -> None:
    """Keep libraries and tests out of garbage collections, which tests of memory and inner runs of pytest ask for."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def fork_server_with_diffusers() -> None:
    """Have processes forked from one that will have imported diffusers; one that other tests started has not."""
    from tests.helpers.forked import serve_forks

    serve_forks("ex4d_backbone_wan.parallel.worker", "diffusers.models.transformers.transformer_wan")


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
