"""Run one clip: video -> depth -> guidance -> result; `stage_order.py` lists what each stage needs.

The key of a stage is a hash of everything that determines its result. The keys of a run are therefore known before
anything is decoded or loaded, and a stage whose artifact is in the run folder costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ex4d_core.bounds import shown
from ex4d_core.cameras.source import own_cameras, source_cameras_file, with_source_cameras
from ex4d_core.config.run_config import Tree
from ex4d_core.errors import InvalidInput
from ex4d_core.pipeline import stages
from ex4d_core.pipeline.artifacts import DEPTH, GUIDANCE, VIDEO, StageCache, StageRecord
from ex4d_core.pipeline.clip_identity import claim
from ex4d_core.pipeline.clips import background_inputs, path_key, read_clip, read_dynamic_mask
from ex4d_core.pipeline.components import Components
from ex4d_core.pipeline.generation import generate_stage, generation_inputs, show_preview
from ex4d_core.pipeline.inputs import refuse_inputs
from ex4d_core.pipeline.measure import measure
from ex4d_core.pipeline.records import RUN_RECORD, Record
from ex4d_core.pipeline.selected_clip import PHOTO_FRAMES, SelectedClip, state_of
from ex4d_core.pipeline.sound import sound_of
from ex4d_core.pipeline.store import Store, content_key
from ex4d_core.progress import Progress
from ex4d_core.roles import DepthEstimator, TrajectoryGenerator
from ex4d_core.types import CameraPath, DepthVideo, Guidance, Mesh, Scene, Video
from ex4d_core.video_io import Sound

if TYPE_CHECKING:  # torch takes seconds to import; a finished run does without
    import numpy as np
    from torch import Tensor

    from ex4d_core.pipeline.arrays_in import GivenDepth
    from ex4d_core.pipeline.background import Plate


class ClipRun(SelectedClip):
    """One clip: its frames and depth, shared by every camera path along it."""

    def __init__(
        self,
        components: Components,
        clip: Video | str | Path,
        *,
        depth: GivenDepth | None = None,
        folder: Path | None = None,
        read_only: bool = False,
    ) -> None:
        """Set the clip; nothing is decoded yet.

        Args:
            components: the components and their options.
            clip: frames in memory, or a path to a video or a folder of images.
            depth: replaces the depth estimator of the components.
            folder: run folder; if None, artifacts are kept in memory only.
            read_only: only load stages from the run folder; nothing is computed, written or removed.
        """
        super().__init__(components, clip)
        self.folder = folder
        self._given_depth = depth
        self._read_only = read_only
        self._is_claimed = False

    def __repr__(self) -> str:
        place = f" in {self.folder}" if self.folder else ""
        return f"<ClipRun {self.title}{place}; {state_of(self, 'video', 'estimated_depth', 'scene')}>"

    @cached_property
    def store(self) -> Store | None:
        """The artifacts of the run folder, if there is one."""
        return self._open_store(read_only=self._read_only)

    @cached_property
    def stored(self) -> Store | None:
        """The artifacts, read-only."""
        return self._open_store(read_only=True)

    def _open_store(self, *, read_only: bool) -> Store | None:
        if self.folder is None:
            return None
        return Store(self.folder, warn=self.components.reporter.warn, read_only=read_only)

    @cached_property
    def cache(self) -> StageCache:
        """The stages, looked up in the run folder before they run."""
        return StageCache(self.components.reporter, store=self.store, read_only=self._read_only)

    @property
    def records(self) -> list[StageRecord]:
        """Time and memory of the stages so far, in order."""
        return self.cache.records

    @property
    def record(self) -> Record:
        """`run.json` of the run folder."""
        assert self.folder is not None, "records need a run folder"
        return Record(self.folder / RUN_RECORD, warn=self.components.reporter.warn)

    def claim(self) -> None:
        """Record that the run folder belongs to this clip; warn if it belonged to another one.

        Raises:
            OutputFailed: the folder cannot be written to, or is an input of the run.
        """
        if self._is_claimed:
            return
        refuse_inputs([self.record.path], self.input_files)
        claim(self.record, self.clip_identity, name=self.title)
        self._is_claimed = True

    @cached_property
    def identity(self) -> str:
        """Hash of everything that determines the frames, of depth that the caller passed, and of the folder."""
        given = {} if self._given_depth is None else {"depth": self._given_depth.inputs}
        return content_key({"clip": self.clip_inputs, "folder": str(self.folder), **given})

    @cached_property
    def video(self) -> Video:
        """The frames, a `Video`."""
        if isinstance(self.clip, Video):
            return self.clip
        reporter = self.components.reporter
        with reporter.stage("read") as progress, measure() as cost:
            video = read_clip(self.clip, self.components.config.video, progress=progress, warn=reporter.warn)
        self.records.append(StageRecord(stage="read", key=content_key(self.clip_inputs), reused=False, cost=cost))
        return video

    @cached_property
    def depth_inputs(self) -> Tree:
        """Everything that determines the depth."""
        if self._given_depth is not None:
            return {"clip": self.clip_inputs, "given": self._given_depth.inputs}
        return {"clip": self.clip_inputs, "component": self.components.choose("depth").identity()}

    @cached_property
    def estimated_depth(self) -> DepthVideo:
        """The result of the depth estimator, a `DepthVideo`."""
        given = self._given_depth
        return self.cache.cached_stage(
            "depth",
            self.depth_inputs,
            DEPTH,
            needs=lambda: self.video,
            load=lambda: given.estimator if given else self.components.depth_estimator(),
            work=lambda video, estimator, progress, _: self._estimate(video, estimator, progress=progress),
        )

    def _estimate(self, video: Video, estimator: DepthEstimator, *, progress: Progress) -> DepthVideo:
        """Return the depth of the frames, and report the notes and warnings of the estimator, if it has any."""
        depth = stages.estimate_depth(video, estimator, progress=progress)
        stages.report_texts(estimator, self.components.reporter)
        return depth

    def stored_depth(self) -> DepthVideo | None:
        """Return the estimated depth if the run folder has it."""
        return self.stored.load("depth", content_key(self.depth_inputs), DEPTH.load) if self.stored else None

    @cached_property
    def estimated_scene(self) -> Scene:
        """The frames and depth as estimated, a `Scene`, with intrinsics and source cameras of the user, if any."""
        video, depth = self.video, stages.with_intrinsics(self.estimated_depth, self.given_intrinsics)
        if file := source_cameras_file(self.components.config.path):
            return Scene(video=video, depth=with_source_cameras(depth, file, video))
        return Scene(video=video, depth=self.with_own_cameras(Scene(video=video, depth=depth)))

    def with_own_cameras(self, scene: Scene) -> DepthVideo:
        """Return the depth of a scene with its own poses of the source camera if they are used, and report the choice.

        Raises:
            InvalidInput: poses are required, and the depth has none.
        """
        estimated = self._given_depth is None and not self.components.choose("depth").is_file
        depth, note = own_cameras(scene, self.components.config.path, estimated=estimated)
        if note:
            self.components.reporter.note(note)
        return depth

    @cached_property
    def scene(self) -> Scene:
        """The frames and their refined depth, a `Scene`, of which meshes are built."""
        scene, components = self.estimated_scene, self.components
        options = components.config.refine
        if not options.enabled:
            return scene
        with components.reporter.stage("refine") as progress, measure() as cost:
            refined = stages.refine_scene(scene, options, device=components.device, progress=progress)
        key = content_key({"depth": self.depth_inputs, "refine": attrs.asdict(options)})
        self.records.append(StageRecord(stage="refine", key=key, reused=False, cost=cost))
        return refined

    @cached_property
    def plates(self) -> tuple[Plate, ...]:
        """The static background of the clip, which fills holes of the guidance."""
        components = self.components
        if components.guidance_options.background == "none":
            return ()
        from ex4d_core.pipeline.background import make_plates

        scene, builder, renderer = self.scene, components.mesh_builder(), components.renderer()
        with components.reporter.stage("background") as progress:
            return make_plates(
                scene, builder, renderer, moving=self.dynamic_mask, device=components.device, progress=progress
            )

    @cached_property
    def dynamic_mask(self) -> Tensor | None:
        """The mask of the user of what moves, bool [T, H, W], if any."""
        file = self.components.guidance_options.dynamic_mask
        if file is None:
            return None
        components = self.components
        return read_dynamic_mask(Path(file), components.config.video, self.video, warn=components.reporter.warn)

    def along(self, cam: str | float | CameraPath | np.ndarray | Tensor) -> PathRun:
        """Return the clip along a camera path.

        Args:
            cam: a `--cam` text, an angle, a path with its own intrinsics and size, or poses, as for `Session.run`.

        Raises:
            InvalidConfig: the path cannot be parsed, or an option is invalid.
            InvalidInput: the poses have another shape, or are not rigid.
            ComponentNotFound: a move is unknown.
        """
        if isinstance(cam, str):
            return PathRun(self, cam)
        from ex4d_core.pipeline.arrays_in import as_path_or_text

        return PathRun(self, as_path_or_text(cam, lambda: self.estimated_scene.depth.intrinsics))

    def mesh(self, frame: int) -> Mesh:
        """Return the mesh of one frame.

        Raises:
            InvalidInput: the clip does not have the frame.
        """
        if not isinstance(frame, Integral) or not 0 <= frame < self.video.num_frames:
            raise InvalidInput(f"frame must be a whole number below {self.video.num_frames}, not {shown(frame)}")
        return stages.build_mesh(self.scene, int(frame), self.components.mesh_builder())


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
            from ex4d_core.cameras.generators import GivenPath

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

    def __repr__(self) -> str:
        return f"<PathRun --cam {self.cam} of {self.clip_run.title}; {state_of(self, 'path', 'guidance', 'video')}>"

    def _repr_html_(self) -> str | None:
        return self.video._repr_html_() if "video" in vars(self) else None

    @cached_property
    def path(self) -> CameraPath:
        """The poses of the target camera, a `CameraPath`; the world is the source camera of frame 0."""
        return self.plan(self.clip_run.estimated_scene)

    def plan(self, scene: Scene) -> CameraPath:
        """Return the poses for a scene of the clip, which may have another resolution than that of the run."""
        generator = self._generator()
        path = stages.plan_path(scene, generator, num_frames=self._length(generator), follow=self._follow)
        stages.report_texts(generator, self.clip_run.components.reporter, scene)
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
        """The `Scene` with one frame for each frame of the output."""
        return stages.retimed(self.clip_run.scene, self.guidance.cameras)

    @cached_property
    def guidance_inputs(self) -> Tree:
        """Everything that determines the guidance."""
        components = self.clip_run.components
        return {
            "depth": self.clip_run.depth_inputs,
            "lens": self.clip_run.lens_inputs,
            "refine": attrs.asdict(components.config.refine),
            "background": background_inputs(components.guidance_options),
            "trajectory": self._path_inputs,
            "motion": {**self.clip_run.motion_inputs, "follow": self._follow},
            "mesh": components.choose("mesh").identity(),
            "renderer": components.choose("renderer").identity(),
            "fps": str(self.clip_run.fps),
        }

    @cached_property
    def guidance(self) -> Guidance:
        """Rendered color and mask along the path, a `Guidance`."""
        components = self.clip_run.components
        return self.clip_run.cache.cached_stage(
            "guidance",
            self.guidance_inputs,
            GUIDANCE,
            needs=lambda: (self.clip_run.scene, self.path),
            load=lambda: (components.mesh_builder(), components.renderer()),
            work=lambda needs, loaded, progress, _: stages.render_guidance(
                *needs, *loaded, plates=self.clip_run.plates, device=components.device, progress=progress
            ),
        )

    def load_ahead(self) -> None:
        """Start to load the components of stages that the run folder lacks, while the stages before them compute."""
        run, roles = self.clip_run, list[str]()
        for stage, inputs, used in (
            ("result", self.video_inputs, ("backbone",)),
            ("guidance", self.guidance_inputs, ("mesh", "renderer")),
            ("depth", run.depth_inputs, () if run._given_depth else ("depth",)),
        ):
            if run.stored and run.stored.size(stage, content_key(inputs)) is not None:
                break
            roles += used
        run.components.load_ahead(*roles)

    def stored_guidance(self) -> Guidance | None:
        """Return the guidance if the run folder has it."""
        store, key = self.clip_run.stored, content_key(self.guidance_inputs)
        return store.load("guidance", key, GUIDANCE.load) if store else None

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
        """The result: the `Video` from the target camera."""
        self.load_ahead()
        return generate_stage(
            self.clip_run.cache,
            self.clip_run.components,
            self.video_inputs,
            needs=lambda: (stages.visible_guidance(self.guidance, self.cam), self.clip_run.scene),
            show=partial(show_preview, self.clip_run.folder, self.cam, self.clip_run.input_files),
        )

    @cached_property
    def sound(self) -> Sound | None:
        """The sound of the result; None, with a warning, if the time of the result is not that of the clip."""
        run = self.clip_run
        if isinstance(run.clip, Video) or not run.has_sound:
            return None
        components = run.components
        return sound_of(run.clip, run.info, components.config.video, self.guidance, warn=components.reporter.warn)
