"""Which videos gave no samples and why: a file that is appended to, so that a run that is killed loses nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from ex4d_core.errors import OutputFailed
from ex4d_core.reading import check_file, parse_json, reading
from ex4d_training.data.scan import Refusal
from ex4d_training.records import flag, made, of_texts, text

_LONGEST = 2**20
"""Bytes of a line that is read; no name and no reason is as long."""


@attrs.frozen(kw_only=True)
class RejectedVideo:
    """A video that gave no samples."""

    video: str = attrs.field(validator=text)
    early: bool = attrs.field(validator=flag)
    """Whether that was seen at the first look, before anything was computed."""
    refusal: Refusal


class RejectedLog:
    """What the file says, and what is added to it."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier run wrote.

        Raises:
            InvalidInput: the file cannot be read.
        """
        self._path = path
        self._entries: dict[str, RejectedVideo] = {}
        for line in _lines(path):
            try:
                tree = of_texts(parse_json(line), "an entry")
                refusal = made(Refusal, tree.get("refusal"), "refusal")
                entry = made(RejectedVideo, {**tree, "refusal": refusal}, "an entry")
            except ValueError:
                continue  # the run was killed while it wrote this line: the video is tried again
            self._entries[entry.video] = entry

    def add(self, entry: RejectedVideo) -> None:
        """Write an entry behind the others.

        Raises:
            OutputFailed: the disk is full.
        """
        self._entries[entry.video] = entry
        try:
            with self._path.open("a", encoding="utf-8") as file:
                # A line of its own even after one that was cut off.
                file.write("\n" + json.dumps(attrs.asdict(entry)) + "\n")
        except OSError as error:
            raise OutputFailed(f"{self._path} cannot be written: {error.strerror or error}") from error

    def __contains__(self, video: str) -> bool:
        return video in self._entries

    def early(self, video: str) -> bool:
        """Return whether a video was refused at the first look."""
        return video in self._entries and self._entries[video].early

    @property
    def entries(self) -> tuple[RejectedVideo, ...]:
        """All that were refused, in the order of their names."""
        return tuple(self._entries[video] for video in sorted(self._entries))


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, which may be of a million videos; none where there is no file."""
    if not os.path.lexists(path):
        return
    check_file(path, "list of refused videos")
    with reading(path, "list of refused videos"), path.open("rb") as file:
        while line := file.readline(_LONGEST):
            yield line
