"""Which videos there are and what each is said to show: a folder of videos, or a CSV as OpenVid-1M has it."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from ex4d_core.batch import VIDEO_SUFFIXES
from ex4d_core.errors import InputNotFound, InvalidInput

VIDEO_COLUMNS = ("video", "video_path", "path", "file", "file_name", "filename", "name")
"""What the column of the videos may be called, best first; OpenVid-1M says `video`."""

CAPTION_COLUMNS = ("caption", "text", "prompt", "description")

VIDEO_FOLDERS = (".", "videos", "video")
"""Where videos that a CSV names are looked for, from the folder of the CSV on."""


@attrs.frozen(kw_only=True)
class Source:
    """A video of the data set."""

    name: str
    """As the list of videos has it: unique, and the same on another machine."""
    path: Path
    caption: str = ""
    """What it shows, or '' where nobody says."""


@attrs.frozen(kw_only=True)
class Sources:
    """The videos of a data set."""

    videos: tuple[Source, ...]
    absent: int = 0
    """Rows of a CSV whose video is not on this machine; with OpenVid these are the parts that were not downloaded."""


def find_sources(data_path: Path) -> Sources:
    """Return the videos of a folder, with those of the folders in it but for hidden ones, or of a CSV.

    A caption comes from the CSV, else from a file of the video's name that ends in `.txt`.

    Raises:
        InputNotFound: there is no such folder or file.
        InvalidInput: there are no videos, the CSV lacks a column, or it cannot be read.
    """
    if data_path.is_dir():
        videos = tuple(_in_folder(data_path))
        if not videos:
            raise InvalidInput(
                f"{data_path} has no videos, nor have the folders in it; looked for " + " ".join(sorted(VIDEO_SUFFIXES))
            )
        return Sources(videos=videos)
    if not data_path.is_file():
        raise InputNotFound(
            f"{data_path} does not exist; give a folder of videos, or a CSV of their names and captions"
        )
    if data_path.suffix.lower() != ".csv":
        raise InvalidInput(f"{data_path} is neither a folder nor a .csv file; give one of them")
    return _in_csv(data_path)


def _in_folder(folder: Path) -> Iterator[Source]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)  # such as what an unpacking is at now
        if path.suffix.lower() in VIDEO_SUFFIXES and not hidden and path.is_file():
            # Names on disk may be any bytes, and these here are hashed and printed.
            name = os.fsencode(inside.as_posix()).decode(errors="backslashreplace")
            yield Source(name=name, path=path, caption=_beside(path))


def _in_csv(table: Path) -> Sources:
    found: dict[str, Source] = {}
    absent = 0
    for name, caption in _rows(table):
        path = _place(table.parent, name)
        if path is None:
            absent += 1
        elif name not in found:
            found[name] = Source(name=name, path=path, caption=caption or _beside(path))
    if not found:
        looked = ", ".join(str(table.parent / folder) for folder in VIDEO_FOLDERS)
        raise InvalidInput(
            f"none of the {absent} videos that {table} names is here (looked in {looked}); "
            "put the videos there, or give a folder of videos"
        )
    return Sources(videos=tuple(found.values()), absent=absent)


def _rows(table: Path) -> Iterator[tuple[str, str]]:
    """Yield name and caption of each row."""
    csv.field_size_limit(2**24)
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [column.strip() for column in reader.fieldnames or ()]
            reader.fieldnames = columns
            video, caption = _column(columns, VIDEO_COLUMNS), _column(columns, CAPTION_COLUMNS)
            if video is None:
                raise InvalidInput(
                    f"{table} has no column of videos (one of {', '.join(VIDEO_COLUMNS)}); "
                    f"it has: {', '.join(columns) or 'nothing'}"
                )
            for row in reader:
                if name := (row[video] or "").strip():
                    yield name, ((row[caption] or "").strip() if caption else "")
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"{table} cannot be read as CSV in UTF-8: {error}") from error


def _column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    by_name = {column.lower(): column for column in columns}
    return next((by_name[name] for name in names if name in by_name), None)


def _place(folder: Path, name: str) -> Path | None:
    try:
        return next((path for inner in VIDEO_FOLDERS if (path := folder / inner / name).is_file()), None)
    except OSError:  # no name that a file can have
        return None


def _beside(path: Path) -> str:
    try:
        return path.with_suffix(".txt").read_text(encoding="utf-8-sig").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path.with_suffix('.txt')} cannot be read as a caption: {error}") from error
