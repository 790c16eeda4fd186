"""The order of the stages: what each is made from, looked up before it is made.

video -> depth -> guidance -> result. Every stage's key is a hash of all that decides its content, so the keys of a
run are known before anything is decoded or loaded, and what is in the store already costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from ex4d_core.cameras.generators import GivenPath
from ex4d_core.cameras.intrinsics import given_intrinsics, intrinsics_file
from ex4d_core.cameras.language import cam_file_part
from ex4d_core.cameras.source import source_cameras_file, with_source_cameras
from ex4d_core.config.run_config import Tree, VideoOptions
from ex4d_core.errors import InputNotFound
from ex4d_core.files import tree_hash
from ex4d_core.names import safe_name
from ex4d_core.pipeline import codecs, stages
from ex4d_core.pipeline.clips import clip_hash, frame_size, path_key, usual_rate
from ex4d_core.pipeline.measure import Usage, measure
from ex4d_core.pipeline.outputs import claim
from ex4d_core.pipeline.records import FRAMES_IN_MEMORY, RUN_RECORD, Record, real_path
from ex4d_core.pipeline.store import Store, content_key, tensor_hash
from ex4d_core.progress import Progress, silent
from ex4d_core.roles import TrajectoryGenerator
from ex4d_core.types import CameraPath, DepthVideo, Guidance, Mesh, Scene, Video
from ex4d_core.video_io import probe_video, read_video, write_video
from ex4d_core.workspace import Workspace

if TYPE_CHECKING:
    from ex4d_core.pipeline.session import Session

Value = TypeVar("Value")
Work = Callable[[Progress, Path | None], Value]
"""Is told where it may keep what it has so far, if anywhere."""


@attrs.frozen(kw_only=True)
class Codec(Generic[Value]):
    """How the artifacts of a stage are written and read."""

    save: Callable[[Path, Value], None]
    load: Callable[[Path], Value]


DEPTH: Codec[DepthVideo] = Codec(save=codecs.save_depth, load=codecs.load_depth)
GUIDANCE: Codec[Guidance] = Codec(save=codecs.save_guidance, load=codecs.load_guidance)
VIDEO: Codec[Video] = Codec(save=codecs.save_video, load=codecs.load_video)


@attrs.frozen(kw_only=True)
class StageRecord:
    """What one stage of a run took."""

    stage: str
    key: str
    reused: bool
    """Whether it was found instead of made."""
    cost: Usage


class ClipRun:
    """One clip in a session: its frames and depth, shared by every camera path along it."""

    def __init__(
        self,
        session: Session,
        clip: Video | str | Path,
        *,
        folder: Path | None = None,
        read_only: bool = False,
    ) -> None:
        """Name a clip; nothing is decoded yet.

        Args:
            session: its components and options.
            clip: frames in memory, or a path to a video or a folder of images.
            folder: the run folder that keeps the artifacts, or None to keep them in memory only.
            read_only: take stages from the run folder only; nothing is made, written or removed.
        """
        self.session = session
        self.clip = clip if isinstance(clip, Video) else Path(clip)
        self.folder = folder
        self.records: list[StageRecord] = []
        self._read_only = read_only
        self._is_claimed = False

    @cached_property
    def store(self) -> Store | None:
        """The artifacts, where there is a run folder."""
        return self._open_store(read_only=self._read_only)

    @cached_property
    def stored(self) -> Store | None:
        """The same, to look at."""
        return self._open_store(read_only=True)

    def _open_store(self, *, read_only: bool) -> Store | None:
        if self.folder is None:
            return None
        return Store(self.folder, warn=self.session.reporter.warn, read_only=read_only)

    @property
    def record(self) -> Record:
        """The run folder's `run.json`."""
        assert self.folder is not None, "records need a run folder"
        return Record(self.folder / RUN_RECORD, warn=self.session.reporter.warn, clip=self._clip_identity)

    @property
    def title(self) -> str:
        """The clip as it was named."""
        return FRAMES_IN_MEMORY if isinstance(self.clip, Video) else str(self.clip)

    def claim(self) -> None:
        """Say in the run folder that it belongs to this clip; warn where it belonged to another one.

        Raises:
            OutputFailed: the folder cannot be written to.
        """
        if self._is_claimed:
            return
        path, content = self._clip_identity
        claim(self.record, clip=self.title, path=path, content=content)
        self._is_claimed = True

    @cached_property
    def _clip_identity(self) -> tuple[str, str]:
        """Where the clip is, '' for frames in memory, and its hash."""
        inputs = self.clip_inputs
        return ("", inputs["frames"]) if isinstance(self.clip, Video) else (real_path(self.clip), inputs["file"])

    @cached_property
    def identity(self) -> str:
        """What decides everything that belongs to the shot, as one text."""
        return content_key({"clip": self.clip_inputs, "folder": str(self.folder)})

    @cached_property
    def clip_inputs(self) -> Tree:
        """What decides the frames."""
        if isinstance(self.clip, Video):
            origin = self.clip.origin and attrs.asdict(self.clip.origin)
            return {"frames": tensor_hash(self.clip.frames), "origin": origin}
        probe_video(self.clip)  # for its errors: a missing file or no video is said before anything else
        options = attrs.asdict(self.session.config.video)
        options.pop("fps")  # it changes no frame
        return {"file": clip_hash(self.clip), "options": options}

    @cached_property
    def video(self) -> Video:
        """The frames."""
        if isinstance(self.clip, Video):
            return self.clip
        with self.session.reporter.stage("read") as progress, measure() as cost:
            video = read_clip(self.clip, self.session.config.video, progress=progress)
        self.records.append(StageRecord(stage="read", key=content_key(self.clip_inputs), reused=False, cost=cost))
        return video

    @property
    def fps(self) -> Fraction | float | None:
        """The rate of the outputs where it is known before the clip is read."""
        return self.clip.fps if isinstance(self.clip, Video) else self.session.config.video.fps

    @cached_property
    def depth_inputs(self) -> Tree:
        """What decides the depth."""
        return {"clip": self.clip_inputs, "component": self.session.choose("depth").identity()}

    @cached_property
    def estimated_depth(self) -> DepthVideo:
        """The depth as the estimator gave it."""

        def prepare() -> Work[DepthVideo]:
            video, estimator = self.video, self.session.depth_estimator()
            return lambda progress, _: stages.estimate_depth(video, estimator, progress=progress)

        return self.produce("depth", self.depth_inputs, DEPTH, prepare)

    def stored_depth(self) -> DepthVideo | None:
        """Return the estimator's depth if a run has left it in the run folder."""
        return self.stored.load("depth", content_key(self.depth_inputs), DEPTH.load) if self.stored else None

    @cached_property
    def scene(self) -> Scene:
        """The frames and their depth, with the intrinsics that the user gave, if any."""
        video, depth = self.video, self.estimated_depth
        intrinsics = given_intrinsics(self.session.config.lens, video)
        depth = stages.with_intrinsics(depth, intrinsics)
        if file := source_cameras_file(self.session.config.path):
            depth = with_source_cameras(depth, file, video)
        return Scene(video=video, depth=depth)

    @cached_property
    def lens_inputs(self) -> Tree:
        """What decides the intrinsics."""
        lens = self.session.config.lens
        file = intrinsics_file(lens)
        # What is in the file decides, not what it is called.
        return {**attrs.asdict(lens), "intrinsics": None if file is None else tree_hash(file)}

    @cached_property
    def motion_inputs(self) -> Tree:
        """What decides how long paths are, what they are relative to, and how the source camera moves."""
        options = self.session.config.path
        file = source_cameras_file(options)
        return {"frames": options.frames, "source_cameras": None if file is None else tree_hash(file)}

    def along(self, cam: str | CameraPath) -> PathRun:
        """Return the shot along a camera path: as `--cam` writes it, or given, with the lens and size it has."""
        return PathRun(self, cam)

    def mesh(self, frame: int) -> Mesh:
        """Return the mesh of one frame."""
        return stages.build_mesh(self.scene, frame, self.session.mesh_builder())

    def produce(self, stage: str, inputs: Tree, codec: Codec[Value], prepare: Callable[[], Work[Value]]) -> Value:
        """Return a stage's result: from the store, or made and stored.

        Args:
            stage: its name.
            inputs: what decides the result.
            codec: how it is stored.
            prepare: gets what the stage works on, earlier stages included, and returns the work itself.
        """
        key = content_key(inputs)
        with measure() as cost:
            found = self.store.load(stage, key, codec.load) if self.store else None
        if found is not None:
            self.records.append(StageRecord(stage=stage, key=key, reused=True, cost=cost))
            return found
        if self._read_only:
            raise InputNotFound(f"{self.folder} has no {stage} of these settings, or it is damaged; a run makes it")
        work = prepare()
        with self.session.reporter.stage(stage) as progress, measure() as cost, self._unfinished(stage, key) as kept:
            value = work(progress, kept)
            if self.store:
                self.store.save(stage, key, inputs, lambda folder: codec.save(folder, value))
        self.records.append(StageRecord(stage=stage, key=key, reused=False, cost=cost))
        return value

    def _unfinished(self, stage: str, key: str) -> AbstractContextManager[Path | None]:
        if self.store is None:
            return nullcontext()
        return self.store.unfinished(stage, key, tell=lambda text: self.session.reporter.note(f"{stage}: {text}"))


