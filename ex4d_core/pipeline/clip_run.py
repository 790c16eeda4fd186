"""Run one clip: video -> depth -> guidance -> result; `stage_order.py` lists what each stage needs.

The key of a stage is a hash of everything that determines its result. The keys of a run are therefore known before
anything is decoded or loaded, and a stage whose artifact is in the run folder costs nothing.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from pathlib import Path

import attrs

from ex4d_core.cameras.intrinsics import given_intrinsics
from ex4d_core.cameras.source import source_cameras_file, with_source_cameras
from ex4d_core.config.run_config import Tree
from ex4d_core.pipeline import stages
from ex4d_core.pipeline.artifacts import DEPTH, StageCache, StageRecord
from ex4d_core.pipeline.clip_identity import FRAMES_IN_MEMORY, ClipIdentity, claim, real_path
from ex4d_core.pipeline.clips import Selection, clip_hash, read_clip, select
from ex4d_core.pipeline.components import Components
from ex4d_core.pipeline.inputs import input_files, refuse_inputs
from ex4d_core.pipeline.measure import measure
from ex4d_core.pipeline.path_run import PathRun
from ex4d_core.pipeline.records import RUN_RECORD, Record
from ex4d_core.pipeline.store import Store, content_key, tensor_hash
from ex4d_core.progress import Progress
from ex4d_core.roles import DepthEstimator
from ex4d_core.types import CameraPath, DepthVideo, Intrinsics, Mesh, Scene, Video
from ex4d_core.video_io import VideoInfo, count_tracks, probe_video


class ClipRun:
    """One clip: its frames and depth, shared by every camera path along it."""

    def __init__(
        self,
        components: Components,
        clip: Video | str | Path,
        *,
        folder: Path | None = None,
        read_only: bool = False,
    ) -> None:
        """Set the clip; nothing is decoded yet.

        Args:
            components: the components and their options.
            clip: frames in memory, or a path to a video or a folder of images.
            folder: run folder; if None, artifacts are kept in memory only.
            read_only: only load stages from the run folder; nothing is computed, written or removed.
        """
        self.components = components
        self.clip = clip if isinstance(clip, Video) else Path(clip)
        self.folder = folder
        self._read_only = read_only
        self._is_claimed = False

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

    @property
    def title(self) -> str:
        """The clip as the user wrote it."""
        return FRAMES_IN_MEMORY if isinstance(self.clip, Video) else str(self.clip)

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
    def input_files(self) -> list[Path]:
        """The files and folders that the run reads."""
        return input_files(self.components.config, None if isinstance(self.clip, Video) else self.clip)

    @cached_property
    def clip_identity(self) -> ClipIdentity:
        """Path and hash of the clip."""
        if isinstance(self.clip, Video):
            return ClipIdentity("", self.clip_inputs["frames"])
        return ClipIdentity(real_path(self.clip), self.clip_inputs["file"])

    @cached_property
    def identity(self) -> str:
        """Hash of everything that determines the frames, and of the folder."""
        return content_key({"clip": self.clip_inputs, "folder": str(self.folder)})

    @cached_property
    def clip_inputs(self) -> Tree:
        """Everything that determines the frames."""
        if isinstance(self.clip, Video):
            origin = self.clip.origin and attrs.asdict(self.clip.origin)
            return {"frames": tensor_hash(self.clip.frames), "origin": origin}
        return {"selection": self.selection.inputs, "file": clip_hash(self.clip)}

    @cached_property
    def is_photo(self) -> bool:
        """Whether the clip has a single frame."""
        return (self.clip if isinstance(self.clip, Video) else self.info).num_frames == 1

    @cached_property
    def info(self) -> VideoInfo:
        """Properties of the clip, which is a file or a folder."""
        assert not isinstance(self.clip, Video), "frames in memory have no file"
        return probe_video(self.clip)

    @cached_property
    def selection(self) -> Selection:
        """The frames that the options select from the clip, which is a file or a folder."""
        assert not isinstance(self.clip, Video), "frames in memory are used as they are"
        return select(self.clip, self.components.config.video, self.info)

    @cached_property
    def has_sound(self) -> bool:
        """Whether the clip is a video with audio tracks."""
        return not isinstance(self.clip, Video) and count_tracks(self.clip) > 0

    @property
    def path_frames(self) -> int | None:
        """The number of frames of paths that the options ask for, unless it is that of the clip anyway."""
        count = self.clip.num_frames if isinstance(self.clip, Video) else self.selection.num_frames
        frames = self.components.config.path.frames
        return None if frames == count and not self.is_photo else frames

    @cached_property
    def video(self) -> Video:
        """The frames."""
        if isinstance(self.clip, Video):
            return self.clip
        reporter = self.components.reporter
        with reporter.stage("read") as progress, measure() as cost:
            video = read_clip(self.clip, self.components.config.video, progress=progress, warn=reporter.warn)
        self.records.append(StageRecord(stage="read", key=content_key(self.clip_inputs), reused=False, cost=cost))
        return video

    @property
    def fps(self) -> Fraction:
        """The frame rate of the outputs."""
        return self.clip.fps if isinstance(self.clip, Video) else self.selection.fps

    @cached_property
    def depth_inputs(self) -> Tree:
        """Everything that determines the depth."""
        return {"clip": self.clip_inputs, "component": self.components.choose("depth").identity()}

    @cached_property
    def estimated_depth(self) -> DepthVideo:
        """The result of the depth estimator."""
        return self.cache.cached_stage(
            "depth",
            self.depth_inputs,
            DEPTH,
            needs=lambda: (self.video, self.components.depth_estimator()),
            work=lambda needs, progress, _: self._estimate(*needs, progress=progress),
        )

    def _estimate(self, video: Video, estimator: DepthEstimator, *, progress: Progress) -> DepthVideo:
        """Return the depth of the frames, and report the notes and warnings of the estimator, if it has any."""
        depth, reporter = stages.estimate_depth(video, estimator, progress=progress), self.components.reporter
        for name, report in (("notes", reporter.note), ("warnings", reporter.warn)):
            for text in getattr(estimator, name, list)():
                report(text)
        return depth

    def stored_depth(self) -> DepthVideo | None:
        """Return the estimated depth if the run folder has it."""
        return self.stored.load("depth", content_key(self.depth_inputs), DEPTH.load) if self.stored else None

    @cached_property
    def estimated_scene(self) -> Scene:
        """The frames and their depth as estimated, with the intrinsics and source cameras of the user, if any."""
        video, depth = self.video, stages.with_intrinsics(self.estimated_depth, self.given_intrinsics)
        if file := source_cameras_file(self.components.config.path):
            depth = with_source_cameras(depth, file, video)
        return Scene(video=video, depth=depth)

    @cached_property
    def scene(self) -> Scene:
        """The frames and their refined depth, of which meshes are built."""
        scene, components = self.estimated_scene, self.components
        options = components.config.refine
        if not options.enabled:
            return scene
        with components.reporter.stage("refine") as progress:
            return stages.refine_scene(scene, options, device=components.device, progress=progress)

    @cached_property
    def given_intrinsics(self) -> Intrinsics | None:
        """The intrinsics that the options state, for the frames."""
        clip, lens = self.clip, self.components.config.lens
        if isinstance(clip, Video):
            return given_intrinsics(lens, (clip.width, clip.height), clip.origin)
        framing = self.selection.framing
        return given_intrinsics(lens, framing.size, framing.origin((), 0))

    @property
    def lens_inputs(self) -> Tree:
        """Everything that determines the intrinsics."""
        return {"given": self.given_intrinsics and attrs.asdict(self.given_intrinsics)}

    @cached_property
    def motion_inputs(self) -> Tree:
        """Everything that determines the length of paths and the motion of the source camera."""
        options = self.components.config.path
        file = source_cameras_file(options)
        frames = "photo" if self.is_photo and self.path_frames is None else self.path_frames
        return {"frames": frames, "source_cameras": None if file is None else file.fingerprint()}

    def along(self, cam: str | CameraPath) -> PathRun:
        """Return the clip along a camera path: a `--cam` text, or a path with its own intrinsics and size."""
        return PathRun(self, cam)

    def mesh(self, frame: int) -> Mesh:
        """Return the mesh of one frame."""
        return stages.build_mesh(self.scene, frame, self.components.mesh_builder())
