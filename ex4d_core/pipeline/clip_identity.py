"""Identity of clips: which clip a run folder and its files belong to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ex4d_core.pipeline.records import Record

FRAMES_IN_MEMORY = "frames in memory"
"""Name, in `run.json`, of a clip that is not a file."""


@attrs.frozen
class ClipIdentity:
    """A clip by its path and content: edited in place or moved, it is the same clip."""

    path: str
    """Absolute and without links; '' for frames in memory."""
    blake2b: str
    """Hash of the content."""

    def is_same(self, recorded: Any) -> bool:
        """Return whether a recorded identity, as plain values, is that of this clip."""
        return isinstance(recorded, dict) and _is_same(recorded, self.path, lambda: self.blake2b)


def claim(record: Record, clip: ClipIdentity, *, name: str) -> None:
    """Record that a run folder belongs to a clip; warn if it belonged to another one.

    Args:
        record: `run.json` of the folder.
        clip: the clip.
        name: the clip as the user wrote it.

    Raises:
        OutputFailed: the folder cannot be written to.
    """
    with record.changing() as change:
        other = owner_of(change.facts, clip.path, lambda: clip.blake2b)
        change.facts |= {"clip": name, "source": attrs.asdict(clip)}
    if other is not None:
        record.warn(
            f"{record.path.parent} belonged to another clip, {other}; its outputs are renamed if {name} has the same"
        )


def owner_of(facts: Mapping[str, Any], path: str, hash_of: Callable[[], str]) -> str | None:
    """Return the name of the clip that a run folder belongs to, or None if it belongs to no other clip.

    Args:
        facts: the record of the folder.
        path: path of the clip in question, as in `ClipIdentity`.
        hash_of: hashes the content of that clip; called only if the path does not decide.
    """
    source = facts.get("source")
    if source is None or _is_same(source, path, hash_of):
        return None
    return str(facts.get("clip") or source["path"])


def real_path(path: str | os.PathLike[str]) -> str:
    """Return an absolute path without links, or the path itself if no file can have it."""
    try:
        return os.path.realpath(path)
    except ValueError:  # a NUL
        return os.fspath(path)


def _is_same(recorded: Mapping[str, Any], path: str, hash_of: Callable[[], str]) -> bool:
    return (path != "" and recorded.get("path") == path) or recorded.get("blake2b") == hash_of()
