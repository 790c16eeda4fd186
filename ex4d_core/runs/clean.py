"""Find and remove the files of run folders that can be made again: artifacts, partial results and leftovers.

Results, records, configurations and every other file of the user stay.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from ex4d_core.errors import Ex4dError, InputNotFound, OutputFailed
from ex4d_core.files import has_users, temporary_folder
from ex4d_core.pipeline.records import CONFIG, RUN_RECORD, Record
from ex4d_core.pipeline.store import MANIFEST
from ex4d_core.reading import check_folder
from ex4d_core.shell import command_line

_KINDS = {
    "artifact": re.compile(r"(?P<stage>[a-z]+)-[0-9a-f]{32}"),
    "damaged": re.compile(r"damaged-(?P<stage>[a-z]+)-[0-9a-f]{32}(-\d+)?"),
    "partial": re.compile(r"\.partial-(?P<stage>[a-z]+)-[0-9a-f]{32}"),
    "temporary": re.compile(r"\.part-[0-9a-f]{16}-.*"),
}


@attrs.frozen(kw_only=True)
class Removable:
    """A folder in `artifacts/` that can be made again, or is of no further use."""

    path: Path
    kind: str
    """artifact, damaged, partial or temporary."""
    stage: str
    bytes: int
    written: float
    """When it was written, in seconds since the epoch."""


@attrs.frozen(kw_only=True)
class RunFolder:
    """A run folder, and what can be removed from it."""

    folder: Path
    items: tuple[Removable, ...]
    is_in_use: bool
    """Whether a running process has files or locks in it; nothing is removed then."""

    @property
    def bytes(self) -> int:
        """Size of all items."""
        return sum(item.bytes for item in self.items)

    @property
    def made_again(self) -> str:
        """The command that makes the artifacts again."""
        config = self.folder / CONFIG
        return (
            command_line(("ex4d", "run", "--config", str(config))) if config.is_file() else "the next run of the clip"
        )


def find_run_folders(folders: Iterable[Path], *, before: float = math.inf) -> list[RunFolder]:
    """Return the run folders among folders and inside them, also those of sweeps, which are one level deeper.

    Args:
        folders: run folders, or folders that contain them.
        before: only artifacts written before this time are items, in seconds since the epoch.

    Raises:
        InputNotFound: a folder does not exist, or none of them is or contains a run folder.
        InvalidInput: a folder cannot be read.
    """
    found = {}
    for folder in folders:
        check_folder(folder, "folder")
        for each in _run_folders(folder, levels=2):
            found[os.path.realpath(each)] = each
    if not found:
        names = ", ".join(map(str, folders))
        raise InputNotFound(f"{names} has no run folders, which contain {RUN_RECORD}; pass the output folder of a run")
    return [
        RunFolder(
            folder=each,
            items=tuple(item for item in _items(each / "artifacts") if item.written < before),
            is_in_use=has_users(each / "artifacts"),
        )
        for each in found.values()
    ]


def _run_folders(folder: Path, *, levels: int) -> Iterator[Path]:
    """Yield a folder if it is a run folder, and those inside it that are; links are not followed."""
    is_run = _is_run_folder(folder)
    if is_run:
        yield folder
    for child in sorted(_folders_in(folder)) if levels else ():
        if not (is_run and child.name == "artifacts"):
            yield from _run_folders(child, levels=levels - 1)


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [child for child in folder.iterdir() if child.is_dir() and not child.is_symlink()]
    except OSError:  # of another user
        return []


def remove(run: RunFolder) -> int:
    """Remove the items of a run folder; return the bytes that they took.

    Raises:
        OutputFailed: an item cannot be removed.
    """
    if not run.items or has_users(run.folder / "artifacts"):
        return 0
    done = 0
    try:
        with temporary_folder(run.folder / "artifacts") as trash:
            for item in run.items:
                # Renamed first, so that no other process finds half of an artifact.
                if item.kind != "temporary":
                    os.rename(item.path, trash / item.path.name.lstrip("."))
                else:
                    shutil.rmtree(item.path, ignore_errors=True)
                done += item.bytes
    except OSError as error:
        raise OutputFailed(f"{run.folder} cannot be cleaned: {error.strerror or error}") from error
    return done


def _is_run_folder(folder: Path) -> bool:
    if not (folder / RUN_RECORD).is_file() or (folder / "artifacts").is_symlink():
        return False
    try:
        facts = Record(folder / RUN_RECORD).read()
    except Ex4dError:
        return False
    return "source" in facts or "takes" in facts or "depth" in facts


def _items(artifacts: Path) -> Iterator[Removable]:
    if not artifacts.is_dir():
        return
    for path in sorted(artifacts.iterdir()):
        for kind, pattern in _KINDS.items():
            match = pattern.fullmatch(path.name)
            if match is None or path.is_symlink() or not path.is_dir():
                continue
            if kind == "artifact" and not (path / MANIFEST).is_file():
                continue
            stage = match.groupdict().get("stage") or ""
            yield Removable(path=path, kind=kind, stage=stage, bytes=_size(path), written=path.stat().st_mtime)


def _size(folder: Path) -> int:
    return sum((Path(parent) / name).lstat().st_size for parent, _, names in os.walk(folder) for name in names)
