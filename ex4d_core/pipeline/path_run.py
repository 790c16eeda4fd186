"""Run one clip along one camera path: its guidance and its result."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

import attrs

from ex4d_core.cameras.generators import GivenPath
from ex4d_core.cameras.language import cam_file_part
from ex4d_core.config.run_config import Tree
from ex4d_core.errors import InvalidInput
from ex4d_core.names import safe_name
from ex4d_core.pipeline import stages
from ex4d_core.pipeline.artifacts import GUIDANCE, VIDEO
from ex4d_core.pipeline.clips import path_key
from ex4d_core.pipeline.generation import generate_stage, generation_inputs
from ex4d_core.pipeline.inputs import is_input
from ex4d_core.pipeline.sound import sound_of
from ex4d_core.pipeline.store import content_key
from ex4d_core.roles import TrajectoryGenerator
from ex4d_core.types import CameraPath, Guidance, Scene, Video
from ex4d_core.video_io import Sound, write_video

if TYPE_CHECKING:
    from ex4d_core.pipeline.clip_run import ClipRun

PHOTO_FRAMES = 49
"""Frames of a camera path along a photo, as many as EX-4D generates."""


class PathRun:
    """A clip along one camera path."""

    def __init__(self, clip_run: ClipRun, cam: str | CameraPath) -> None:
        """Set the path; nothing is computed yet.

        Raises:
            InvalidConfig: the path cannot be parsed, or an option is invalid.
            ComponentNotFound: a move is unknown.
        """
        self.clip_run = clip_run
        options = clip_run.components.config.path
        self._generator: Callable[[], TrajectoryGenerator]
        self._num_frames = clip_run.path_frames
        if isinstance(cam, CameraPath):
            self._path_inputs: Tree = {"given": path_key(cam)}
            self._generator = partial(GivenPath, cam)
            self.cam, is_given = f"given-{path_key(cam)[:16]}", True
            if cam.frames is not None:
                self._num_frames = cam.num_frames
        else:
            chosen = clip_run.components.choose_trajectory(cam)
            self._path_inputs, is_given = chosen.identity(), chosen.is_given
            self._generator = partial(clip_run.components.trajectory, cam)
            self.cam = cam
        self._follow = options.relative_to == "source" or (options.relative_to == "auto" and not is_given)

    @cached_property
    def path(self) -> CameraPath:
        """The poses of the target camera; the world is the source camera of frame 0."""
        return self.plan(self.clip_run.estimated_scene)

    def plan(self, scene: Scene) -> CameraPath:
        """Return the poses for a scene of the clip, which may have another resolution than that of the run."""
        generator = self._generator()
        path = stages.plan_path(scene, generator, num_frames=self._length(generator), follow=self._follow)
        reporter = self.clip_run.components.reporter
        for name, report in (("notes", reporter.note), ("warnings", reporter.warn)):
            texts: Callable[[Scene], list[str]] = getattr(generator, name, lambda scene: [])
            for text in texts(scene):
                report(text)
        return path

    def _length(self, generator: TrajectoryGenerator) -> int | None:
        """Return the number of poses, or None for that of the frames; a path along a photo is a move as well."""
        if self._num_frames is not None or not self.clip_run.is_photo:
            return self._num_frames
        fixed: int | None = getattr(generator, "num_poses", None)
        if fixed is not None:
            return fixed
        self.clip_run.components.reporter.note(
            f"the clip is a photo: camera paths have {PHOTO_FRAMES} frames; choose another number with --output-frames"
        )
        return PHOTO_FRAMES

    @property
    def scene(self) -> Scene:
        """The scene with one frame for each frame of the output."""
        return stages.retimed(self.clip_run.scene, self.guidance.cameras)

    @cached_property
    def guidance_inputs(self) -> Tree:
        """Everything that determines the guidance."""
        components = self.clip_run.components
        return {
            "depth": self.clip_run.depth_inputs,
            "lens": self.clip_run.lens_inputs,
            "refine": attrs.asdict(components.config.refine),
            "trajectory": self._path_inputs,
            "motion": {**self.clip_run.motion_inputs, "follow": self._follow},
            "mesh": components.choose("mesh").identity(),
            "renderer": components.choose("renderer").identity(),
            "fps": str(self.clip_run.fps),
        }

    @cached_property
    def guidance(self) -> Guidance:
        """Rendered color and mask along the path."""
        components = self.clip_run.components
        return self.clip_run.cache.cached_stage(
            "guidance",
            self.guidance_inputs,
            GUIDANCE,
            needs=lambda: (self.clip_run.scene, self.path, components.mesh_builder(), components.renderer()),
            work=lambda needs, progress, _: stages.render_guidance(*needs, device=components.device, progress=progress),
        )

    def stored_guidance(self) -> Guidance | None:
        """Return the guidance if the run folder has it."""
        store = self.clip_run.stored
        return store.load("guidance", content_key(self.guidance_inputs), GUIDANCE.load) if store else None

    def stored_video(self) -> Video | None:
        """Return the result if the run folder has it."""
        store = self.clip_run.stored
        return store.load("result", content_key(self.video_inputs), VIDEO.load) if store else None

    @cached_property
    def video_inputs(self) -> Tree:
        """Everything that determines the result."""
        return {"guidance": self.guidance_inputs, **generation_inputs(self.clip_run.components)}

    @cached_property
    def video(self) -> Video:
        """The result: the video from the target camera."""
        return generate_stage(
            self.clip_run.cache,
            self.clip_run.components,
            self.video_inputs,
            needs=lambda: (self._visible_guidance(), self.clip_run.scene),
            show=self._show,
        )

    def _visible_guidance(self) -> Guidance:
        """Return the guidance.

        Raises:
            InvalidInput: none of its pixels is visible.
        """
        if not self.guidance.mask.any():
            raise InvalidInput(
                f"--cam {self.cam} sees no pixel of the clip in any frame, so there is nothing to generate from; use a "
                "smaller angle or distance, and look at it with ex4d preview"
            )
        return self.guidance

    @cached_property
    def sound(self) -> Sound | None:
        """The sound of the result; None, with a warning, if the time of the result is not that of the clip."""
        run = self.clip_run
        if isinstance(run.clip, Video) or not run.has_sound:
            return None
        components = run.components
        return sound_of(run.clip, run.info, components.config.video, self.guidance, warn=components.reporter.warn)

    def _show(self, name: str, video: Video) -> None:
        """Write a preview of the result into the run folder."""
        folder = self.clip_run.folder
        path = folder and folder / f"{safe_name(name, most=64)}_{cam_file_part(self.cam)}.mp4"
        if path and not is_input(path, self.clip_run.input_files):
            write_video(video, path)
