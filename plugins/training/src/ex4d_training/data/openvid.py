"""Parts of OpenVid-1M (Nan et al. 2024, arXiv 2407.02371; CC-BY-4.0) from the hub, as videos and a table of captions.

The hub has the videos in zips of 30 to 50 GB; larger ones are cut into pieces, `OpenVid_part73_partaa`, `..._partab`.
One part at a time is fetched, unpacked and removed, so that the disk holds the videos and one zip at most.
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
"""In the repository."""
LICENCE = "CC-BY-4.0; the videos' own terms hold besides"

_LISTED = (TABLE, "OpenVid_part*")
_PART = re.compile(r"OpenVid_part(\d+)(?:\.zip|_part[a-z]{2})")
_CACHE = ".download"
_VIDEOS = "videos"
_DONE = ".parts.json"


@attrs.frozen(kw_only=True)
class DataPlan:
    """What is needed of the data set, as it was when the hub was asked."""

    folder: Path
    """For the videos and the table."""
    listed: HubSnapshot
    """The table unless it is here, and the parts that are still to come."""
    parts: tuple[int, ...]
    """That are still to come."""
    unpacked: tuple[int, ...]
    """That are here already."""

    @property
    def table(self) -> Path:
        """The CSV of names and captions."""
        return self.folder / PurePosixPath(TABLE).name

    @property
    def videos(self) -> Path:
        """The folder of the videos."""
        return self.folder / _VIDEOS

    @property
    def cache(self) -> Path:
        """What arrives, until it is unpacked."""
        return self.folder / _CACHE

    @property
    def missing(self) -> int:
        """Bytes that are still to come."""
        return self.listed.missing

    @cached_property
    def needed(self) -> int:
        """Bytes of disk that it takes at its fullest: all the videos, about as large as their zips, and one zip."""
        sizes = [sum(file.size for file in self.files_of(part)) for part in self.parts]
        zips = sum(sizes) + max(sizes, default=0)
        arrived = self.listed.size - self.listed.missing
        return zips + sum(file.size for file in self.table_files) - arrived

    @cached_property
    def free(self) -> int:
        """Bytes that the disk has free."""
        return plan_of((self.listed,), self.cache).free

    @property
    def table_files(self) -> tuple[RemoteFile, ...]:
        """The CSV on the hub, unless it is here."""
        return tuple(file for file in self.listed.remote if file.path == TABLE)

    def files_of(self, part: int) -> tuple[RemoteFile, ...]:
        """Return the zip of a part, or the pieces that it was cut into, in their order."""
        of_part = [file for file in self.listed.remote if _part_of(file.path) == part]
        return tuple(sorted(of_part, key=lambda file: file.path))

    def check_room(self) -> None:
        """Refuse a download that cannot fit.

        Raises:
            OutputFailed: the disk has too little room.
        """
        if self.needed > self.free:
            raise OutputFailed(
                f"the videos and the zip that is unpacked take up to {self.needed / 1e9:.1f} GB and the disk of "
                f"{self.folder} has {self.free / 1e9:.1f} GB free; make room, ask for fewer --parts, or choose an "
                "--output-dir on another disk"
            )


def parse_parts(text: str) -> tuple[int, ...]:
    """Return the numbers that a text such as `0..3,7` names, rising.

    Raises:
        InvalidConfig: it is not made of numbers and ranges.
    """
    parts: set[int] = set()
    for piece in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:\.\.(\d{1,6}))?\s*", piece)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            raise InvalidConfig(f"--parts must be numbers and ranges, such as 0, 0..3 or 0..3,7, not {shown(text)}")
        parts |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(parts))


def look_up_parts(parts: Sequence[int], folder: Path, *, repo: str = REPO) -> DataPlan:
    """Ask the hub for parts, and look which of them are unpacked here.

    Args:
        parts: their numbers.
        folder: for the videos and the table.
        repo: OWNER/NAME of the data set, or of a copy of it.

    Raises:
        InvalidConfig: there is no such part.
        DownloadFailed: the hub cannot be reached, or does not give what is asked for.
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
"""Opens a stage and gives the callback for its progress."""


def _unseen(name: str) -> AbstractContextManager[Progress]:
    return nullcontext(silent)


def bring(plan: DataPlan, *, transfer: Show = _unseen, stage: Show = _unseen) -> None:
    """Fetch, unpack and remove one part after the other; a second call goes on where one stopped.

    Args:
        plan: what is to come.
        transfer: shows bytes on their way.
        stage: shows videos as they are unpacked.

    Raises:
        DownloadFailed: the hub cannot be reached, or a file is not what the hub says of it.
        InvalidInput: another run downloads into the folder now.
        OutputFailed: the folder cannot be written, or the disk is full.
    """
    with resumable_dir(plan.cache, tell=lambda text: None) as cache:
        if cache is None:
            raise InvalidInput(f"another run downloads into {plan.folder} now; wait for it, and type the command again")
        _bring(plan, transfer, stage)


def _bring(plan: DataPlan, transfer: Show, stage: Show) -> None:
    for place in (plan.folder, plan.videos):
        if place.is_dir():
            remove_stale_temp(place)
    if plan.table_files:
        (table,) = _fetch(plan, plan.table_files, transfer, "table")
        with atomic_write(plan.table) as temporary:
            shutil.copyfile(table, temporary)
    for part in plan.parts:
        if part in _unpacked(plan.folder):  # by another run, after this one asked the hub
            continue
        archive = _fetch(plan, plan.files_of(part), transfer, f"part {part}")
        with stage(f"unpack {part}") as progress:
            count = unpack(archive, plan.videos, progress=progress)
        with atomic_write(plan.folder / _DONE) as temporary:
            temporary.write_text(json.dumps({**_unpacked(plan.folder), part: count}))
        for place in plan.cache.iterdir():
            shutil.rmtree(place, ignore_errors=True)


def plan_tables(plan: DataPlan) -> Iterator[RenderableType]:
    """Yield what is needed and what is here already."""
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
        f"to download: {filesize.decimal(plan.missing)}; on the disk while it is unpacked: up to "
        f"{filesize.decimal(plan.needed)}, and {filesize.decimal(plan.free)} are free in {plain_markup(plan.folder)}"
    )
    yield f"license: {LICENCE}"


def plan_json(plan: DataPlan, *, done: bool) -> str:
    """Return the plan as JSON.

    Args:
        plan: as it was before the download.
        done: whether everything is here now.
    """
    return json.dumps(
        {
            "repo": plan.listed.files.repo,
            "commit": plan.listed.commit,
            "license": LICENCE,
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
    """Return where files of the data set are, fetched."""
    asked = attrs.evolve(plan.listed.files, patterns=tuple(file.path for file in files))
    part = plan_of([attrs.evolve(plan.listed, files=asked, remote=tuple(files))], plan.cache)
    with transfer(name) as progress:
        (folder,) = download(part, progress)
    return [folder / file.path for file in files]


def _part_of(path: str) -> int | None:
    match = _PART.fullmatch(path)
    return int(match[1]) if match else None


def _unpacked(folder: Path) -> dict[int, int]:
    """Return the parts that are here, with the number of their videos; none where their folder was removed.

    Raises:
        InvalidInput: the record of them cannot be read, or is damaged.
    """
    record = folder / _DONE
    if not ((folder / _VIDEOS).is_dir() and os.path.lexists(record)):
        return {}
    with damage(record, "delete it, and the parts are downloaded again"):
        parts = read_object(record, "record of the parts").items()
        return {whole_number(int(part), "the part"): whole_number(count, f"the part {part}") for part, count in parts}
