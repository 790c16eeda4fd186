"""Facts about processes that work through a list: what is done, what fails, and what is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from ex4d_core.errors import InvalidConfig, OutputFailed, PluginFailed
from ex4d_core.jobs.workers import process_groups
from tests.helpers.forked import forking

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def make(number: int, *, folder: Path | None = None) -> Callable[[str], str]:
    """Return a function that does what its item says; each process has its number."""
    if folder is not None and (folder / "broken").exists():
        os.kill(os.getpid(), signal.SIGKILL)

    broken: list[str] = []

    def act(item: str) -> str:
        word, _, rest = item.partition(" ")
        if word == "raise":
            raise KeyError(rest)
        if word == "break":
            broken.append(item)
        if broken:
            raise RuntimeError("CUDA error")
        if word == "full":
            raise OutputFailed("the disk is full")
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "slow":
            time.sleep(0.2)
        if word == "endless":
            (Path(rest) / "began").touch()
            time.sleep(600)
        if word == "once":
            assert folder is not None
            if not (folder / rest).exists():
                (folder / rest).touch()
                os._exit(3)
        return item.upper()

    return act


@pytest.fixture
def _forking(monkeypatch):
    """Fork processes instead of starting them, where it is not their start that is tested."""
    monkeypatch.setattr("ex4d_core.processes._CONTEXT", forking())


def outcomes(items, **given):
    """Return what became of each item, errors without the advice that follows them."""
    made = process_groups([[item] for item in items], **{"make": make, **given})
    return {
        done.item: done.result or re.sub(r" at \S+:\d+: a bug in .*", ", with its place", done.error) for done in made
    }


def test_work_in_this_process():
    assert outcomes(["a", "raise b", "c"], workers=0) == {
        "a": "A",
        "raise b": "unexpected KeyError: 'b', with its place",
        "c": "C",
    }


@pytest.mark.usefixtures("_forking")
def test_killed_processes_are_replaced_and_their_items_tried_again(tmp_path):
    items = ["a", "die", "once x", "b", "raise c", "d"]
    found = outcomes(items, make=partial(make, folder=tmp_path), workers=2)
    assert found.pop("die").startswith("its process was killed by SIGKILL")
    assert found == {
        "a": "A",
        "once x": "ONCE X",
        "b": "B",
        "raise c": "unexpected KeyError: 'c', with its place",
        "d": "D",
    }


@pytest.mark.usefixtures("_forking")
def test_what_an_error_left_broken_does_not_spoil_what_follows():
    """As a GPU does, whose process can only be given up after some errors."""
    assert outcomes(["break a", "b", "c"], workers=1) == {
        "break a": "unexpected RuntimeError: CUDA error, with its place",
        "b": "B",
        "c": "C",
    }


@pytest.mark.parametrize("workers", [0, 1])
def test_the_traceback_of_an_error_is_shown_where_it_is_asked_for(workers, monkeypatch, capfd):
    outcomes(["raise a"], workers=workers)
    assert "Traceback" not in capfd.readouterr().err
    monkeypatch.setenv("EX4D_TRACE", "1")
    outcomes(["raise a"], workers=workers)
    assert "KeyError: 'a'" in capfd.readouterr().err


@pytest.mark.usefixtures("_forking")
@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_ours_ends_all_of_it(workers):
    with pytest.raises(OutputFailed, match="the disk is full"):
        outcomes(["a", "full", "b"], workers=workers)


def refuse(number: int) -> Callable[[str], str]:
    raise InvalidConfig("there is no device 'cuda'")


@pytest.mark.usefixtures("_forking")
def test_what_cannot_start_says_why():
    with pytest.raises(InvalidConfig, match="no device 'cuda'"):
        outcomes(["a"], make=refuse, workers=1)


@pytest.mark.usefixtures("_forking")
def test_processes_that_die_before_they_begin_end_it(tmp_path):
    (tmp_path / "broken").touch()
    with pytest.raises(PluginFailed, match=r"was killed by SIGKILL .* while it started"):
        outcomes(["a"], make=partial(make, folder=tmp_path), workers=1)


def test_modules_of_the_current_folder_are_not_imported(tmp_path, monkeypatch):
    """Which may be the folder of a download."""
    for name in ("numpy", "torch", "pickle", "socket", "ex4d_core"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    assert outcomes(["a"], workers=1) == {"a": "A"}
    assert not (tmp_path / "ran").exists()
    assert "PYTHONSAFEPATH" not in os.environ


def test_nothing_to_do_starts_nothing():
    assert outcomes([], workers=2) == {}


def go_on() -> None:
    """Work for a long time, and say so."""
    for done in process_groups([[f"slow {number}"] for number in range(1000)], make, workers=1):
        sys.stdout.write(f"{done.item}\n")
        sys.stdout.flush()


@pytest.mark.parametrize("after", [0.0, 0.03, 0.06, 0.1, 0.2, 0.4])
def test_ctrl_c_while_processes_start_is_told_once(after):
    """Each of them gets it from the terminal."""
    call = [sys.executable, "-c", f"from {__name__} import interrupted; interrupted()"]
    with subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0) as asking:
        assert asking.stdout.readline() == b"starts\n"
        time.sleep(after)
        os.killpg(asking.pid, signal.SIGINT)
        out, err = asking.communicate(timeout=60)
    assert (out[-12:], err) == (b"interrupted\n", b"")


def interrupted() -> None:
    """Work until Ctrl-C."""
    try:
        sys.stdout.write("starts\n")
        sys.stdout.flush()
        go_on()
    except KeyboardInterrupt:
        sys.stdout.write("interrupted\n")


def work_on(item: str) -> None:
    """Work on one item."""
    list(process_groups([[item]], make, workers=1))


def test_a_process_ends_in_the_middle_of_an_item_with_the_one_that_asks(tmp_path):
    call = [sys.executable, "-c", f"from {__name__} import work_on; work_on({f'endless {tmp_path}'!r})"]
    with subprocess.Popen(call, cwd=ROOT) as asking:
        while not (tmp_path / "began").exists():
            time.sleep(0.02)
        workers = psutil.Process(asking.pid).children(recursive=True)
        asking.kill()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []


def test_no_process_outlives_the_one_that_asks():
    call = [sys.executable, "-c", f"from {__name__} import go_on; go_on()"]
    with subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE) as asking:
        assert asking.stdout.readline() == b"slow 0\n"
        workers = psutil.Process(asking.pid).children(recursive=True)
        assert workers
        asking.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
