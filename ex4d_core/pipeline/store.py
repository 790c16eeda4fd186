"""Store the artifacts of a run folder: looked up by key, written atomically.

An artifact is a folder `artifacts/STAGE-KEY/` with files and a manifest of their sizes and checksums. The key is a hash
of everything that determines the content. Equal keys mean equal artifacts, so two runs may make the same one at the
same time: the first to rename wins.

An artifact that is damaged is renamed to `artifacts/damaged-STAGE-KEY-1` and computed again. One that cannot be read
because of permissions, memory or the disk is an error and stays.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.files import file_hash, locked, remove_stale_temp, resumable_dir, set_aside, temporary_folder
from ex4d_core.names import numbered, safe_name
from ex4d_core.pipeline.records import dumped
from ex4d_core.reading import MOST_TEXT, parse_json, reading

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

Value = TypeVar("Value")

MANIFEST = "artifact.json"

_NOT_A_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
"""Errors that mean that a file is missing or of another kind; all others are errors of the system."""


class Damaged(InvalidInput):
    """The manifest, a size, a checksum or the content of a file shows that an artifact is damaged."""


def content_key(inputs: Mapping[str, Any]) -> str:
    """Return the key of an artifact made from `inputs`: 32 hex digits of a hash of their canonical JSON."""
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def tensor_hash(tensor: Tensor) -> str:
    """Return a hash of the shape and the bytes of a tensor on the CPU."""
    digest = hashlib.blake2b(str(list(tensor.shape)).encode(), digest_size=16)
    digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


class Store:
    """The artifacts of one run folder."""

    def __init__(
        self,
        folder: Path,
        *,
        warn: Callable[[str], None] = lambda text: None,
        read_only: bool = False,
    ) -> None:
        """Open the artifacts below a folder.

        Args:
            folder: the run folder, which need not exist yet.
            warn: called with messages on damaged artifacts.
            read_only: write, rename and remove nothing.
        """
        self.folder = folder
        self._folder = folder / "artifacts"
        self._warn = warn
        self.read_only = read_only
        for parent in () if read_only else (folder, self._folder):
            remove_stale_temp(parent)

    def load(self, stage: str, key: str, read: Callable[[Path], Value]) -> Value | None:
        """Read an artifact; return None if it does not exist or is damaged.

        A damaged artifact is renamed, unless the store is read-only.

        Raises:
            InvalidInput: the artifact cannot be read because of the system.
            OutputFailed: a damaged artifact cannot be renamed.
        """
        folder = self._path(stage, key)
        with reading(folder, "artifact"):
            before = _status(folder)
        if before is None:
            return None
        try:
            with reading(folder, "artifact"):
                _check(folder, key)
                return read(folder)
        except Damaged as error:
            damage = error
        if self.read_only:
            self._warn(f"{stage} in {folder} is damaged ({damage}); the next run computes it again")
        elif renamed := self._make_way(folder, before):
            self._warn(
                f"{stage} in {folder} is damaged ({damage}); it was renamed to {renamed.name} and is computed again"
            )
        return None

    def size(self, stage: str, key: str) -> int | None:
        """Return the bytes of the files of an artifact, or None if it does not exist."""
        try:
            with os.scandir(self._path(stage, key)) as files:
                return sum(file.stat().st_size for file in files)
        except OSError:
            return None

    def save(self, stage: str, key: str, inputs: Mapping[str, Any], write: Callable[[Path], None]) -> None:
        """Write an artifact: `write` fills a temporary folder, which is then renamed.

        Raises:
            OutputFailed: the folder cannot be written to, or the disk is full.
        """
        final = self._path(stage, key)
        try:
            with temporary_folder(self._folder) as temporary:
                write(temporary)
                files = {
                    file.name: {"bytes": file.stat().st_size, "blake2b": file_hash(file)}
                    for file in sorted(temporary.iterdir())
                }
                manifest = {"stage": stage, "key": key, "inputs": inputs, "files": files}
                (temporary / MANIFEST).write_text(dumped(manifest), encoding="utf-8")
                self._put(temporary, final, key)
        except OSError as error:
            # A codec may have wrapped it, with the temporary name in its message.
            reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise OutputFailed(f"{final} cannot be written: {reason.strerror or reason}") from error

    def adopt(self, stage: str, key: str, others: Iterable[Store]) -> None:
        """Take an artifact over from another run folder, if this one lacks it: linked, or copied where links fail.

        Raises:
            OutputFailed: the folder cannot be written to, or the disk is full.
        """
        final = self._path(stage, key)
        for folder in () if _status(final) else (other._path(stage, key) for other in others):
            try:
                _check(folder, key)
            except (Damaged, OSError):
                continue
            try:
                with temporary_folder(self._folder) as temporary:
                    for file in folder.iterdir():
                        _link_or_copy(file, temporary / file.name)
                    return self._put(temporary, final, key)
            except OSError as error:
                raise OutputFailed(f"{final} cannot be written: {error.strerror or error}") from error

    def unfinished(self, stage: str, key: str, *, tell: Callable[[str], None]) -> AbstractContextManager[Path | None]:
        """Open the folder for partial results of an artifact, as `files.resumable_dir` does."""
        return resumable_dir(self._folder / f".partial-{stage}-{key}", tell=tell)

    def _put(self, temporary: Path, final: Path, key: str) -> None:
        """Rename, unless another run has stored the same artifact; rename a damaged one first."""
        while True:
            try:
                os.rename(temporary, final)
                return
            except OSError:
                before = _status(final)
                if before is None:
                    raise
            try:
                _check(final, key)
                return
            except Damaged:
                self._make_way(final, before)

    def _make_way(self, folder: Path, damaged: os.stat_result) -> Path | None:
        """Rename a damaged artifact and return its new path, or None if another run has renamed it."""
        try:
            with locked(self._folder / "damaged"):
                now = _status(folder)
                if now is None or not os.path.samestat(now, damaged):
                    return None
                return set_aside(folder, numbered(f"damaged-{folder.name}"))
        except OutputFailed:
            raise
        except OSError as error:
            raise OutputFailed(f"{folder} is damaged and cannot be renamed: {error.strerror or error}") from error

    def _path(self, stage: str, key: str) -> Path:
        return self._folder / f"{stage}-{key}"


def _link_or_copy(file: Path, target: Path) -> None:
    try:
        os.link(file, target)  # files of artifacts never change
    except OSError:
        shutil.copyfile(file, target)


def is_of_the_system(error: BaseException) -> bool:
    """Return whether the system caused an error, not the content of a file."""
    return any(
        isinstance(link, MemoryError) or (isinstance(link, OSError) and link.errno not in (None, *_NOT_A_FILE))
        for link in _chain(error)
        if not isinstance(link, InvalidInput)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _status(folder: Path) -> os.stat_result | None:
    """Return the status of an artifact, or None if nothing has its name."""
    try:
        return os.lstat(folder)
    except FileNotFoundError:
        return None


def _check(folder: Path, key: str) -> None:
    """Check that an artifact has a key and is complete.

    Raises:
        Damaged: it is not.
        OSError: it cannot be read.
    """
    manifest = _manifest(folder / MANIFEST)
    if manifest["key"] != key:
        raise Damaged("it belongs to another run")
    for name, facts in manifest["files"].items():
        with _file_of_artifact(folder / name) as size:
            if size != facts["bytes"]:
                raise Damaged(f"{name} has {size} bytes instead of {facts['bytes']}")
            if file_hash(folder / name) != facts["blake2b"]:
                raise Damaged(f"the checksum of {name} differs")


def _manifest(path: Path) -> dict[str, Any]:
    """Read a manifest: the key, and size and checksum of each file of the folder."""
    with _file_of_artifact(path) as size:
        if size > MOST_TEXT:
            raise Damaged(f"{MANIFEST} is too large")
        text = path.read_bytes()
    try:
        manifest: dict[str, Any] = parse_json(text)
        _ = manifest["key"]
        for name, facts in manifest["files"].items():
            _, _ = facts["bytes"], facts["blake2b"]
            if safe_name(name) != name:
                raise ValueError(f"{name!r} is not a file name")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Damaged(f"{MANIFEST}: {error}") from error
    return manifest


@contextmanager
def _file_of_artifact(path: Path) -> Iterator[int]:
    """Yield the size of a file; a missing file, or another kind of file, is damage."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Damaged(f"{path.name} is not a file")
        yield status.st_size
    except OSError as error:
        if error.errno not in _NOT_A_FILE:
            raise
        raise Damaged(f"{path.name}: {error.strerror}") from error
