"""Polling of a run folder for new artifacts. The folder is only read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ex4d_core.errors import Ex4dError, unexpected
from ex4d_core.pipeline.clip_run import ClipRun
from ex4d_core.pipeline.records import RUN_RECORD, Record
from ex4d_core.progress import SilentReporter
from ex4d_core.runs.export import CONFIG, open_run
from ex4d_core.terminal import printable
from ex4d_core.types import CameraPath, Guidance, Scene, Video

Value = TypeVar("Value")

RETRY_AFTER = 6.0
"""Seconds before an unreadable or damaged artifact is read again: each attempt reads it to the end."""

MOST_PATHS = 200
"""Limit of paths on the page."""

MOST_LETTERS = 4096
"""Limit of characters in a path, as in `--cam`."""


class _Listener(SilentReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Record a warning about an artifact."""
        self.warnings.append(text)


class RunWatcher:
    """A run folder; each `poll` finds new artifacts."""

    def __init__(self, folder: Path) -> None:
        """Open a run folder.

        Raises:
            InputNotFound: it is not a run folder, or its clip does not exist.
            InvalidConfig: its configuration is invalid.
        """
        self.folder = folder
        self.scene: Scene | None = None
        self.paths: dict[str, CameraPath] = {}
        """By the text of `--cam`; available after the depth."""
        self.guidance: dict[str, Guidance] = {}
        self.results: dict[str, Video] = {}
        self._troubles: dict[str, str] = {}
        self._later: dict[str, float] = {}
        self._listener = _Listener()
        self._stamp = self._config_stamp()
        self.clip_run = self._open()

    @property
    def trouble(self) -> str:
        """Errors of the last poll, one per line, or ''."""
        return "\n".join(dict.fromkeys(self._troubles.values()))

    @property
    def cams(self) -> list[str]:
        """All paths of the run, including earlier calls, as texts of `--cam`."""
        found = list(dict.fromkeys([*self.clip_run.components.config.cam, *self._earlier_cams()]))
        shown = [cam for cam in found if cam and len(cam) <= MOST_LETTERS and printable(cam) == cam][:MOST_PATHS]
        if len(shown) < len(found):
            self._troubles["cams"] = f"{len(found) - len(shown)} of {len(found)} paths of the run cannot be displayed"
        return shown

    def poll(self) -> bool:
        """Read new artifacts and return whether anything changed; errors are recorded in `trouble`."""
        before, now = self._inventory(), time.monotonic()
        self._troubles = {what: text for what, text in self._troubles.items() if self._later.get(what, 0) > now}
        try:
            if (stamp := self._config_stamp()) != self._stamp:
                self.clip_run, self._stamp = self._open(), stamp
            self._look()
        except Exception as error:
            self._trouble("the run", error)
        return self._inventory() != before

    def _look(self) -> None:
        clip_run = self.clip_run
        if "estimated_depth" not in vars(clip_run):
            depth = self._stored("the depth", clip_run.stored_depth)
            if depth is None:
                return
            clip_run.estimated_depth = depth  # otherwise the scene would estimate it again
        if self.scene is None:
            self.scene = clip_run.scene
        for cam in self.cams:
            try:
                self._look_along(cam)
            except Exception as error:  # such as a missing camera file; other paths are not affected
                self._trouble(f"--cam {cam}", error)

    def _look_along(self, cam: str) -> None:
        path_run = self.clip_run.along(cam)
        if cam not in self.paths:
            self.paths[cam] = path_run.path
        if (
            cam not in self.guidance
            and (guidance := self._stored(f"guidance of --cam {cam}", path_run.stored_guidance)) is not None
        ):
            self.guidance[cam] = guidance
        if (
            cam not in self.results
            and (video := self._stored(f"result of --cam {cam}", path_run.stored_video)) is not None
        ):
            self.results[cam] = video

    def _stored(self, what: str, load: Callable[[], Value | None]) -> Value | None:
        """Return an artifact, or None if it is missing or unreadable; the error is recorded until the next attempt."""
        if self._later.get(what, 0) > time.monotonic():
            return None
        self._listener.warnings.clear()
        try:
            found = load()
        except Exception as error:
            self._trouble(what, error)
            found = None
        for text in self._listener.warnings:
            self._troubles[what] = _line(text)
        if what in self._troubles:
            self._later[what] = time.monotonic() + RETRY_AFTER
        return found

    def _trouble(self, what: str, error: Exception) -> None:
        self._troubles[what] = _line(str(error) if isinstance(error, Ex4dError) else f"{what}: {unexpected(error)}")

    def _open(self) -> ClipRun:
        return open_run(self.folder, reporter=self._listener)

    def _inventory(self) -> tuple[object, ...]:
        return self.scene is None, list(self.paths), list(self.guidance), list(self.results), self.trouble

    def _config_stamp(self) -> int:
        try:
            return (self.folder / CONFIG).stat().st_mtime_ns
        except OSError:
            return 0

    def _earlier_cams(self) -> list[str]:
        try:
            paths = Record(self.folder / RUN_RECORD).read().get("takes", {})
        except Ex4dError as error:
            self._trouble(RUN_RECORD, error)
            return []
        return [cam for cam in paths if not cam.startswith("given-")]


def _line(text: str) -> str:
    return " ".join(text.split("\n"))
