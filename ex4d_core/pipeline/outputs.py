"""Update the exported files of a run folder without overwriting edited files or those of another clip.

`run.json` keeps a stamp of each file: key of its artifact, clip, hash of its content, and hash of the content that it
replaced. The stamp is written before the file is renamed to its final name. After a kill between the two, the file
there matches one of both hashes. A file that matches neither was edited, and is kept under another name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import attrs

from ex4d_core.errors import Ex4dError, OutputFailed
from ex4d_core.files import put, set_aside, temporary_folder, tree_hash
from ex4d_core.names import numbered
from ex4d_core.pipeline.clip_identity import ClipIdentity
from ex4d_core.pipeline.records import Change, Record
from ex4d_core.progress import Reporter


@attrs.frozen(kw_only=True)
class OutputGroup:
    """Files that are made from one artifact."""

    key: str
    """Key of the artifact."""
    files: Mapping[str, Path]
    """The files by label."""
    write: Callable[[Path], None]
    """Writes all of them, under their names, into a folder."""
    needs: Callable[[], object] = lambda: None
    """Computes the artifact; called before `update_files`, which may then run in another thread."""
    stage: str = ""
    editable: bool = False
    """Whether an edited file is kept in place as long as the key stays the same."""


def is_outdated(group: OutputGroup, record: Record) -> bool:
    """Return whether `update_files` would write the files.

    Raises:
        OutputFailed: the folder cannot be written to.
        InvalidInput: an existing file cannot be read.
    """
    with record.changing() as change:
        return "outdated" in _states(group, change)


def update_files(group: OutputGroup, record: Record, *, clip: ClipIdentity, reporter: Reporter) -> bool:
    """Write the files of a group unless they are up to date; return whether they were.

    Raises:
        OutputFailed: the folder cannot be written to, or the disk is full.
        InvalidInput: an existing file cannot be read.
    """
    with record.changing() as change:
        states = _states(group, change)
    if "outdated" in states:
        _write(group, record, clip, reporter)
        return False
    for path, state in zip(group.files.values(), states, strict=True):
        if state == "edited":
            reporter.note(f"{path} was changed since it was written; it is not overwritten")
    return True


def _states(group: OutputGroup, change: Change) -> list[str]:
    stamps = change.facts.get("files", {})
    return [_state(path, stamps.get(path.name, {}), group) for path in group.files.values()]


def _state(path: Path, stamp: Mapping[str, Any], group: OutputGroup) -> Literal["current", "edited", "outdated"]:
    """Return the state of a file; `edited` only if the group is editable."""
    if stamp.get("key") != group.key or not path.exists():
        return "outdated"
    content = tree_hash(path, "output")
    if content == stamp.get("blake2b"):
        return "current"
    return "edited" if group.editable and content != stamp.get("was") else "outdated"


def _write(group: OutputGroup, record: Record, clip: ClipIdentity, reporter: Reporter) -> None:
    folder = record.path.parent
    with ExitStack() as stack:
        with _output_errors(folder):
            staging = stack.enter_context(temporary_folder(folder))
        try:
            group.write(staging)
        except OutputFailed as error:  # it names a temporary file
            raise OutputFailed(str(error).replace(str(staging), str(folder))) from error
        with record.changing() as change, _output_errors(folder):
            stamps = change.table("files")
            for path in group.files.values():
                content = tree_hash(staging / path.name, "output")
                replaced = _make_way(path, content, stamps.get(path.name, {}), clip, reporter)
                was = {"was": replaced} if replaced else {}
                stamps[path.name] = {"key": group.key, "clip": attrs.asdict(clip), "blake2b": content, **was}
            change.write()
            for path in group.files.values():
                put(staging / path.name, path)


def _make_way(path: Path, content: str, stamp: Mapping[str, Any], clip: ClipIdentity, reporter: Reporter) -> str:
    """Rename an edited file or one of another clip; return the hash of a file that will be replaced, or ''."""
    old = tree_hash(path, "output") if path.exists() else content
    if old == content:
        return ""
    # Two runs that started at the same time may share a folder: the stamp decides, not the record of the folder.
    if "clip" in stamp and not clip.is_same(stamp["clip"]):
        word, reason = "other", "belongs to another clip"
    elif old not in (stamp.get("blake2b"), stamp.get("was")):
        word, reason = "edited", "was changed since it was written"
    else:
        return old
    renamed = set_aside(path, numbered(f"{path.stem}-{word}", path.suffix))
    reporter.warn(f"{path} {reason}; it was renamed to {renamed.name}")
    return ""


@contextmanager
def _output_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except Ex4dError:
        raise
    except OSError as error:
        raise OutputFailed(f"{folder} cannot be written: {error.strerror or error}") from error
