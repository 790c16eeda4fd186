"""Download of OpenVid-1M (Nan et al. 2024, arXiv 2407.02371; CC-BY-4.0): videos and a table of captions.

The videos are in zip files of 30 to 50 GB; larger ones are split, `OpenVid_part73_partaa`, `..._partab`. One part at a
time is downloaded, unpacked and removed, so that the disk needs room for the videos and one zip file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path, PurePosixPath

import attrs
from rich import filesize
from rich.console import RenderableType
from rich.table import Table

from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidConfig, InvalidInput, OutputFailed
from ex4d_core.files import atomic_write, remove_stale_temp, resumable_dir
from ex4d_core.hub import HubRepo
from ex4d_core.hub.download import HubSnapshot, RemoteFile, download, look_up, plan_of
from ex4d_core.progress import Progress, silent
from ex4d_core.terminal import plain_markup
from ex4d_training.data.zips import unpack
from ex4d_training.records import damage, read_object, whole_number

REPO = "nkp37/OpenVid-1M"
TABLE = "data/train/OpenVid-1M.csv"
"""Path in the repository."""
LICENSE = "CC-BY-4.0; the terms of the videos apply too"

_LISTED = (TABLE, "OpenVid_part*")
_PART = re.compile(r"OpenVid_part(\d+)(?:\.zip|_part[a-z]{2})")
_CACHE = ".download"
_VIDEOS = "videos"
_DONE = ".parts.json"


@attrs.frozen(kw_only=True)
class DataPlan:
    """Files of the data set to download, listed at one commit."""

    folder: Path
    """Output folder."""
    listed: HubSnapshot
    """Files to download: missing parts, and the table if it is missing."""
    parts: tuple[int, ...]
    """Missing parts."""
    unpacked: tuple[int, ...]
    """Parts that are unpacked already."""

    @property
    def table(self) -> Path:
        """CSV file of names and captions."""
        return self.folder / PurePosixPath(TABLE).name

    @property
    def videos(self) -> Path:
        """Folder of the videos."""
        return self.folder / _VIDEOS

    @property
    def cache(self) -> Path:
        """Folder of downloads until they are unpacked."""
        return self.folder / _CACHE

    @property
    def missing(self) -> int:
        """Bytes to download."""
        return self.listed.missing

    @cached_property
    def needed(self) -> int:
        """Peak disk usage in bytes: all videos, about as large as their zip files, and one zip file."""
        sizes = [sum(file.size for file in self.files_of(part)) for part in self.parts]
        zips = sum(sizes) + max(sizes, default=0)
        arrived = self.listed.size - self.listed.missing
        return zips + sum(file.size for file in self.table_files) - arrived

    @cached_property
    def free(self) -> int:
        """Free bytes on the disk."""
        return plan_of((self.listed,), self.cache).free

    @property
    def table_files(self) -> tuple[RemoteFile, ...]:
        """The CSV file on the hub, if it is to be downloaded."""
        return tuple(file for file in self.listed.remote if file.path == TABLE)

    def files_of(self, part: int) -> tuple[RemoteFile, ...]:
        """Return the zip file of a part, or its pieces in order."""
        of_part = [file for file in self.listed.remote if _part_of(file.path) == part]
        return tuple(sorted(of_part, key=lambda file: file.path))

    def check_room(self) -> None:
        """Check the free space.

        Raises:
            OutputFailed: the disk is too small.
        """
        if self.needed > self.free:
            raise OutputFailed(
                f"the videos and one zip file need up to {self.needed / 1e9:.1f} GB, but the disk of {self.folder} has "
                f"{self.free / 1e9:.1f} GB free; free space, reduce --parts, or use an --output-dir on another disk"
            )


def parse_parts(text: str) -> tuple[int, ...]:
    """Return the sorted numbers of a text such as `0..3,7`.

    Raises:
        InvalidConfig: the text is invalid.
    """
    parts: set[int] = set()
    for piece in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:\.\.(\d{1,6}))?\s*", piece)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            raise InvalidConfig(f"--parts must be numbers and ranges, such as 0, 0..3 or 0..3,7, not {shown(text)}")
        parts |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(parts))


def look_up_parts(parts: Sequence[int], folder: Path, *, repo: str = REPO) -> DataPlan:
    """List the files of parts on the hub, and the parts that are unpacked already.

    Args:
        parts: their numbers.
        folder: output folder.
        repo: OWNER/NAME of the data set, or of a copy of it.

    Raises:
        InvalidConfig: a part does not exist.
        DownloadFailed: the hub cannot be reached, or refuses access.
    """
    files = HubRepo(repo=repo, revision="main", patterns=_LISTED, kind="dataset")
    (listed,) = look_up([files], folder / _CACHE).checkpoints
    there = {part for file in listed.remote if (part := _part_of(file.path)) is not None}
    if unknown := sorted(set(parts) - there):
        raise InvalidConfig(
            f"{repo} has no part {unknown[0]}; it has {len(there)} parts from {min(there)} to {max(there)}"
        )
    unpacked = _unpacked(folder)
    missing = tuple(part for part in parts if part not in unpacked)
    table = () if (folder / PurePosixPath(TABLE).name).is_file() else (TABLE,)
    wanted = (file for file in listed.remote if _part_of(file.path) in missing or file.path in table)
    return DataPlan(
        folder=folder,
        listed=attrs.evolve(listed, remote=tuple(wanted)),
        parts=missing,
        unpacked=tuple(part for part in parts if part in unpacked),
    )


Show = Callable[[str], AbstractContextManager[Progress]]
"""Opens a stage and returns its progress callback."""


def _silent(name: str) -> AbstractContextManager[Progress]:
    return nullcontext(silent)


def download_parts(plan: DataPlan, *, transfer: Show = _silent, stage: Show = _silent) -> None:
    """Download, unpack and remove one part after the other; a second call resumes.

    Args:
        plan: the parts.
        transfer: shows the progress of downloads.
        stage: shows the progress of unpacking.

    Raises:
        DownloadFailed: the hub cannot be reached, or a checksum differs.
        InvalidInput: another run downloads into the folder.
        OutputFailed: the folder cannot be written, or the disk is full.
    """
    with resumable_dir(plan.cache, tell=lambda text: None) as cache:
        if cache is None:
            raise InvalidInput(f"another run downloads into {plan.folder}; wait until it ends, then try again")
        _download_parts(plan, transfer, stage)


def _download_parts(plan: DataPlan, transfer: Show, stage: Show) -> None:
    for place in (plan.folder, plan.videos):
        if place.is_dir():
            remove_stale_temp(place)
    if plan.table_files:
        (table,) = _fetch(plan, plan.table_files, transfer, "table")
        with atomic_write(plan.table) as temporary:
            shutil.copyfile(table, temporary)
    for part in plan.parts:
        if part in _unpacked(plan.folder):  # by another run in the meantime
            continue
        archive = _fetch(plan, plan.files_of(part), transfer, f"part {part}")
        with stage(f"unpack {part}") as progress:
            count = unpack(archive, plan.videos, progress=progress)
        with atomic_write(plan.folder / _DONE) as temporary:
            temporary.write_text(json.dumps({**_unpacked(plan.folder), part: count}))
        for place in plan.cache.iterdir():
            shutil.rmtree(place, ignore_errors=True)


def plan_tables(plan: DataPlan) -> Iterator[RenderableType]:
    """Yield the plan as tables and lines."""
    table = Table("part", title=f"{plan.listed.files.repo} ({plan.listed.commit[:12]})", title_justify="left")
    for heading in ("files", "size", "to download"):
        table.add_column(heading, justify="right")
    if plan.table_files:
        table.add_row("table", *_amounts(plan.table_files))
    for part in plan.parts:
        table.add_row(str(part), *_amounts(plan.files_of(part)))
    yield table
    if plan.unpacked:
        yield f"unpacked already: {', '.join(map(str, plan.unpacked))}"
    yield (
        f"to download: {filesize.decimal(plan.missing)}; peak disk usage: {filesize.decimal(plan.needed)}, of "
        f"{filesize.decimal(plan.free)} free in {plain_markup(plan.folder)}"
    )
    yield f"license: {LICENSE}"


def plan_json(plan: DataPlan, *, done: bool) -> str:
    """Return the plan as JSON.

    Args:
        plan: the plan before the download.
        done: whether the download is complete.
    """
    return json.dumps(
        {
            "repo": plan.listed.files.repo,
            "commit": plan.listed.commit,
            "license": LICENSE,
            "folder": str(plan.folder),
            "table": str(plan.table),
            "parts": {part: {file.path: file.size for file in plan.files_of(part)} for part in plan.parts},
            "unpacked": list(plan.unpacked),
            "missing": plan.missing,
            "needed": plan.needed,
            "free": plan.free,
            "done": done,
        },
        indent=1,
    )


def _amounts(files: Sequence[RemoteFile]) -> tuple[str, str, str]:
    size, missing = sum(file.size for file in files), sum(file.missing for file in files)
    return str(len(files)), filesize.decimal(size), filesize.decimal(missing)


def _fetch(plan: DataPlan, files: Sequence[RemoteFile], transfer: Show, name: str) -> list[Path]:
    """Download files of the data set and return their paths."""
    asked = attrs.evolve(plan.listed.files, patterns=tuple(file.path for file in files))
    part = plan_of([attrs.evolve(plan.listed, files=asked, remote=tuple(files))], plan.cache)
    with transfer(name) as progress:
        (folder,) = download(part, progress)
    return [folder / file.path for file in files]


def _part_of(path: str) -> int | None:
    match = _PART.fullmatch(path)
    return int(match[1]) if match else None


def _unpacked(folder: Path) -> dict[int, int]:
    """Return the unpacked parts with their numbers of videos; none if the folder of videos was removed.

    Raises:
        InvalidInput: the record cannot be read, or is damaged.
    """
    record = folder / _DONE
    if not ((folder / _VIDEOS).is_dir() and os.path.lexists(record)):
        return {}
    with damage(record, "delete it to download the parts again"):
        parts = read_object(record, "record of the parts").items()
        return {whole_number(int(part), "the part"): whole_number(count, f"the part {part}") for part, count in parts}
