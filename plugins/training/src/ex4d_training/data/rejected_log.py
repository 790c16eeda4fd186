"""Log of rejected videos, appended to a file, so that a killed run loses no entry."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from ex4d_core.errors import OutputFailed
from ex4d_core.jobs.shards import Shard
from ex4d_core.reading import check_file, parse_json, reading
from ex4d_training.data.scan import Refusal
from ex4d_training.records import flag, made, of_texts, text

REJECTED = "refused.jsonl"
"""Log of rejected videos, in the work folder."""

_LONGEST = 2**20
"""Limit of bytes of a line."""


@attrs.frozen(kw_only=True)
class RejectedVideo:
    """A video without samples."""

    video: str = attrs.field(validator=text)
    early: bool = attrs.field(validator=flag)
    """Whether a filter rejected it, before anything was computed."""
    refusal: Refusal


def rejected_files(work: Path) -> list[Path]:
    """Return the logs of all parts."""
    return sorted(work.glob("refused*.jsonl"))


class RejectedLog:
    """The entries of the files of all parts of a preparation; new ones are appended.

    Each part has a file, since appending to one file from several machines can lose lines.
    """

    def __init__(self, work: Path, part: Shard) -> None:
        """Read the entries of earlier runs and other parts.

        Args:
            work: folder of the files.
            part: the part of the videos that this run prepares.

        Raises:
            InvalidInput: a file cannot be read.
        """
        self._work = work
        self._path = work / (REJECTED if part.count == 1 else f"refused-{part.index}-of-{part.count}.jsonl")
        self._entries: dict[str, RejectedVideo] = {}
        self.read()

    def read(self) -> None:
        """Read the entries that other parts have added.

        Raises:
            InvalidInput: a file cannot be read.
        """
        for path in rejected_files(self._work):
            self._read(path)

    def _read(self, path: Path) -> None:
        for line in _lines(path):
            try:
                tree = of_texts(parse_json(line), "an entry")
                refusal = made(Refusal, tree.get("refusal"), "refusal")
                entry = made(RejectedVideo, {**tree, "refusal": refusal}, "an entry")
            except ValueError:
                continue  # a run was killed while it wrote this line; the video is processed again
            self._entries[entry.video] = entry

    def add(self, entry: RejectedVideo) -> None:
        """Append an entry.

        Raises:
            OutputFailed: the disk is full.
        """
        self._entries[entry.video] = entry
        try:
            with self._path.open("a", encoding="utf-8") as file:
                # The leading newline separates it from an incomplete line.
                file.write("\n" + json.dumps(attrs.asdict(entry)) + "\n")
        except OSError as error:
            raise OutputFailed(f"{self._path} cannot be written: {error.strerror or error}") from error

    def __contains__(self, video: str) -> bool:
        return video in self._entries

    def early(self, video: str) -> bool:
        """Return whether a filter rejected a video."""
        return video in self._entries and self._entries[video].early

    @property
    def entries(self) -> tuple[RejectedVideo, ...]:
        """All rejected videos, sorted by name."""
        return tuple(self._entries[video] for video in sorted(self._entries))


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, if it exists."""
    if not os.path.lexists(path):
        return
    check_file(path, "list of rejected videos")
    with reading(path, "list of rejected videos"), path.open("rb") as file:
        while line := file.readline(_LONGEST):
            yield line
