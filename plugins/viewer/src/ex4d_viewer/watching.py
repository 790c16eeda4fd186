"""What a run has made so far, looked for again and again."""

from __future__ import annotations

import json
from pathlib import Path

from ex4d_core.errors import Ex4dError
from ex4d_core.pipeline import Shot
from ex4d_core.progress import SilentReporter
from ex4d_core.run_folder import CONFIG, open_run
from ex4d_core.types import CameraPath, Guidance, Scene, Video


class _Quiet(SilentReporter):
    def warn(self, text: str) -> None:
        """Damaged artifacts are the run's matter; here they are not there yet."""


class RunWatch:
    """A run folder: each `poll` finds what has come since."""

    def __init__(self, folder: Path) -> None:
        """Open a run folder.

        Raises:
            InputNotFound: it is none, or its clip is gone.
            InvalidConfig: its configuration cannot be read.
        """
        self.folder = folder
        self.scene: Scene | None = None
        self.paths: dict[str, CameraPath] = {}
        """By the texts of `--cam`; there as soon as the depth is."""
        self.guidance: dict[str, Guidance] = {}
        self.results: dict[str, Video] = {}
        self.trouble = ""
        """What kept the last poll from looking, in one sentence, or ''."""
        self._stamp = self._config_stamp()
        self.shot = self._open()

    @property
    def cams(self) -> list[str]:
        """All paths of the run, those of earlier calls included, as texts of `--cam`."""
        return list(dict.fromkeys([*self.shot.session.config.cam, *self._earlier_cams()]))

    def poll(self) -> bool:
        """Look again; return whether something new has come."""
        before, self.trouble = self._inventory(), ""
        try:
            if (stamp := self._config_stamp()) != self._stamp:
                self.shot, self._stamp = self._open(), stamp
            self._look()
        except Ex4dError as error:
            self.trouble = str(error)
        return self._inventory() != before

    def _look(self) -> None:
        if self.scene is None:
            if self.shot.stored_depth() is None:
                return
            self.scene = self.shot.scene
        for cam in self.cams:
            try:
                self._look_along(cam)
            except Ex4dError as error:  # a camera file that is gone, for instance; other paths may be there
                self.trouble = self.trouble or str(error)

    def _look_along(self, cam: str) -> None:
        take = self.shot.take(cam)
        if cam not in self.paths:
            self.paths[cam] = take.path
        if cam not in self.guidance and (guidance := take.stored_guidance()) is not None:
            self.guidance[cam] = guidance
        if cam not in self.results and (video := take.stored_video()) is not None:
            self.results[cam] = video

    def _open(self) -> Shot:
        return open_run(self.folder, reporter=_Quiet())

    def _inventory(self) -> tuple[object, ...]:
        return self.scene is None, list(self.paths), list(self.guidance), list(self.results), self.trouble

    def _config_stamp(self) -> int:
        try:
            return (self.folder / CONFIG).stat().st_mtime_ns
        except OSError:
            return 0

    def _earlier_cams(self) -> list[str]:
        try:
            takes = json.loads((self.folder / "run.json").read_text(encoding="utf-8")).get("takes", {})
        except (OSError, ValueError, AttributeError):
            return []
        return [cam for cam in takes if not cam.startswith("given-")]
