"""Run clips along camera paths with components that are loaded once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ex4d_core.config.run_config import (
    RunConfig,
    Tree,
    make_config,
)
from ex4d_core.pipeline.clip_run import ClipRun, PathRun
from ex4d_core.pipeline.components import Components
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import Reporter, SilentReporter
from ex4d_core.roles import ROLES
from ex4d_core.types import CameraPath, Video


class Session(Components):
    """Runs clips along camera paths without loading anything twice.

    Example:
        session = Session(depth={"name": "file", "path": "depth.npz"})
        path_run = session.run("clip.mp4", cam="orbit:yaw=-40,pitch=10")
    """

    def __init__(
        self,
        config: RunConfig | None = None,
        *,
        registry: Registry | None = None,
        reporter: Reporter | None = None,
        **settings: Any,
    ) -> None:
        """Choose components; nothing is loaded yet.

        Args:
            config: a whole configuration; `settings` are then not allowed.
            registry: where components are looked up; by default everything that is installed.
            reporter: told of stages and choices; by default nobody.
            settings: fields of `RunConfig`: a role is given as a name (`depth="file"`) or as a table of its name and
                options (`depth={"name": "file", "path": "depth.npz"}`).

        Raises:
            InvalidConfig: a setting is unknown or has a value that it cannot take.
            ComponentNotFound: a component that was named is not installed.
        """
        if config is not None and settings:
            raise TypeError("give a config or settings, not both")
        super().__init__(
            config or make_config(tables(settings)),
            registry=registry or Registry(),
            reporter=reporter or SilentReporter(),
        )
        self._last_clip: ClipRun | None = None

    def open_clip(
        self, clip: Video | str | Path, *, folder: str | Path | None = None, read_only: bool = False
    ) -> ClipRun:
        """Return a clip in this session; with a run folder its artifacts are kept there and found again.

        Args:
            clip: frames, or a path to a video or a folder of images.
            folder: the run folder, or None to keep artifacts in memory only.
            read_only: take stages from the run folder only; nothing is made, written or removed.

        Raises:
            InputNotFound: there is no such clip.
            InvalidInput: it cannot be read.
        """
        clip_run = ClipRun(self, clip, folder=None if folder is None else Path(folder), read_only=read_only)
        identity = clip_run.identity  # raises for a clip that cannot be read, before it is kept
        # Another path along the same clip starts with the depth that is already there.
        if self._last_clip is None or self._last_clip.identity != identity:
            self._last_clip = clip_run
        return self._last_clip

    def run(
        self, clip: Video | str | Path, *, cam: str | CameraPath | None = None, folder: str | Path | None = None
    ) -> PathRun:
        """Return the clip seen along a camera path, by default the first of the configuration.

        Args:
            clip: frames, or a path to a video or a folder of images.
            cam: as `--cam` writes it, or a path with a pose for each frame: in units of the depth, seen through its
                own lens. One that says which frame of the clip each pose shows may have any length.
            folder: the run folder that keeps the artifacts, or None to keep them in memory only.

        Raises:
            Ex4dError: the input, an option or an output cannot be used.
        """
        path_run = self.open_clip(clip, folder=folder).along(cam or self.config.cam[0])
        _ = path_run.video
        return path_run


def tables(settings: Mapping[str, Any]) -> Tree:
    """Return settings as tables: `depth="file"` becomes `depth={"name": "file"}`."""
    named = {role.name for role in ROLES.values() if not role.in_cam}
    return {
        key: {"name": value} if key in named and isinstance(value, str) else value for key, value in settings.items()
    }


def run(clip: Video | str | Path, *, cam: str | CameraPath = "30", **settings: Any) -> PathRun:
    """Return a clip seen along a camera path: in a session of its own.

    Args:
        clip: frames, or a path to a video or a folder of images.
        cam: the path, as for `Session.run`.
        settings: as for `Session`.

    Raises:
        Ex4dError: the input or a setting cannot be used.
    """
    return Session(**settings).run(clip, cam=cam)
