"""Drop-in API with the names of the EX-4D README; a thin wrapper around a session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

from ex4d_core.config.run_config import Tree, make_config, merge
from ex4d_core.errors import ComponentNotFound, InvalidInput
from ex4d_core.geometry.subject import nearest_distance
from ex4d_core.pipeline.clips import read_clip
from ex4d_core.pipeline.session import Session, tables
from ex4d_core.plugins.registry import MORE, Registry
from ex4d_core.progress import Reporter
from ex4d_core.roles import ROLES
from ex4d_core.types import CameraPath, Scene, Video
from ex4d_core.video_io import write_video

NAME = "ex4d-base"
"""The model that is not a folder: EX-4D as it was released."""

PRESET = "ex4d"
"""The preset of components that reproduce EX-4D."""

MODEL_ROLES = ("depth", "backbone")
"""The roles whose components are models, which `auto` would replace where their weights are missing."""


class Ex4dModel:
    """A video in, the same scene along a camera path out; nothing is loaded or estimated twice.

    Example:
        model = Ex4dModel.from_pretrained("ex4d-base")
        path = generate_camera_trajectory(start_angle=-90, end_angle=90, num_frames=49)
        save_video(model.generate(input_video="in.mp4", camera_trajectory=path), "out.mp4")
    """

    def __init__(self, session: Session) -> None:
        """Wrap a session."""
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
        """Return the model of a name.

        Args:
            name: "ex4d-base", EX-4D as it was released (DepthCrafter, Wan2.1 with the adapter, `--compat ex4d`); or a
                folder with another Wan checkpoint to use in its place.
            registry: as for `Session`.
            reporter: as for `Session`: told of stages, choices and terms of use; by default nobody.
            settings: fields of `RunConfig` that replace its own, as for `Session`: `depth="transformers"`,
                `backbone={"memory": "24"}`, `device="cuda:1"`.

        Raises:
            InvalidInput: there is no such model.
            InputNotFound: weights are not on this machine; the message has the command that brings them.
            InvalidConfig: a setting is unknown or has a value that it cannot take.
            ComponentNotFound: a component that was named, or one that reproduces EX-4D, is not installed.
        """
        registry, given = registry or Registry(), tables(settings)
        weights = {} if str(name) == NAME else _weights(Path(name))
        models = {role: {"name": _model_of(role, registry)} for role in MODEL_ROLES if not _is_named(role, given)}
        config = make_config(merge({"compat": PRESET}, models, weights, given))
        session = Session(config, registry=registry, reporter=reporter)
        roles = [role.name for role in ROLES.values() if not role.in_cam]
        session.check(*roles)
        for role in roles:
            session.choose(role).identity()  # asks for its weights: better now than after the first video is read
        return cls(session)

    def generate(
        self,
        input_video: Video | str | Path,
        *,
        camera_trajectory: CameraPath | str,
        output_resolution: tuple[int, int] | None = None,
    ) -> Video:
        """Return the scene of a video, seen along a camera path.

        Args:
            input_video: a video, a folder of images, or frames in memory.
            camera_trajectory: as `--cam` writes it; or poses around a subject at distance 1, as
                `generate_camera_trajectory` makes them, one for each frame. They are brought to the distance of the
                scene's nearest point, EX-4D's rule, and seen through the clip's lens. A path in units of the scene,
                with a lens of its own: `Session.run`.
            output_resolution: width and height in pixels; by default EX-4D's rule, both in multiples of 64, or the
                size of frames in memory.

        Raises:
            InvalidInput: the path has another length than the clip, or frames in memory another size.
            Ex4dError: the video or a setting cannot be used.
        """
        frames = camera_trajectory.num_frames if isinstance(camera_trajectory, CameraPath) else None
        clip_run = self.session.open_clip(self._clip(input_video, frames, output_resolution))
        path = camera_trajectory
        return clip_run.along(path if isinstance(path, str) else _in_scene(path, clip_run.scene)).video

    def _clip(self, clip: Video | str | Path, frames: int | None, size: tuple[int, int] | None) -> Video:
        """Return the first frames of a clip, all that the configuration names if None, at a size."""
        if isinstance(clip, Video):
            if size not in (None, (clip.width, clip.height)):
                raise InvalidInput(
                    f"the frames in memory are {clip.width}x{clip.height} and the output is to be "
                    f"{size[0]}x{size[1]}; read the video at that size, or give its path"
                )
            return clip
        options = self.session.config.video
        options = options if frames is None else attrs.evolve(options, num_frames=frames)
        options = options if size is None else attrs.evolve(options, size=f"{size[0]}x{size[1]}")
        with self.session.reporter.stage("read") as progress:
            return read_clip(Path(clip), options, progress=progress)


def save_video(video: Video, path: str | Path) -> None:
    """Write a video, as `write_video` does.

    Raises:
        OutputFailed: the file cannot be written.
    """
    write_video(video, path)


def _weights(folder: Path) -> Tree:
    if not folder.is_dir():
        raise InvalidInput(f"there is no model {str(folder)!r}; give {NAME}, or a folder with weights")
    return {"backbone": {"model": str(folder)}}


def _is_named(role: str, given: Tree) -> bool:
    table = given.get(role)
    return isinstance(table, Mapping) and "name" in table


def _model_of(role: str, registry: Registry) -> str:
    """Return the name of the component that reproduces EX-4D, the first that `auto` tries if there are several."""
    for name in registry.auto_names(role):
        if PRESET in registry.find(role, name).spec.presets:
            return name
    raise ComponentNotFound(f"no {role} that reproduces EX-4D is installed; {MORE}")


def _in_scene(path: CameraPath, scene: Scene) -> CameraPath:
    """Return a path around a subject at distance 1 as one around the subject of the scene, with the scene's lens."""
    poses = torch.clone(path.world_to_camera)
    poses[:, :3, 3] *= nearest_distance(scene.depth)
    return attrs.evolve(path, world_to_camera=poses, intrinsics=scene.depth.intrinsics_at(0))


EX4DModel = Ex4dModel
"""The name that the README of EX-4D uses."""
