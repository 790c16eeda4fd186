"""Run clips along camera paths with components that are loaded once."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ex4d_core.bounds import shown
from ex4d_core.config.run_config import RunConfig, Tree, make_config
from ex4d_core.console_reporter import reporter_for
from ex4d_core.errors import InvalidConfig, OutputFailed
from ex4d_core.pipeline.chosen import check_options_of
from ex4d_core.pipeline.clip_run import ClipRun, PathRun
from ex4d_core.pipeline.components import Components
from ex4d_core.pipeline.downloads import Consent
from ex4d_core.pipeline.failed_runs import leaving_nothing_if_failed
from ex4d_core.pipeline.forecast import announce_cost, remember_cost
from ex4d_core.pipeline.own_components import objects_among
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import Reporter
from ex4d_core.reading import as_path
from ex4d_core.roles import ROLES, DepthEstimator
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Video

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

    from ex4d_core.pipeline.arrays_in import GivenDepth

Clip: TypeAlias = "Video | str | Path | np.ndarray | Tensor | Sequence[Any]"
"""A clip: frames or a path."""

Depth: TypeAlias = "DepthVideo | np.ndarray | Tensor | Sequence[Any] | None"
"""Depth that replaces the estimator."""

Cam: TypeAlias = "str | float | CameraPath | np.ndarray | Tensor"
"""A camera path."""


class Session(Components):
    """Runs clips along camera paths and loads each component once.

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
        progress: bool | None = None,
        consent: Consent | None = None,
        **settings: Any,
    ) -> None:
        """Create a session; nothing is loaded yet.

        Args:
            config: a complete configuration; excludes `settings`.
            registry: the components; by default all that are installed.
            reporter: receives progress and messages; excludes `progress`.
            progress: whether to show progress and messages; by default in a notebook and on a terminal.
            consent: asks the user before weights that `auto` would use are downloaded. By default nothing is
                downloaded, unless `download="yes"` is among the settings.
            settings: fields of `RunConfig`; that of a role is a name (`depth="file"`) or a table of name and options
                (`depth={"name": "file", "path": "depth.npz"}`), or an object with the methods of the role
                (`renderer=MyRenderer()`), see `ex4d_core.roles`. Results of an object are reused by another one of the
                same class with an equal attribute `version`; without that attribute, by none.

        Raises:
            InvalidConfig: a setting, or an option of a named component, is unknown or has an invalid value.
            ComponentNotFound: no installed component has the name in a setting.
            PluginFailed: the plugin of a named component is disabled.
        """
        if config is not None and settings:
            raise InvalidConfig("pass a config or settings, not both")
        for name, value, method in (("registry", registry, "choose"), ("reporter", reporter, "stage")):
            if value is not None and not hasattr(value, method):
                raise InvalidConfig(f"{name} must be a {name.title()}, not {shown(value)}")
        if not isinstance(progress, bool | None):
            raise InvalidConfig(f"progress must be True, False or None, not {shown(progress)}")
        if not isinstance(config, RunConfig | None):
            raise InvalidConfig(
                f'config must be a RunConfig, not {shown(config)}; settings have names, as in depth="file"'
            )
        objects = objects_among(settings)
        super().__init__(
            config or make_config(tables({key: value for key, value in settings.items() if key not in objects})),
            registry=registry or Registry(),
            reporter=reporter or reporter_for(progress),
            consent=consent,
            objects=objects,
        )
        self._last_clip: ClipRun | None = None
        for role in ROLES.keys() & settings.keys():
            self._check_given(role)

    def _check_given(self, role: str) -> None:
        """Check the name and the options of a component, unless `auto` can select several; nothing is selected.

        Raises:
            Ex4dError: the name or an option is unknown, or an option has an invalid value.
        """
        given = getattr(self.config, role)
        if ROLES[role].in_cam:
            self.options_of_paths()
        elif given.name != "auto":
            check_options_of(self.registry.find(role, given.name), given.options, compat=self.config.compat)
        elif len(offers := self.registry.offers(role)) == 1:
            check_options_of(offers[0], given.options, compat=self.config.compat)

    def __repr__(self) -> str:
        names = {role.name: getattr(self.config, role.name).name for role in ROLES.values() if not role.in_cam}
        names |= {role: own.offer.source.distribution for role, own in self._own.items()}
        chosen = ", ".join(
            f"{role}={self._choices[role].offer.name!r} (auto)" if role in self._choices else f"{role}={name!r}"
            for role, name in names.items()
        )
        return f"<Session {chosen}; loaded: {', '.join(self._loaded) or 'nothing'}>"

    def changed(self, config: RunConfig, *, device_type: str | None = None) -> Session:
        """Return a session with another configuration, which shares the loaded components whose options are the same.

        Use it in place of this one, and change it in turn: components that it loads later are not shared back.

        Args:
            config: the configuration.
            device_type: type of its device, if it is known without torch.

        Raises:
            Ex4dError: the configuration names a component that cannot be used.
        """
        session = Session(config, registry=self.registry, reporter=self.reporter, consent=self._consent)
        session._device_type = device_type
        session.share(self)
        return session

    def open_clip(
        self,
        clip: Clip,
        *,
        depth: Depth = None,
        depth_kind: str | DepthKind | None = None,
        folder: str | Path | None = None,
        read_only: bool = False,
    ) -> ClipRun:
        """Open a clip; with a run folder, its artifacts are stored there and reused.

        Args:
            clip: a `Video`, a path to a video or a folder of images, or frames: an array or tensor [T, H, W, 3], uint8
                or floats from 0 to 1, or a list of images; they have 30 frames per second unless `video.fps` is set.
            depth: replaces the depth estimator: a `DepthVideo`, or an array, tensor or list of maps [T, H, W].
            depth_kind: meaning of an array of depth: metric, relative, affine or inverse, or the `DepthKind` of the
                first two; by default decided as by the depth estimator `file`.
            folder: run folder; if None, artifacts are kept in memory only.
            read_only: only load stages from the run folder; nothing is computed, written or removed.

        Raises:
            InputNotFound: the clip does not exist.
            InvalidInput: the clip cannot be read, or a value has a wrong type or shape.
            InvalidConfig: the kind of depth is unknown.
            OutputFailed: the run folder is a file.
        """
        clip_run = ClipRun(
            self,
            as_path(clip, "clip") if isinstance(clip, str | os.PathLike) else _as_clip(clip, self.config),
            depth=None if depth is depth_kind is None else _as_depth(depth, depth_kind),
            folder=None if folder is None else _run_folder(folder),
            read_only=read_only,
        )
        identity = clip_run.identity  # raises an error if the clip cannot be read
        # Further paths along the same clip share its depth.
        if self._last_clip is None or self._last_clip.identity != identity:
            self._last_clip = clip_run
        return self._last_clip

    def run(
        self,
        clip: Clip,
        *,
        cam: Cam | None = None,
        depth: Depth = None,
        depth_kind: str | DepthKind | None = None,
        folder: str | Path | None = None,
    ) -> PathRun:
        """Run a clip along a camera path, by default the first one of the configuration.

        Args:
            clip: as for `open_clip`.
            cam: a `--cam` text, an angle, or a path with a pose for each frame and its own intrinsics, in units of the
                depth; a path with `frames` may have any length. Also poses [T, 4, 4] or [T, 3, 4] as array or tensor,
                world to camera in OpenCV axes, which take the intrinsics of the clip.
            depth: replaces the depth estimator, as for `open_clip`.
            depth_kind: meaning of an array of depth, as for `open_clip`.
            folder: run folder; if None, artifacts are kept in memory only.

        Raises:
            Ex4dError: the input, an option or an output is invalid.
        """
        clip_run = self.open_clip(clip, depth=depth, depth_kind=depth_kind, folder=folder)
        path_run = clip_run.along(self.config.cam[0] if cam is None else cam)
        with leaving_nothing_if_failed(clip_run.folder) if clip_run.folder else nullcontext():
            announce_cost(path_run, "result")
            _ = path_run.video
            remember_cost(path_run)
        return path_run


