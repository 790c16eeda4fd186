"""Keep the exported files of a run folder up to date without overwriting files of others.

`run.json` keeps a stamp of each: what it was made from, the hash of its content, and the hash of what it took the
place of. The stamp is written before the file gets its name, so that a run that is killed in between leaves a file
that one of both hashes tells. A file that neither tells is somebody else's: it is kept under another name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.errors import Ex4dError, OutputFailed
from ex4d_core.files import put, set_aside, temporary_folder, tree_hash
from ex4d_core.names import numbered
from ex4d_core.pipeline.records import Change, Record, owner_of
from ex4d_core.progress import Reporter

EDITED, OTHER = "edited", "other"
"""What becomes a part of a file's name where it was changed, and where it belongs to another clip."""


@attrs.frozen(kw_only=True)
class OutputGroup:
    """Files that are made from one artifact."""

    key: str
    """Of what they are made from."""
    files: Mapping[str, Path]
    """By what they are."""
    write: Callable[[Path], None]
    """Writes all of them, under their names, into a folder."""
    stage: str = ""
    editable: bool = False
    """Whether people may change the files and still find them as they left them."""


def bring_up_to_date(group: OutputGroup, record: Record, reporter: Reporter) -> bool:
    """Write the files of a group unless they are there, made from the same artifact; return whether they were.

    Raises:
        OutputFailed: the folder cannot be written to, or the disk is full.
        InvalidInput: a file that is there cannot be read.
    """
    with record.changing() as change:
        stamps = change.facts.get("files", {})
        states = [_state(path, stamps.get(path.name, {}), group) for path in group.files.values()]
    if None not in states:
        for path, state in zip(group.files.values(), states, strict=True):
            if state == EDITED:
                reporter.note(f"{path} was changed since it was written; it stays as it is")
        return True
    _write(group, record, reporter)
    return False


def _write(group: OutputGroup, record: Record, reporter: Reporter) -> None:
    folder, kept = record.path.parent, dict[Path, tuple[str, str]]()
    with ExitStack() as stack:
        with _writing(folder):
            staging = stack.enter_context(temporary_folder(folder))
        try:
            group.write(staging)
        except OutputFailed as error:  # it names a temporary folder, which tells nobody anything
            raise OutputFailed(str(error).replace(str(staging), str(folder))) from error
        try:
            with record.changing() as change, _writing(folder):
                _publish(group, staging, change, kept, record.clip)
        finally:
            for path, (name, word) in kept.items():
                why = "was changed since it was written" if word == EDITED else "is of another clip"
                reporter.warn(f"{path} {why}; it is kept as {name}")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except Ex4dError:
        raise
    except OSError as error:
        raise OutputFailed(f"{folder} cannot be written: {error.strerror or error}") from error


def claim(record: Record, *, clip: str, path: str, content: str) -> None:
    """Say in a run's record that its folder belongs to a clip; warn where it belonged to another one.

    Args:
        record: of the run.
        clip: as it was named.
        path: of the clip, absolute and without links; '' for frames in memory.
        content: hash of the clip.

    Raises:
        OutputFailed: the folder cannot be written to.
    """
    with record.changing() as change:
        other = owner_of(change.facts, path, lambda: content)
        if other is not None:
            for stamp in change.table("files").values():
                stamp[OTHER] = True  # what is in the way is to be kept
        change.facts |= {"clip": clip, "source": {"path": path, "blake2b": content}}
    if other is not None:
        record.warn(
            f"{record.path.parent} belonged to another clip, {other}; its outputs are renamed where {clip} has the same"
        )


def _state(path: Path, stamp: Mapping[str, Any], group: OutputGroup) -> str | None:
    """Return whether a file is fresh: '' if it is, 'edited' if people have changed it and may; None if it is not."""
    if stamp.get("key") != group.key or not path.exists():
        return None
    if "blake2b" not in stamp:  # of a version that kept the length alone
        return "" if path.stat().st_size == stamp.get("bytes") else None
    content = tree_hash(path, "output")
    if content == stamp["blake2b"]:
        return ""
    return EDITED if group.editable and content != stamp.get("was") else None


def _publish(
    group: OutputGroup,
    staging: Path,
    change: Change,
    kept: dict[Path, tuple[str, str]],
    clip: tuple[str, str] | None,
) -> None:
    """Give files their final names, the record being locked; put into `kept` what was in the way, its name and why."""
    stamps = change.table("files")
    for path in group.files.values():
        new = tree_hash(staging / path.name, "output")
        old = tree_hash(path, "output") if path.exists() else None
        if old not in (None, new) and (word := _foreign(path, old, stamps.get(path.name, {}), clip)):
            kept[path] = set_aside(path, numbered(f"{path.stem}-{word}", path.suffix)).name, word
            old = None
        stamps[path.name] = {"key": group.key, "blake2b": new, **_was(old, new), **_length(staging / path.name)}
        if clip is not None:
            stamps[path.name]["clip"] = list(clip)
    change.write()
    for path in group.files.values():
        put(staging / path.name, path)


def _foreign(path: Path, content: str | None, stamp: Mapping[str, Any], clip: tuple[str, str] | None) -> str:
    """Return why a file is to be kept, or '' where this program wrote it for this clip."""
    owner = stamp.get("clip")
    # Two runs that started before either wrote anything may share a folder: the stamp tells, whoever claimed it last.
    is_other = not _is_one_clip(owner, clip) if owner and clip else bool(stamp.get(OTHER))
    if is_other:
        return OTHER
    known = content in (stamp.get("blake2b"), stamp.get("was"))
    if "blake2b" not in stamp and "bytes" in stamp:
        known = path.stat().st_size == stamp["bytes"]
    return "" if known else EDITED


def _is_one_clip(a: Any, b: tuple[str, str]) -> bool:
    """Return whether two clips are one: where it is, or what is in it, is the same."""
    return isinstance(a, list) and len(a) == 2 and ((a[0] == b[0] and bool(b[0])) or a[1] == b[1])


def _was(old: str | None, new: str) -> dict[str, str]:
    return {} if old in (None, new) else {"was": str(old)}


def _length(path: Path) -> dict[str, int]:
    """Return what versions before this one compare."""
    return {"bytes": path.stat().st_size} if path.is_file() else {}
