"""Files that are written whole or not at all, and hashes of what is in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from ex4d_core.errors import OutputFailed

_TEMPORARY = ".part-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; what is written there takes the final name if the block succeeds.

    It may be a folder, which takes the place of another folder; a folder never takes the place of a file.

    Raises:
        OutputFailed: the folder cannot be made or written to, or the disk is full.
    """
    try:
        with temporary_folder(path.parent) as folder:
            # In a folder of its own the file keeps its name, and with it the suffix that writers go by.
            yield folder / path.name
            if (folder / path.name).is_dir() and path.is_dir():
                _exchange(folder / path.name, path, kept=folder / ".replaced")
            else:
                os.replace(folder / path.name, path)
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written: {error.strerror or error}") from error


def _exchange(new: Path, path: Path, *, kept: Path) -> None:
    """Put a folder in the place of another, which would have to be empty for `os.replace`."""
    os.rename(path, kept)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(kept, path)
        raise


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Give an empty folder in `parent` whose name says whose it is; what is left of it at the end is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{socket.gethostname()}-{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kept_folder(path: Path, *, tell: Callable[[str], None]) -> Iterator[Path | None]:
    """Give a folder for unfinished work: kept as it is where the block fails or is killed, removed where it succeeds.

    None where another run has it at this moment: two must not write into one. `tell` hears of that, and of what is
    kept.

    Raises:
        OutputFailed: the folder cannot be made.
    """
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        tell("another run is at the same work now; what this one does is lost if it is stopped")
        yield None
        return
    except OSError as error:
        raise OutputFailed(f"{path} cannot be made: {error.strerror or error}") from error
    try:
        yield path
        shutil.rmtree(path, ignore_errors=True)
    except BaseException:  # Ctrl-C too
        if any(path.iterdir()):
            tell("what is done so far is kept; the same run goes on from there")
        raise
    finally:
        with suppress(OSError):
            path.rmdir()  # unless something is kept in it
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def remove_leftovers(folder: Path) -> None:
    """Remove what runs on this machine that are no longer alive left half-written."""
    own = f"{_TEMPORARY}{socket.gethostname()}-"
    for left in folder.glob(f"{own}*"):
        pid = left.name.removeprefix(own).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def file_hash(path: Path) -> str:
    """Return a hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def tree_hash(path: Path) -> str:
    """Return a hash of a file's bytes, or of the names and bytes of the files in a folder."""
    if path.is_file():
        return file_hash(path)
    return files_hash(sorted(file for file in path.iterdir() if file.is_file()))


def files_hash(files: Iterable[Path]) -> str:
    """Return a hash of the names and bytes of files, in their order."""
    names_and_hashes = "\n".join(f"{file.name}\0{file_hash(file)}" for file in files)
    return hashlib.blake2b(names_and_hashes.encode(), digest_size=16).hexdigest()


def weights_hash(folder: Path) -> str:
    """Return a text that changes when the configurations and weights in a folder do; the folder's place is no matter.

    Files in the hub's cache are links to files in `blobs`, named by their contents, which need not be read.
    """
    files = sorted(file for file in folder.iterdir() if file.suffix in (".json", ".safetensors"))
    if all(file.is_symlink() and file.resolve().parent.name == "blobs" for file in files):
        return "+".join(file.resolve().name for file in files)
    return _hash_of(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@cache
def _hash_of(files: tuple[tuple[Path, int, int], ...]) -> str:
    # Gigabytes: read once for each state of the files.
    return files_hash(file for file, _, _ in files)