def _run_folder(folder: Any) -> Path:
    path = as_path(folder, "run folder")
    if path.exists() and not path.is_dir():
        raise OutputFailed(f"the run folder {path} is a file; choose another name")
    return path


def _as_clip(clip: Any, config: RunConfig) -> Video | Path:
    from ex4d_core.pipeline.arrays_in import as_clip  # imports torch

    return as_clip(clip, fps=config.video.fps)


def _as_depth(depth: Any, kind: str | DepthKind | None) -> GivenDepth | None:
    from ex4d_core.pipeline.arrays_in import as_depth  # imports torch

    return as_depth(depth, kind)


def tables(settings: Mapping[str, Any]) -> Tree:
    """Return settings as tables of plain values: `depth="file"` becomes `depth={"name": "file"}`."""
    named = {role.name for role in ROLES.values() if not role.in_cam}
    plain: Tree = _plain(settings)
    return {key: {"name": value} if key in named and isinstance(value, str) else value for key, value in plain.items()}


def _plain(value: Any) -> Any:
    """Return a setting as a value that TOML has."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, getattr(sys.modules.get("torch"), "device", ())):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def run(
    clip: Clip,
    *,
    cam: Cam = "30",
    depth: Depth | str | Tree | DepthEstimator = None,
    depth_kind: str | DepthKind | None = None,
    folder: str | Path | None = None,
    **settings: Any,
) -> PathRun:
    """Run a clip along a camera path in a new session.

    Args:
        clip: the clip, as for `Session.open_clip`.
        cam: the path, as for `Session.run`.
        depth: depth as for `Session.run`, or a setting as for `Session`.
        depth_kind: meaning of an array of depth, as for `Session.run`.
        folder: run folder, as for `Session.run`.
        settings: as for `Session`.

    Raises:
        Ex4dError: the input or a setting is invalid.
    """
    given: Any = depth
    if is_setting(depth):
        settings["depth"], given = depth, None
    return Session(**settings).run(clip, cam=cam, depth=given, depth_kind=depth_kind, folder=folder)


def is_setting(depth: Any) -> bool:
    """Return whether a value names, or is, a depth estimator, in place of depth."""
    return isinstance(depth, str | Mapping) or hasattr(depth, "estimate")
