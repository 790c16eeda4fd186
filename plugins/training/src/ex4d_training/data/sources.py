"""Videos and captions of a folder, or of a CSV file such as that of OpenVid-1M."""

from __future__ import annotations

import csv
import os
import stat
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import attrs

from ex4d_core.errors import InputNotFound, InvalidInput, one_line
from ex4d_core.reading import check_file, check_folder, check_path, read_text, reading
from ex4d_core.runs.batch import VIDEO_SUFFIXES

VIDEO_COLUMNS = ("video", "video_path", "path", "file", "file_name", "filename", "name")
"""Names of the column of videos, in order of preference; `video` in OpenVid-1M."""

CAPTION_COLUMNS = ("caption", "text", "prompt", "description")

_MOST_FIELD = 2**24
"""Limit of characters in a line of a CSV file."""

MOST_CAPTION = 2**20
"""Limit of bytes of a caption; Wan reads about 512 words."""

VIDEO_FOLDERS = (".", "videos", "video")
"""Folders in which videos of a CSV file are searched, relative to its folder."""


@attrs.frozen(kw_only=True)
class VideoSource:
    """A video and its caption."""

    name: str
    """Unique name, independent of the machine: a relative path, or the entry of the CSV file."""
    path: Path
    caption: str = ""
    """Text that describes the video, or ''."""


@attrs.frozen(kw_only=True)
class VideoList:
    """The videos of a data set."""

    videos: tuple[VideoSource, ...]
    absent: int = 0
    """Rows of a CSV file whose video does not exist, such as those of parts of OpenVid that were not downloaded."""
    unreadable: tuple[str, ...] = ()
    """Subfolders that cannot be listed, such as `lost+found`."""


def find_videos(data_path: Path) -> VideoList:
    """Return the videos of a folder and its subfolders without hidden ones, or those of a CSV file.

    A caption comes from the CSV file, or from a file with the name of the video and the suffix `.txt`.

    Raises:
        InputNotFound: the folder or file does not exist.
        InvalidInput: no videos are found, the CSV file lacks a column, or it cannot be read.
    """
    try:
        status = check_path(data_path, "folder or table of videos")
    except InputNotFound as error:
        raise InputNotFound(
            f"{data_path} does not exist; give a folder of videos, or a CSV file of their names and captions"
        ) from error
    if stat.S_ISDIR(status.st_mode):
        return _in_folder(data_path)
    if data_path.suffix.lower() != ".csv":
        raise InvalidInput(f"{data_path} is neither a folder nor a .csv file; give one of them")
    check_file(data_path, "table of videos")
    return _in_csv(data_path)


def _in_folder(folder: Path) -> VideoList:
    check_folder(folder, "folder of videos")
    unreadable: list[str] = []
    videos = []
    for path in sorted(_files(folder, unreadable)):
        if path.suffix.lower() in VIDEO_SUFFIXES and _is_file(path):
            # Names on disk may be any bytes; these are hashed and printed.
            name = os.fsencode(path.relative_to(folder).as_posix()).decode(errors="backslashreplace")
            videos.append(VideoSource(name=name, path=path, caption=_beside(path)))
    if not videos:
        raise InvalidInput(
            f"{folder} and its subfolders contain no videos; supported suffixes: " + " ".join(sorted(VIDEO_SUFFIXES))
        )
    return VideoList(videos=tuple(videos), unreadable=tuple(unreadable))


def _files(folder: Path, unreadable: list[str]) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders without hidden ones, which may be incomplete.

    Args:
        folder: the folder.
        unreadable: receives subfolders that cannot be listed.
    """
    for place, folders, files in os.walk(folder, onerror=lambda error: unreadable.append(str(error.filename))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in files if not name.startswith("."))


def _in_csv(table: Path) -> VideoList:
    found: dict[str, VideoSource] = {}
    absent = 0
    for name, caption in _rows(table):
        path = _place(table.parent, name)
        if path is None:
            absent += 1
        elif name not in found:
            found[name] = VideoSource(name=name, path=path, caption=caption or _beside(path))
    if not found:
        looked = ", ".join(str(table.parent / folder) for folder in VIDEO_FOLDERS)
        raise InvalidInput(
            f"none of the {absent} videos in {table} exists (searched {looked}); "
            "move the videos there, or give a folder of videos"
        )
    return VideoList(videos=tuple(found.values()), absent=absent)


def _rows(table: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and caption of each row."""
    csv.field_size_limit(_MOST_FIELD)
    with reading(table, "table of videos"), table.open(newline="", encoding="utf-8-sig") as file:
        try:
            reader = csv.DictReader(_lines(file, table))
            columns = [column.strip() for column in reader.fieldnames or ()]
            reader.fieldnames = columns
            video, caption = _column(columns, VIDEO_COLUMNS), _column(columns, CAPTION_COLUMNS)
            if video is None:
                raise InvalidInput(
                    f"{table} has no column of videos (one of {', '.join(VIDEO_COLUMNS)}); "
                    f"its columns: {textwrap.shorten(', '.join(columns), 300) or 'none'}"
                )
            for row in reader:
                if name := (row[video] or "").strip():
                    yield name, ((row[caption] or "").strip() if caption else "")
        except (csv.Error, UnicodeDecodeError) as error:
            raise InvalidInput(f"{table} cannot be read as CSV in UTF-8: {one_line(error)}") from error


def _lines(file: TextIO, table: Path) -> Iterator[str]:
    """Yield the lines of a table, each of bounded length."""
    while line := file.readline(_MOST_FIELD):
        if len(line) == _MOST_FIELD:
            raise InvalidInput(f"{table} is not a table of videos: a line has {_MOST_FIELD:,} characters or more")
        yield line


def _column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    by_name = {column.lower(): column for column in columns}
    return next((by_name[name] for name in names if name in by_name), None)


def _place(folder: Path, name: str) -> Path | None:
    return next((path for inner in VIDEO_FOLDERS if _is_file(path := folder / inner / name)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # an invalid name, or a folder without permission
        return False


def _beside(path: Path) -> str:
    try:
        return read_text(path.with_suffix(".txt"), "caption", most=MOST_CAPTION).strip()
    except InputNotFound:
        return ""
