"""The state behind the page: the paths of the run, the user's path, and the pictures and texts of a frame."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np

from ex4d_core.cameras.language import cam_of_file
from ex4d_core.page_guard import text_as_markdown
from ex4d_core.preview.pictures import visible_fractions, with_holes
from ex4d_core.runs.export import CONFIG
from ex4d_core.shell import command_line
from ex4d_core.types import CameraPath
from ex4d_viewer.picture_panel import resize
from ex4d_viewer.run_watcher import RunWatcher
from ex4d_viewer.small_guidance import SmallFrame

OWN = "my path"
"""Name of the path that is edited on the page."""

MOST_ERRORS = 5
"""Limit of errors on the page."""


@attrs.frozen(kw_only=True, eq=False)
class FramePictures:
    """Pictures of one frame of a path; None if they are not available."""

    guidance: np.ndarray | None
    visible: float | None
    """Fraction of the guidance that is visible."""
    result: np.ndarray | None
    is_preview: bool = False
    """Whether the guidance is the latest preview of the path, possibly of an earlier frame."""


class PageState:
    """The paths of a run and of the user."""

    def __init__(self, watcher: RunWatcher) -> None:
        """Start with the paths that the watcher has found."""
        self._watcher = watcher
        self._visible: dict[str, list[float]] = {}
        self.own: CameraPath | None = None
        """The path that is edited on the page."""
        self.preview: tuple[str, SmallFrame] | None = None
        """The latest preview, and the name of its path."""

    @property
    def names(self) -> list[str]:
        """Names of all paths."""
        return [cam for cam in self._watcher.paths if cam != OWN] + ([OWN] if self.own is not None else [])

    def path(self, name: str) -> CameraPath | None:
        """Return the path of a name, if it exists."""
        return self.own if name == OWN else self._watcher.paths.get(name)

    def pictures(self, name: str, frame: int) -> FramePictures:
        """Return the pictures of a frame of a path."""
        guidance, result = self._watcher.guidance.get(name), self._watcher.results.get(name)
        shown = result.frames[frame] if result is not None and frame < result.num_frames else None
        finished = None if shown is None else resize(shown.numpy())
        if guidance is not None and frame < guidance.num_frames:
            picture = resize(with_holes(guidance.color[frame], guidance.mask[frame]).numpy())
            return FramePictures(guidance=picture, visible=self._visible_fractions(name)[frame], result=finished)
        if self.preview is not None and self.preview[0] == name:
            small = self.preview[1]
            return FramePictures(guidance=small.picture, visible=small.visible, result=finished, is_preview=True)
        return FramePictures(guidance=None, visible=None, result=finished)

    def has_guidance(self, name: str) -> bool:
        """Return whether the run has rendered a path."""
        return name in self._watcher.guidance

    def status(self, *, meshes: int | None, total: int, facts: str) -> str:
        """Return the status of the run in Markdown.

        Args:
            meshes: number of meshes on the page; None if all are.
            total: number of meshes of the scene; 0 before there is one.
            facts: resolution of the scene.
        """
        watcher = self._watcher
        lines = [f"**Not read**: {text_as_markdown(line)}" for line in watcher.trouble.splitlines()[:MOST_ERRORS]]
        if not total:
            return _listed(lines or ["**Waiting for the run's depth.** The scene appears when it is available."])
        lines.append(f"Depth is available; meshes {total if meshes is None else meshes} of {total}")
        for cam in watcher.paths:
            progress = "result" if cam in watcher.results else "guidance" if cam in watcher.guidance else "path only"
            lines.append(f"{text_as_markdown(f'--cam {cam}')}: {progress}")
        return _listed([*lines, facts])

    def _visible_fractions(self, name: str) -> list[float]:
        if name not in self._visible:
            self._visible[name] = visible_fractions(self._watcher.guidance[name]).tolist()
        return self._visible[name]


def command_for(path: Path, run: Path) -> str:
    """Return the command that runs the clip of a run along a path in a file."""
    words = ["ex4d", "run", "--config", run / CONFIG, "-o", run.parent, "--cam", cam_of_file(path)]
    return command_line(map(str, words))


def _listed(lines: list[str]) -> str:
    return lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines)
