"""Atomic writes, resumable folders, locks, and content hashes."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path

from filelock import FileLock, Timeout

from ex4d_core.errors import Ex4dError, OutputFailed
from ex4d_core.names import text_hash
from ex4d_core.process_identity import boot_id, namespace_id, process_exists, start_time
from ex4d_core.reading import check_file, check_folder, check_path, reading

_TEMPORARY = ".part-"
_UNFINISHED = ".partial-"
_LOCK = ".lock"

_OWNER = re.compile(r"\.part-(?P<place>[0-9a-f]{16})-(?P<boot>[0-9a-f]*)-(?P<pid>\d{1,10})-(?P<start>\d+)-[0-9a-f]+")
"""Name of a temporary folder, with the identity of the process that created it."""

_PATIENCE = 600.0
"""Timeout of a lock in seconds; locks are normally held for seconds, while outputs are hashed."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path; the file or folder written there is moved to `path` if the block succeeds.

    A folder replaces a folder, but never a file.

    Raises:
        OutputFailed: the folder cannot be created or written to, or the disk is full.
    """
    try:
        with temporary_folder(path.parent) as folder:
            # In a separate folder, the file has its final name, with the suffix that selects its format.
            yield folder / path.name
            put(folder / path.name, path)
    except OutputFailed as error:  # of a file in the folder: show the final name, not the temporary one
        raise OutputFailed(str(error).replace(str(folder), str(path.parent))) from error.__cause__
    except Ex4dError:  # an error of the input
        raise
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written: {error.strerror or error}") from error


def put(new: Path, path: Path) -> None:
    """Move a file or folder to `path`, replacing an existing one.

    Raises:
        OSError: it cannot be moved; `path` is unchanged.
    """
    if not (new.is_dir() and path.is_dir()):
        os.replace(new, path)
        return
    # `os.replace` requires an empty target folder.
    old = new.with_name(f".replaced-{secrets.token_hex(4)}")
    os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(old, path)
        raise


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty folder in `parent`, named by this process; it is removed at the end."""
    parent.mkdir(parents=True, exist_ok=True)
    if not parent.name.startswith(_TEMPORARY):
        _remove_leftovers_once(os.path.abspath(parent))
    folder = _make_own(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def missing_folders(folder: Path) -> list[Path]:
    """Return a folder and its parents, the innermost first, as far as they do not exist."""
    return [each for each in (folder, *folder.parents) if not os.path.lexists(each)]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove the folders that are empty, in this order; others stay."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _make_own(parent: Path) -> Path:
    """Create a folder with the permissions of the umask, unlike `tempfile`, since it may become an output."""
    owner = f"{_TEMPORARY}{_place()}-{boot_id()}-{os.getpid()}-{start_time(os.getpid()) or 0}"
    while True:
        folder = parent / f"{owner}-{secrets.token_hex(4)}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except FileNotFoundError:  # another run that failed has removed the empty folder
            parent.mkdir(parents=True, exist_ok=True)
            continue
        return folder


@contextmanager
def resumable_dir(path: Path, *, tell: Callable[[str], None]) -> Iterator[Path | None]:
    """Yield a folder for partial results: kept if the block fails or the process is killed, removed on success.

    Yield None if another process uses it. `tell` is called with a message in that case, and if partial results are
    kept.

    Raises:
        OutputFailed: the folder cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(path.with_name(f"{path.name}{_LOCK}"), patience=0)
        path.mkdir(exist_ok=True)
    except Timeout:
        tell("another process is running this stage; partial results of this run will not be saved")
        yield None
        return
    except OSError as error:
        raise OutputFailed(f"{path} cannot be created: {error.strerror or error}") from error
    try:
        yield path
        shutil.rmtree(path, ignore_errors=True)
    except BaseException:  # Ctrl-C too
        if any(path.iterdir()):
            tell("partial results saved; run again to resume")
        raise
    finally:
        with suppress(OSError):
            path.rmdir()  # only if it is empty
        _release(lock)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Acquire the lock of a file or folder that several runs change; the file need not exist.

    The lock is a file beside it, `.NAME.lock`, removed afterwards. Locks of killed processes are released by the
    system.

    Raises:
        OutputFailed: the folder cannot be written to, or the lock is not released in time.
    """
    file = path.with_name(f".{path.name}{_LOCK}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(file, patience=_PATIENCE)
    except Timeout as error:
        raise OutputFailed(
            f"{path} cannot be changed: another run has held {file.name} for {_PATIENCE / 60:.0f} minutes; "
            "stop that run, or wait for it"
        ) from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputFailed(f"{path} cannot be changed: its lock {file.name} cannot be acquired: {reason}") from error
    try:
        yield
    finally:
        _release(lock)


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Acquire the lock of a file as `locked` does, without waiting; yield whether this process has it.

    Raises:
        OutputFailed: the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(path.with_name(f".{path.name}{_LOCK}"), patience=0)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputFailed(f"{path} cannot be changed: its lock cannot be acquired: {reason}") from error
    try:
        yield True
    finally:
        _release(lock)


def _acquire(file: Path, *, patience: float) -> FileLock | None:
    """Acquire the lock of a file, which `_release` removes; None if the file system does not support locks.

    Raises:
        Timeout: another process holds it.
        OSError: the file cannot be created or opened.
    """
    end = time.monotonic() + patience
    while True:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            own = os.open(file, flags, 0o666)
        except FileNotFoundError:  # another run that failed has removed the empty folder
            file.parent.mkdir(parents=True, exist_ok=True)
            own = os.open(file, flags, 0o666)
        if not _can_lock(own):
            os.close(own)
            os.unlink(file)
            return None
        try:
            lock = FileLock(file, mode=stat.S_IMODE(os.fstat(own).st_mode))
            # If the file is removed before it is opened, the next iteration creates another.
            with suppress(FileNotFoundError):
                if patience:
                    lock.acquire(timeout=max(0.0, end - time.monotonic()), poll_interval=0.02)
                else:
                    lock.acquire(blocking=False)
                # The inode is not reused while `own` is open. If it is still the file of this name, the lock is on it,
                # and not on a file that the previous owner has removed.
                if _is_file(own, file):
                    return lock
                lock.release()
        finally:
            os.close(own)


def _is_file(descriptor: int, path: Path) -> bool:
    """Return whether an open file is the one at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _can_lock(descriptor: int) -> bool:
    """Return whether the file system supports locks; some cluster file systems do not, and are used without."""
    try:
        import fcntl
    except ImportError:  # Windows has other locks
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError as error:
        return error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
    return True


def _release(lock: FileLock | None) -> None:
    if lock is None:
        return
    with suppress(OSError):
        os.unlink(lock.lock_file)
    lock.release()
    if os.name == "nt":  # an open file cannot be removed, neither ours before nor that of another process now
        with suppress(OSError):
            os.unlink(lock.lock_file)


def set_aside(path: Path, names: Iterable[str]) -> Path:
    """Rename a locked file or folder to the first unused name of `names`.

    Raises:
        OSError: it cannot be renamed.
    """
    target = next(path.with_name(name) for name in names if not os.path.lexists(path.with_name(name)))
    os.rename(path, target)
    return target


def remove_stale_temp(folder: Path) -> None:
    """Remove temporary folders of processes that have ended, and empty folders of partial results."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            if name.startswith(_TEMPORARY) and _is_left(folder / name):
                shutil.rmtree(folder / name, ignore_errors=True)
    for name in {name.removesuffix(_LOCK) for name in names if name.startswith(_UNFINISHED)}:
        _remove_empty(folder / name)


def has_users(folder: Path) -> bool:
    """Return whether a running process has temporary folders or locks in a folder."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return False
    if any(name.startswith(_TEMPORARY) and not _is_left(folder / name) for name in names):
        return True
    return any(name.startswith(".") and name.endswith(_LOCK) and _is_held(folder / name) for name in names)


def _is_held(lock_file: Path) -> bool:
    """Return whether a process holds a lock; an unused one is removed."""
    try:
        _release(_acquire(lock_file, patience=0))
    except (OSError, Timeout, NotImplementedError):  # in doubt, it is in use
        return True
    return False


@lru_cache(maxsize=1024)
def _remove_leftovers_once(folder: str) -> None:
    """Remove stale files before the first write into a folder, only once, since it may contain thousands of files."""
    remove_stale_temp(Path(folder))


def _remove_empty(unfinished: Path) -> None:
    """Remove an empty and unused folder of partial results, and its lock."""
    with suppress(OSError, Timeout, NotImplementedError):
        if unfinished.is_dir() and any(unfinished.iterdir()):
            return
        lock = _acquire(unfinished.with_name(f"{unfinished.name}{_LOCK}"), patience=0)
        with suppress(OSError):
            unfinished.rmdir()
        _release(lock)


def _is_left(folder: Path) -> bool:
    """Return whether the process that created a temporary folder has certainly ended."""
    owner = _OWNER.fullmatch(folder.name)
    if owner is None:
        return False
    if owner["place"] != _place():  # another machine or container that shares the disk
        return False
    if owner["boot"] != boot_id():
        return True
    pid = int(owner["pid"])
    return not process_exists(pid) or start_time(pid) not in ("", owner["start"])


@cache
def _place() -> str:
    return text_hash(namespace_id())


def file_hash(path: Path) -> str:
    """Return a hash of the content of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def tree_hash(path: Path, what: str = "file") -> str:
    """Return a hash of the content of a file, or of the names and contents of the files in a folder.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it, or a file in it, cannot be read, or is neither a folder nor a regular file.
    """
    if not stat.S_ISDIR(check_path(path, what).st_mode):
        check_file(path, what)
        with reading(path, what):
            return file_hash(path)
    check_folder(path, what)
    with reading(path, what):
        files = sorted(file for file in path.iterdir() if file.is_file())
    return files_hash(files, what)


def files_hash(files: Iterable[Path], what: str = "file") -> str:
    """Return a hash of the names and contents of files, in the given order.

    Args:
        files: the files.
        what: what they are, for messages.

    Raises:
        InvalidInput: one cannot be read.
    """
    lines = []
    for file in files:
        with reading(file, what):
            lines.append(f"{file.name}\0{file_hash(file)}")
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
