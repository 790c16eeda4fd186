"""The artifacts of a run folder: found by key, written whole or not at all.

An artifact is a folder `artifacts/STAGE-KEY/` with files and a manifest of their sizes and checksums. The key is a
hash of everything that decides the content, so that equal keys mean equal artifacts, and two runs that make the same
one at the same time may both go on: the first to rename wins.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from ex4d_core.errors import OutputFailed
from ex4d_core.files import file_hash, kept_folder, remove_leftovers, temporary_folder

Value = TypeVar("Value")

MANIFEST = "artifact.json"


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

    def __init__(self, folder: Path, *, warn: Callable[[str], None] = lambda text: None) -> None:
        """Open the artifacts below `folder`, which need not exist yet; `warn` is told of damaged ones."""
        self._folder = folder / "artifacts"
        self._warn = warn
        for place in (folder, self._folder):
            remove_leftovers(place)

    def load(self, stage: str, key: str, read: Callable[[Path], Value]) -> Value | None:
        """Return what `read` makes of the artifact, or None where there is none that is whole."""
        folder = self._path(stage, key)
        if not folder.exists():
            return None
        try:
            _check(folder, key)
            return read(folder)
        # Whatever a damaged file makes its reader raise, the answer is the same: make it again.
        except Exception as error:
            self._warn(f"{stage} in {folder} is damaged ({error}); it is made again")
            self._remove(folder)
            return None

    def save(self, stage: str, key: str, inputs: Mapping[str, Any], write: Callable[[Path], None]) -> None:
        """Let `write` fill a temporary folder and give it its final name.

        Raises:
            OutputFailed: the folder cannot be written to, or the disk is full.
        """
        final = self._path(stage, key)
        try:
            with temporary_folder(self._folder) as temporary:
                write(temporary)
                files = {
                    file.name: {"bytes": file.stat().st_size, "blake2b": file_hash(file)}
                    for file in temporary.iterdir()
                }
                manifest = {"stage": stage, "key": key, "inputs": inputs, "files": files}
                (temporary / MANIFEST).write_text(json.dumps(manifest, indent=2, default=str))
                self._put(temporary, final, key)
        except OSError as error:
            # A codec has wrapped it already, under a temporary name that tells nobody anything.
            reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise OutputFailed(f"{final} cannot be written: {reason.strerror or reason}") from error

    def unfinished(self, stage: str, key: str, *, tell: Callable[[str], None]) -> AbstractContextManager[Path | None]:
        """Give a folder for what is done so far of an artifact, as `files.kept_folder` does."""
        return kept_folder(self._folder / f".partial-{stage}-{key}", tell=tell)

    def _put(self, temporary: Path, final: Path, key: str) -> None:
        """Rename, unless another run has put the same artifact there meanwhile; a damaged one makes way."""
        try:
            os.rename(temporary, final)
        except OSError:
            try:
                _check(final, key)
            except (OSError, ValueError, KeyError, TypeError):
                self._remove(final)
                os.rename(temporary, final)

    def _remove(self, folder: Path) -> None:
        """Rename, then delete: another run sees the whole artifact or none."""
        with suppress(OSError), temporary_folder(self._folder) as aside:
            os.rename(folder, aside / "damaged")

    def _path(self, stage: str, key: str) -> Path:
        return self._folder / f"{stage}-{key}"


def _check(folder: Path, key: str) -> None:
    """Raise ValueError, or what reading raises, unless the artifact is the one of `key` and whole."""
    manifest = json.loads((folder / MANIFEST).read_text())
    if manifest["key"] != key:
        raise ValueError("it belongs to another run")
    for name, facts in manifest["files"].items():
        file = folder / name
        if file.stat().st_size != facts["bytes"]:
            raise ValueError(f"{name} has {file.stat().st_size} bytes instead of {facts['bytes']}")
        if file_hash(file) != facts["blake2b"]:
            raise ValueError(f"the checksum of {name} differs")
