"""Temporary files belong to one process and go with it, locks are held by one at a time, hashes read with care."""

import errno
import os
import stat
import subprocess
import sys
import threading

import pytest

from ex4d_core import files
from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.files import (
    atomic_write,
    locked,
    remove_stale_temp,
    resumable_dir,
    temporary_folder,
    tree_hash,
)
from ex4d_core.hub import weights_hash

KILLED = (
    "import os, signal, sys; from pathlib import Path; from ex4d_core.files import resumable_dir, temporary_folder\n"
    "with temporary_folder(Path(sys.argv[1])), resumable_dir(Path(sys.argv[1]) / '.partial-a', tell=print) as kept:\n"
    "    exec(sys.argv[2]); os.kill(os.getpid(), signal.SIGKILL)"
)


def kill_in(folder, work="pass"):
    """Leave what a killed process leaves; return the names."""
    subprocess.run([sys.executable, "-c", KILLED, str(folder), work], check=False)
    return names(folder)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(autouse=True)
def _first_write():
    files._remove_leftovers_once.cache_clear()


def test_what_a_killed_process_left_is_removed_at_the_next_write(tmp_path):
    assert len(kill_in(tmp_path)) == 3
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("a")
    assert names(tmp_path) == ["a.txt"]


def test_unfinished_work_is_kept(tmp_path):
    kill_in(tmp_path, "(kept / 'steps').write_text('12')")
    remove_stale_temp(tmp_path)
    assert (tmp_path / ".partial-a" / "steps").read_text() == "12"
    with resumable_dir(tmp_path / ".partial-a", tell=print) as kept:
        assert (kept / "steps").exists()
    assert names(tmp_path) == []


def test_what_others_work_in_is_left_alone(tmp_path):
    with temporary_folder(tmp_path) as temporary, resumable_dir(tmp_path / ".partial-a", tell=print) as kept:
        code = (
            "import sys; from pathlib import Path; from ex4d_core.files import *; remove_stale_temp(Path(sys.argv[1]))"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        assert temporary.exists()
        assert kept.exists()


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({}, True),
        ({"pid": str(os.getpid())}, True),  # the number belongs to another process by now
        ({"pid": str(os.getpid()), "start": None}, False),
        ({"place": "0" * 16}, False),  # a container that has the number 999999999 too
        ({"boot": "feedbeef"}, True),  # before the machine was restarted
    ],
)
def test_a_process_is_told_by_its_place_its_number_and_its_start(tmp_path, change, left):
    owner = {"place": files._place(), "boot": files.boot_id(), "pid": "999999999", "start": "1", **change}
    owner["start"] = owner["start"] or files.start_time(os.getpid())
    folder = tmp_path / f".part-{owner['place']}-{owner['boot']}-{owner['pid']}-{owner['start']}-ab"
    folder.mkdir()
    remove_stale_temp(tmp_path)
    assert folder.exists() != left


@pytest.mark.parametrize("name", [".part-host-1-x", ".part-", ".part-clip", ".parts"])
def test_folders_that_nobody_is_known_for_stay(tmp_path, name):
    (tmp_path / name).mkdir()
    remove_stale_temp(tmp_path)
    assert names(tmp_path) == [name]


def test_on_a_disk_that_other_machines_write_to_nothing_of_theirs_is_removed(tmp_path, monkeypatch):
    kill_in(tmp_path)
    monkeypatch.setattr(files, "_place", lambda: "0" * 16)
    remove_stale_temp(tmp_path)
    assert names(tmp_path)[0].startswith(".part-")


@pytest.mark.parametrize("umask", [0o002, 0o027])
def test_permissions_are_those_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        with temporary_folder(tmp_path) as temporary, resumable_dir(tmp_path / ".partial-a", tell=print) as kept:
            for folder in (temporary, kept):
                assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~umask
        with locked(tmp_path / "a"):
            assert stat.S_IMODE((tmp_path / ".a.lock").stat().st_mode) == 0o666 & ~umask
    finally:
        os.umask(before)


def test_a_lock_is_held_by_one_at_a_time_and_leaves_nothing(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(20):
            with locked(tmp_path / "a"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    assert names(tmp_path) == []


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    (tmp_path / ".a.lock").touch()
    with locked(tmp_path / "a"):
        pass
    assert names(tmp_path) == []


def test_a_lock_that_is_held_for_too_long_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_PATIENCE", 0.05)
    code = (
        "import sys; from pathlib import Path; from ex4d_core.files import locked\n"
        "with locked(Path(sys.argv[1])): print(1, flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(OutputFailed, match=r"another run has held \.a\.lock"), locked(tmp_path / "a"):
            pass
        holder.communicate(b"\n")


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_lock_that_cannot_be_had_is_one_sentence(tmp_path, kind):
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    (tmp_path / ".a.lock").mkdir() if kind == "folder" else (tmp_path / ".a.lock").symlink_to(victim)
    with (
        pytest.raises(OutputFailed, match=r"a cannot be changed: its lock \.a\.lock cannot be acquired: "),
        locked(tmp_path / "a"),
    ):
        pass
    assert victim.read_text() == "mine"


def test_a_folder_that_is_not_for_writing_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputFailed, match=r"run\.json cannot be changed: "), locked(tmp_path / "file" / "run.json"):
        pass


def test_what_cannot_be_hashed_is_one_sentence(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, says in (
        ("pipe", "is a named pipe"),
        ("none", "does not exist"),
        ("a\0b", "not a valid path"),
    ):
        with pytest.raises((InvalidInput, FileNotFoundError), match=says):
            tree_hash(tmp_path / name, "depth file")
    with pytest.raises(FileNotFoundError, match="the folder of weights"):
        weights_hash(tmp_path / "none")


def test_names_that_are_not_utf8_are_hashed(tmp_path):
    before = tree_hash(tmp_path)
    (tmp_path / os.fsdecode(b"a\xff.png")).write_text("x")
    assert tree_hash(tmp_path) != before


def test_an_error_names_the_file_and_not_its_temporary_folder(tmp_path):
    with (
        pytest.raises(OutputFailed, match=f"^{tmp_path}/shards/a.mkv cannot be written: "),
        atomic_write(tmp_path / "shards") as new,
    ):
        (new / "a.mkv").mkdir(parents=True)
        with atomic_write(new / "a.mkv") as temporary:
            temporary.write_text("a file does not take the place of a folder")


def test_an_input_that_is_missing_is_not_taken_for_an_output(tmp_path):
    with pytest.raises(InvalidInput, match=r"^other$"), atomic_write(tmp_path / "a"):
        raise InvalidInput("other")


def test_where_the_file_system_has_no_locks_a_run_goes_without(tmp_path, monkeypatch):
    def flock(descriptor, how):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", flock)
    with files.locked(tmp_path / "run.json"), files.resumable_dir(tmp_path / ".partial-a", tell=pytest.fail) as folder:
        assert folder is not None
    assert names(tmp_path) == []
