"""Leave nothing of a run that failed before it made anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ex4d_core.files import has_users, missing_folders, remove_empty
from ex4d_core.pipeline.records import CONFIG, RUN_RECORD


@contextmanager
def leaving_nothing_if_failed(folder: Path) -> Iterator[None]:
    """Remove the folders and records that a block created in a run folder if it fails before it makes anything else.

    Artifacts, partial results and outputs stay, with the records that belong to them. A Ctrl-C is a failure too.
    """
    created, before = missing_folders(folder), _entries(folder)
    try:
        yield
    except BaseException:
        new = _entries(folder) - before
        if not any(map(_has_files, (folder / name for name in new - {RUN_RECORD, CONFIG}))) and not has_users(folder):
            with suppress(OSError):
                for name in new & {RUN_RECORD, CONFIG}:
                    (folder / name).unlink()
            remove_empty([*(folder / name for name in new), *created])
        raise


def _entries(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:  # it does not exist, or the run reports it
        return set()


def _has_files(path: Path) -> bool:
    return not path.is_dir() or any(files for _, _, files in os.walk(path))
