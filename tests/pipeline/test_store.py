"""Artifacts are whole or not there, whatever happens while they are written."""

import errno
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.files import atomic_write, tree_hash
from ex4d_core.hub import weights_hash
from ex4d_core.pipeline.store import MANIFEST, Damaged, Store, content_key

INPUTS = {"clip": "a", "steps": 5}
KEY = content_key(INPUTS)


def write_text(folder):
    (folder / "data.txt").write_text("hello" * 100)


def read_text(folder):
    return (folder / "data.txt").read_text()


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def store(tmp_path, warnings):
    return Store(tmp_path, warn=warnings.append)


@pytest.fixture
def saved(store, tmp_path):
    store.save("depth", KEY, INPUTS, write_text)
    return tmp_path / "artifacts" / f"depth-{KEY}"


def test_what_was_saved_is_found(store, saved):
    assert store.load("depth", KEY, read_text) == "hello" * 100
    assert json.loads((saved / MANIFEST).read_text())["inputs"] == INPUTS


def test_nothing_is_found_under_another_key_or_stage(store, saved):
    assert store.load("depth", content_key({"clip": "b"}), read_text) is None
    assert store.load("result", KEY, read_text) is None


def test_the_order_of_inputs_does_not_change_a_key():
    assert content_key({"a": 1, "b": {"c": 2, "d": 3}}) == content_key({"b": {"d": 3, "c": 2}, "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "data.txt").write_text("hel"), "has 3 bytes instead of 500"),
        (lambda folder: (folder / "data.txt").write_text("HELLO" * 100), "the checksum of data.txt differs"),
        (lambda folder: (folder / "data.txt").unlink(), "No such file"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "Expecting"),
        (lambda folder: (folder / MANIFEST).write_text('{"key": "other", "files": {}}'), "belongs to another run"),
        (lambda folder: (folder / MANIFEST).write_text('{"key": 1, "files": 2}'), "has no attribute 'items'"),
        (lambda folder: (folder / MANIFEST).write_text("[" * 9999), "nested more than 64 levels"),
        (lambda folder: (folder / MANIFEST).write_text(outside("../x")), "'../x' is not a file name"),
        (lambda folder: (folder / MANIFEST).write_text(outside("/dev/zero")), "'/dev/zero' is not a file name"),
        (lambda folder: (folder / MANIFEST).write_text(outside("a\0")), "is not a file name"),
        (lambda folder: pipe(folder / "data.txt"), "data.txt is not a file"),
        (lambda folder: pipe(folder / MANIFEST), "artifact.json is not a file"),
        (lambda folder: (folder.rename(folder.with_name("x")), folder.write_text("")), "Not a directory"),
    ],
)
def test_a_damaged_or_foreign_artifact_is_told_and_made_again(store, saved, warnings, damage, says):
    damage(saved)
    assert store.load("depth", KEY, read_text) is None
    assert len(warnings) == 1
    assert says in warnings[0]
    assert f"damaged-{saved.name}-1 and is computed again" in warnings[0]
    assert (saved.parent / f"damaged-{saved.name}-1").exists()
    store.save("depth", KEY, INPUTS, write_text)
    assert store.load("depth", KEY, read_text) == "hello" * 100


def outside(name):
    return json.dumps({"key": KEY, "files": {name: {"bytes": 0, "blake2b": ""}}})


def pipe(path):
    path.unlink()
    os.mkfifo(path)


REFUSALS = [
    (OSError(errno.EACCES, os.strerror(errno.EACCES)), "cannot be read: Permission denied"),
    (OSError(errno.EIO, os.strerror(errno.EIO)), "cannot be read: Input/output error"),
    (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "cannot be read: Too many open files"),
    (OSError(errno.ESTALE, os.strerror(errno.ESTALE)), "cannot be read: Stale file handle"),
    (MemoryError(), "does not fit into memory"),
    (RuntimeError("a bug"), "RuntimeError: a bug"),
    (InvalidInput("of a codec"), "of a codec"),
]


