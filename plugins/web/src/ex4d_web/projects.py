"""Projects: an uploaded clip with all that is made of it, in a folder of its own under a random name.

The name is the key to a project: who does not know it cannot reach the files. Names are never listed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.files import atomic_write
from ex4d_core.names import safe_name
from ex4d_core.reading import read_json
from ex4d_web.settings import Settings

RECORD = "project.json"
RUN = "run"
"""The run folder inside the folder of a project."""

_NAME = re.compile(r"[0-9a-f]{32}")

Facts = dict[str, Any]


@attrs.frozen(kw_only=True)
class Made:
    """What was made so far, as plain values; file names are relative to the folder of the project."""

    depth: Facts = attrs.field(factory=dict)
    """`choice`: `Settings.depth_choice` at that time; `files` by label; `notes`."""
    preview: Facts = attrs.field(factory=dict)
    """`cam`, `files`, `visible`, `frames`, `warnings`."""
    result: Facts = attrs.field(factory=dict)
    """`cam`, `files`, `notes`, `command`, `python`."""


class Project:
    """One uploaded clip; its record survives a restart of the server."""

    def __init__(self, folder: Path, settings: Settings, made: Made) -> None:
        self.folder = folder
        self._settings, self._made = settings, made
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The random name, which is the key to the project."""
        return self.folder.name

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder / RUN

    @property
    def clip(self) -> Path:
        """The uploaded file."""
        return self.folder / self._settings.clip

    @property
    def settings(self) -> Settings:
        """The current choices."""
        return self._settings

    @property
    def made(self) -> Made:
        """What was made so far."""
        return self._made

    @property
    def has_depth(self) -> bool:
        """Whether the depth belongs to the current selection and estimator."""
        return self._made.depth.get("choice") == list(self._settings.depth_choice)

    def change(self, **values: Any) -> Settings:
        """Change settings, and return all of them."""
        with self._lock:
            self._settings = attrs.evolve(self._settings, **values)
            self._write()
            return self._settings

    def record(self, **made: Facts) -> None:
        """Record what was made."""
        with self._lock:
            self._made = attrs.evolve(self._made, **made)
            self._write()

    def path(self, name: str) -> str | None:
        """Return the path of a file that was made, or None if it is not there (any more)."""
        path = self.folder / name
        return str(path) if name and path.is_file() else None

    def relative(self, path: Path) -> str:
        """Return the path of a file in the folder as it is recorded."""
        return os.path.relpath(path, self.folder)

    def touch(self) -> None:
        """Note that somebody uses the project."""
        with suppress(OSError):
            os.utime(self.folder)

    def _write(self) -> None:
        facts = {"settings": attrs.asdict(self._settings), "made": attrs.asdict(self._made)}
        with atomic_write(self.folder / RECORD) as temporary:
            temporary.write_text(json.dumps(facts), encoding="utf-8")


class Projects:
    """The projects of all users, below one folder."""

    def __init__(self, root: Path, *, hours: float) -> None:
        """Set the folder.

        Args:
            root: parent of the folders of the projects; created if it does not exist.
            hours: time after which an unused project is removed.
        """
        self.root = root
        self._seconds = hours * 3600
        self._open: dict[str, Project] = {}
        self._lock = threading.Lock()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, upload: Path) -> Project:
        """Create a project with an uploaded file, which stays where it is.

        Raises:
            OSError: the disk is full.
        """
        folder = self.root / secrets.token_hex(16)
        folder.mkdir(mode=0o700)
        project = Project(folder, Settings(clip=add_file(folder, upload)), Made())
        with self._lock:
            self._open[folder.name] = project
        return project

    def open(self, name: object) -> Project:
        """Return a project by its name.

        Raises:
            InputNotFound: the project does not exist, or was removed.
        """
        if not isinstance(name, str) or not name:
            raise InputNotFound("upload a clip first")
        with self._lock:
            project = self._open.get(name) if _NAME.fullmatch(name) else None
            if project is None and _NAME.fullmatch(name):
                project = self._restored(name)
        if project is None or not project.folder.is_dir():
            raise InputNotFound("the files of this clip are no longer on the server; upload it again")
        project.touch()
        return project

    def discard(self, name: str) -> None:
        """Remove a project and its files."""
        with self._lock:
            self._open.pop(name, None)
        shutil.rmtree(self.root / name, ignore_errors=True)

    def unused(self) -> list[str]:
        """Return the names of projects that nobody has used for a long time."""
        oldest, found = time.time() - self._seconds, []
        with suppress(OSError):
            for folder in self.root.iterdir():
                with suppress(OSError):
                    if _NAME.fullmatch(folder.name) and folder.stat().st_mtime < oldest:
                        found.append(folder.name)
        return found

    def _restored(self, name: str) -> Project | None:
        """Return a project of an earlier server, from its record."""
        try:
            facts = read_json(self.root / name / RECORD, "project")
            project = Project(self.root / name, Settings(**facts["settings"]), Made(**facts["made"]))
        except (InputNotFound, InvalidInput, TypeError, KeyError):
            return None
        self._open[name] = project
        return project


def add_file(folder: Path, upload: Path) -> str:
    """Put an uploaded file into a folder and return its name there, which no other file of the app has.

    Gradio names uploads by their content: two users who upload the same file have one, so it is not moved.
    """
    name = safe_name(upload.name, most=100)
    if name.lower() in (RECORD, RUN) or (folder / name).exists():
        name = f"{secrets.token_hex(4)}-{name}"
    try:
        os.link(upload, folder / name)
    except OSError:  # another file system, or one without links
        shutil.copyfile(upload, folder / name)
    return name