class PathRun:
    """A shot along one camera path."""

    def __init__(self, clip_run: ClipRun, cam: str | CameraPath) -> None:
        """Name a path; nothing is made yet.

        Raises:
            InvalidConfig: the path cannot be read or has an option out of range.
            ComponentNotFound: there is no such move.
        """
        self.clip_run = clip_run
        options = clip_run.session.config.path
        self._generator: Callable[[], TrajectoryGenerator]
        self._num_frames = options.frames
        if isinstance(cam, CameraPath):
            self._path_inputs: Tree = {"given": path_key(cam)}
            self._generator = partial(GivenPath, cam)
            self.cam, is_given = f"given-{path_key(cam)[:16]}", True
            if cam.frames is not None:
                self._num_frames = cam.num_frames
        else:
            chosen = clip_run.session.choose_trajectory(cam)
            self._path_inputs, is_given = chosen.identity(), chosen.is_given
            self._generator = partial(clip_run.session.trajectory, cam)
            self.cam = cam
        self._follow = options.relative_to == "source" or (options.relative_to == "auto" and not is_given)

    @cached_property
    def path(self) -> CameraPath:
        """The poses of the new camera, in the world: the source camera of frame 0."""
        scene, generator = self.clip_run.scene, self._generator()
        path = stages.plan_path(scene, generator, num_frames=self._num_frames, follow=self._follow)
        warnings: Callable[[Scene], list[str]] = getattr(generator, "doubts", lambda scene: [])
        for doubt in warnings(scene):
            self.clip_run.session.reporter.warn(doubt)
        return path

    @property
    def scene(self) -> Scene:
        """The frames of the clip that the output shows, one for each of its own, and their depth."""
        return stages.retimed(self.clip_run.scene, self.guidance.cameras)

    @cached_property
    def guidance_inputs(self) -> Tree:
        """What decides the guidance."""
        session = self.clip_run.session
        return {
            "depth": self.clip_run.depth_inputs,
            "lens": self.clip_run.lens_inputs,
            "trajectory": self._path_inputs,
            "motion": {**self.clip_run.motion_inputs, "follow": self._follow},
            "mesh": session.choose("mesh").identity(),
            "renderer": session.choose("renderer").identity(),
            "fps": str(self.clip_run.fps),
        }

    @cached_property
    def guidance(self) -> Guidance:
        """Color and mask of what is known along the path."""
        session = self.clip_run.session

        def prepare() -> Work[Guidance]:
            scene, builder, renderer = self.clip_run.scene, session.mesh_builder(), session.renderer()
            path = self.path
            return lambda progress, _: stages.render_guidance(
                scene, path, builder, renderer, device=session.device, progress=progress
            )

        return self.clip_run.produce("guidance", self.guidance_inputs, GUIDANCE, prepare)

    def stored_guidance(self) -> Guidance | None:
        """Return the guidance if a run has left it in the run folder."""
        store = self.clip_run.stored
        return store.load("guidance", content_key(self.guidance_inputs), GUIDANCE.load) if store else None

    def stored_video(self) -> Video | None:
        """Return the result if a run has left it in the run folder."""
        store = self.clip_run.stored
        return store.load("result", content_key(self.video_inputs), VIDEO.load) if store else None

    @cached_property
    def video_inputs(self) -> Tree:
        """What decides the result."""
        config = self.clip_run.session.config
        return {
            "guidance": self.guidance_inputs,
            "backbone": self.clip_run.session.choose("backbone").identity(),
            "prompt": config.prompt,
            "seed": config.seed,
        }

    @cached_property
    def video(self) -> Video:
        """The result: the whole video from the new camera."""
        config = self.clip_run.session.config

        def prepare() -> Work[Video]:
            guidance, scene, backbone = self.guidance, self.clip_run.scene, self.clip_run.session.backbone()
            stages.warn_if_trivial_mask(guidance, self.clip_run.session.reporter)
            return lambda progress, folder: stages.generate_video(
                guidance,
                scene,
                backbone,
                prompt=config.prompt,
                seed=config.seed,
                progress=progress,
                workspace=Workspace(folder=folder, show=self._show),
            )

        return self.clip_run.produce("result", self.video_inputs, VIDEO, prepare)

    def _show(self, name: str, video: Video) -> None:
        """Write a video on its way to the result into the run folder."""
        if self.clip_run.folder is not None:
            write_video(video, self.clip_run.folder / f"{safe_name(name, most=64)}_{cam_file_part(self.cam)}.mp4")


def read_clip(clip: Path, options: VideoOptions, *, progress: Progress = silent) -> Video:
    """Return the frames of a video or a folder of images that the options name.

    Raises:
        InputNotFound: there is no such clip.
        InvalidInput: it is none, or has no such frames.
    """
    video = read_video(
        clip,
        start=options.start,
        stride=options.stride,
        num_frames=options.num_frames,
        size=frame_size(options, clip),
        fit=options.fit,
        progress=progress,
    )
    return video if options.fps is None else attrs.evolve(video, fps=usual_rate(options.fps))
