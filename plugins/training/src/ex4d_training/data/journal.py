"""Which videos gave no samples and why: a file that is appended to, so that a run that is killed loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import attrs

from ex4d_core.errors import OutputFailed
from ex4d_training.data.scan import Refusal


@attrs.frozen(kw_only=True)
class Refused:
    """A video that gave no samples."""

    video: str
    early: bool
    """Whether that was seen at the first look, before anything was computed."""
    refusal: Refusal


class Journal:
    """What the file says, and what is added to it."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier run wrote."""
        self._path = path
        self._entries: dict[str, Refused] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                tree = json.loads(line)
                entry = Refused(video=tree["video"], early=tree["early"], refusal=Refusal(**tree["refusal"]))
            except (ValueError, TypeError, KeyError):
                continue  # the run was killed while it wrote this line: the video is tried again
            self._entries[entry.video] = entry

    def add(self, entry: Refused) -> None:
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

    def refused_early(self, video: str) -> bool:
        """Return whether a video was refused at the first look."""
        return video in self._entries and self._entries[video].early

    @property
    def entries(self) -> tuple[Refused, ...]:
        """All that were refused, in the order of their names."""
        return tuple(self._entries[video] for video in sorted(self._entries))