@pytest.mark.parametrize(("error", "says"), REFUSALS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("where", ["its bytes", "its content"])
def test_an_artifact_that_cannot_be_read_at_the_moment_stays(store, saved, warnings, monkeypatch, error, says, where):
    def refuse(path):
        raise error

    if where == "its bytes":
        monkeypatch.setattr("ex4d_core.pipeline.store.file_hash", refuse)
    with pytest.raises(InvalidInput, match=says):
        store.load("depth", KEY, refuse)
    monkeypatch.undo()
    assert warnings == []
    assert store.load("depth", KEY, read_text) == "hello" * 100


@pytest.mark.slow
def test_permission_that_is_missing_is_an_error_for_a_run_and_for_a_look(saved, tmp_path):
    """Without the capability of root to read everything."""
    (saved / "data.txt").chmod(0)
    code = (
        "import sys; from pathlib import Path; from ex4d_core.pipeline.store import Store\n"
        "for look in (False, True):\n"
        "    try: print(Store(Path(sys.argv[1]), read_only=look).load('depth', sys.argv[2], print))\n"
        "    except Exception as error: print(type(error).__name__)"
    )
    drop = ["setpriv", *(f"--{which}=-dac_override,-dac_read_search" for which in ("bounding-set", "inh-caps"))]
    command = [*(drop if os.getuid() == 0 else []), sys.executable, "-c", code, str(tmp_path), KEY]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert out.split() == ["InvalidInput"] * 2
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_look_changes_nothing(saved, tmp_path, warnings):
    (saved / "data.txt").write_text("hel")
    (tmp_path / "artifacts" / ".partial-depth-x").mkdir()
    before = sorted(path.as_posix() for path in tmp_path.rglob("*"))
    assert Store(tmp_path, warn=warnings.append, read_only=True).load("depth", KEY, read_text) is None
    assert sorted(path.as_posix() for path in tmp_path.rglob("*")) == before
    assert warnings[0].endswith("is damaged (data.txt has 3 bytes instead of 500); the next run computes it again")


def test_an_artifact_that_another_run_has_put_there_meanwhile_is_not_renamed(store, saved, warnings):
    """Both have seen the damaged one; the other was faster."""

    def read(folder):
        saved.rename(saved.parent / "damaged-by-the-other")
        store.save("depth", KEY, INPUTS, write_text)
        raise Damaged("seen")

    assert store.load("depth", KEY, read) is None
    assert store.load("depth", KEY, read_text) == "hello" * 100
    assert warnings == []


def test_a_damaged_artifact_that_cannot_be_renamed_is_one_sentence(store, saved, monkeypatch):
    (saved / "data.txt").unlink()

    def refuse(*_):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("ex4d_core.pipeline.store.set_aside", refuse)
    with pytest.raises(OutputFailed, match="is damaged and cannot be renamed: Permission denied"):
        store.load("depth", KEY, read_text)


def test_a_damaged_artifact_makes_way_for_one_that_is_made(store, saved):
    (saved / "data.txt").write_text("hel")
    store.save("depth", KEY, INPUTS, write_text)
    assert store.load("depth", KEY, read_text) == "hello" * 100
    assert (saved.parent / f"damaged-{saved.name}-1" / "data.txt").read_text() == "hel"


@pytest.mark.parametrize("umask", [0o002, 0o027])
def test_an_artifact_has_the_permissions_that_the_umask_leaves(store, tmp_path, umask):
    before = os.umask(umask)
    try:
        store.save("depth", KEY, INPUTS, write_text)
    finally:
        os.umask(before)
    for path in (tmp_path / "artifacts").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~umask


def test_a_full_disk_leaves_nothing_under_the_final_name(store, tmp_path):
    def write(folder):
        write_text(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputFailed, match=r"cannot be written: No space left on device"):
        store.save("depth", KEY, INPUTS, write)
    assert list((tmp_path / "artifacts").iterdir()) == []


@pytest.mark.slow
def test_a_run_that_was_killed_leaves_nothing_behind_for_the_next(store, tmp_path):
    """The process dies in the middle of writing; the next one to open the folder cleans up."""
    code = (
        "import os, signal, sys; from pathlib import Path; from ex4d_core.pipeline.store import Store\n"
        "def write(folder):\n"
        "    (folder / 'data.txt').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "Store(Path(sys.argv[1])).save('depth', 'k', {}, write)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert len(list((tmp_path / "artifacts").iterdir())) == 1
    Store(tmp_path)
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_the_half_written_work_of_a_living_run_is_left_alone(store, tmp_path):
    seen = []

    def write(folder):
        Store(tmp_path)
        seen.append(folder.exists())
        write_text(folder)

    store.save("depth", KEY, INPUTS, write)
    assert seen == [True]


def test_many_runs_may_make_the_same_artifact_at_once(tmp_path):
    def one(_):
        store = Store(tmp_path)
        store.save("depth", KEY, INPUTS, write_text)
        return store.load("depth", KEY, read_text)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(32))) == {"hello" * 100}
    assert [folder.name for folder in (tmp_path / "artifacts").iterdir()] == [f"depth-{KEY}"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text("second")
        raise ZeroDivisionError
    assert path.read_text() == "first"
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match=r"a\.txt cannot be written: "), atomic_write(tmp_path / "file" / "a.txt"):
        pass


def test_a_hash_of_a_folder_sees_names_and_bytes(tmp_path):
    (tmp_path / "a").write_text("x")
    before = tree_hash(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert tree_hash(tmp_path) != before
    (tmp_path / "b").rename(tmp_path / "a")
    assert tree_hash(tmp_path) == before
    (tmp_path / "a").write_text("y")
    assert tree_hash(tmp_path) != before


def test_a_folder_that_cannot_be_replaced_is_still_there(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old.txt").write_text("old")
    rename = os.rename

    def fails_for_the_new(source, target):
        if (Path(source) / "new.txt").exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails_for_the_new)
    with pytest.raises(OutputFailed, match="a cannot be written: "), atomic_write(tmp_path / "a") as temporary:
        temporary.mkdir()
        (temporary / "new.txt").write_text("new")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["a", "a/old.txt"]


def test_links_say_what_weights_they_are_only_in_the_hubs_cache(tmp_path):
    def folder_of_links(name, store, content):
        place = tmp_path / name
        (place / store).mkdir(parents=True)
        (place / store / "model.safetensors").write_text(content)
        (place / "model.safetensors").symlink_to(place / store / "model.safetensors")
        return place

    assert weights_hash(folder_of_links("a", "blobs", "1")) == "model.safetensors"
    of_files = [
        weights_hash(folder_of_links(name, "mine", content)) for name, content in (("b", "1"), ("c", "2"), ("d", "1"))
    ]
    assert of_files[0] == of_files[2] != of_files[1]
