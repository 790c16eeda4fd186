"""Drop-in API with the names of the EX-4D README; a thin wrapper around a session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

from ex4d_core.bounds import shown
from ex4d_core.config.run_config import Tree, merge
from ex4d_core.errors import ComponentNotFound, InvalidInput
from ex4d_core.geometry.subject import nearest_distance
from ex4d_core.pipeline.arrays_in import as_clip
from ex4d_core.pipeline.clips import read_clip
from ex4d_core.pipeline.own_components import objects_among
from ex4d_core.pipeline.session import Clip, Session, tables
from ex4d_core.plugins.registry import MORE, Registry
from ex4d_core.progress import Reporter
from ex4d_core.reading import as_path
from ex4d_core.roles import ROLES
from ex4d_core.types import CameraPath, Scene, Video
from ex4d_core.video_io import write_video
from ex4d_core.video_io.framing import check_size

NAME = "ex4d-base"
"""Name of the released EX-4D model."""

PRESET = "ex4d"
"""The preset of components that reproduce EX-4D."""

MODEL_ROLES = ("depth", "backbone")
"""Roles with weights, for which `auto` could select another component if they are missing."""


class Ex4dModel:
    """Re-renders videos along camera paths; components and depth are reused between calls.

    Example:
        model = Ex4dModel.from_pretrained("ex4d-base")
        path = generate_camera_trajectory(start_angle=-90, end_angle=90, num_frames=49)
        save_video(model.generate(input_video="in.mp4", camera_trajectory=path), "out.mp4")
    """

    def __init__(self, session: Session) -> None:
        """Wrap a session.

        Raises:
            InvalidInput: it is not a session.
        """
        if not isinstance(session, Session):
            raise InvalidInput(f"{type(self).__name__} takes a Session; a model has a name in from_pretrained")
        self.session = session

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "ex4d-base",
        *,
        registry: Registry | None = None,
        reporter: Reporter | None = None,
        **settings: Any,
    ) -> Ex4dModel:
        """Return a model by name.

        Args:
            name: "ex4d-base", the released EX-4D (DepthCrafter, Wan2.1 with the adapter, `--compat ex4d`); or a folder
                with another Wan checkpoint.
            registry: as for `Session`.
            reporter: as for `Session`.
            settings: settings of a `Session` that replace those of the model: `depth="transformers"`,
                `backbone={"memory": "24"}`, `device="cuda:1"`, `progress=False`.

        Raises:
            InvalidInput: the model is unknown.
            InputNotFound: weights are missing; the message has the command that downloads them.
            InvalidConfig: a setting is unknown or has an invalid value.
            ComponentNotFound: a component is not installed.
        """
        registry, objects = registry or Registry(), objects_among(settings)
        given = tables({key: value for key, value in settings.items() if key not in objects})
        weights = {} if name == NAME else _weights(as_path(name, "model"))
        models = {
            role: {"name": _model_of(role, registry)}
            for role in MODEL_ROLES
            if role not in objects and not _is_named(role, given)
        }
        chosen = merge({"compat": PRESET}, models, weights, given) | objects
        session = Session(registry=registry, reporter=reporter, **chosen)
        roles = [role.name for role in ROLES.values() if not role.in_cam]
        session.check(*roles)
        for role in roles:
            session.choose(role).identity()  # raises an error for missing weights before a video is read
        return cls(session)

    def generate(
        self,
        input_video: Clip,
        *,
        camera_trajectory: CameraPath | str,
        output_resolution: tuple[int, int] | None = None,
    ) -> Video:
        """Re-render a video along a camera path.

        Args:
            input_video: a video, a folder of images, or frames in memory, as for `Session.open_clip`.
            camera_trajectory: a `--cam` text; or poses around a subject at distance 1, one for each frame, as
                `generate_camera_trajectory` returns them. As in EX-4D, they are scaled to the distance of the nearest
                point of the scene and use the intrinsics of the clip. For a path in units of the scene with intrinsics
                of its own, see `Session.run`.
            output_resolution: width and height in pixels; by default as in EX-4D, both multiples of 64, or the size of
                frames in memory.

        Raises:
            InvalidInput: the path has another length than the clip, or frames in memory have another size.
            Ex4dError: the video or a setting is invalid.
        """
        path, size = camera_trajectory, None if output_resolution is None else check_size(output_resolution)
        if not isinstance(path, str | CameraPath):
            raise InvalidInput(f"camera_trajectory must be a CameraPath or a --cam text, not {shown(path)}")
        frames = path.num_frames if isinstance(path, CameraPath) else None
        clip_run = self.session.open_clip(self._clip(input_video, frames, size))
        return clip_run.along(path if isinstance(path, str) else _in_scene(path, clip_run.scene)).video

    def _clip(self, given: Clip, frames: int | None, size: tuple[int, int] | None) -> Video:
        """Read the first frames of a clip, or those of the configuration if `frames` is None."""
        clip = as_clip(given, fps=self.session.config.video.fps)
        if isinstance(clip, Video):
            if size not in (None, (clip.width, clip.height)):
                raise InvalidInput(
                    f"the frames in memory are {clip.width}x{clip.height} and the output is "
                    f"{size[0]}x{size[1]}; read the video at that size, or pass its path"
                )
            return clip
        options = self.session.config.video
        options = options if frames is None else attrs.evolve(options, num_frames=frames)
        options = options if size is None else attrs.evolve(options, size=f"{size[0]}x{size[1]}")
        with self.session.reporter.stage("read") as progress:
            return read_clip(clip, options, progress=progress)


def save_video(video: Video, path: str | Path) -> None:
    """Write a video, as `write_video` does.

    Raises:
        OutputFailed: the file cannot be written.
    """
    write_video(video, path)


def _weights(folder: Path) -> Tree:
    if not folder.is_dir():
        raise InvalidInput(f"unknown model {str(folder)!r}; use {NAME} or a folder with weights")
    return {"backbone": {"model": str(folder)}}


def _is_named(role: str, given: Tree) -> bool:
    table = given.get(role)
    return isinstance(table, Mapping) and "name" in table


def _model_of(role: str, registry: Registry) -> str:
    """Return the name of the component of highest priority that reproduces EX-4D."""
    for name in registry.auto_names(role):
        if PRESET in registry.find(role, name).spec.presets:
            return name
    raise ComponentNotFound(f"no {ROLES[role].title} that reproduces EX-4D is installed; {MORE}")


def _in_scene(path: CameraPath, scene: Scene) -> CameraPath:
    """Scale a path around a subject at distance 1 to the scene, and set the intrinsics of the clip."""
    poses = torch.clone(path.world_to_camera)
    poses[:, :3, 3] *= nearest_distance(scene.depth)
    return attrs.evolve(path, world_to_camera=poses, intrinsics=scene.depth.intrinsics_at(0))


EX4DModel = Ex4dModel
"""The name in the README of EX-4D."""
