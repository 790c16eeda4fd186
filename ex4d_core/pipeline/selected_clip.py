"""A clip, and the frames that the options select from it; known before anything is decoded."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from pathlib import Path

import attrs

from ex4d_core.cameras.intrinsics import given_intrinsics
from ex4d_core.cameras.source import source_cameras_inputs
from ex4d_core.config.run_config import Tree
from ex4d_core.pipeline.clip_identity import FRAMES_IN_MEMORY, ClipIdentity, real_path
from ex4d_core.pipeline.clips import Selection, clip_hash, select
from ex4d_core.pipeline.components import Components
from ex4d_core.pipeline.inputs import input_files
from ex4d_core.pipeline.store import tensor_hash
from ex4d_core.types import Intrinsics, Video
from ex4d_core.video_io import VideoInfo, count_tracks, probe_video

PHOTO_FRAMES = 49
"""Frames of a camera path along a photo, as many as EX-4D generates."""


class SelectedClip:
    """Frames in memory, or those that the options select from a file or folder."""

    def __init__(self, components: Components, clip: Video | str | Path) -> None:
        self.components = components
        self.clip = clip if isinstance(clip, Video) else Path(clip)

    @property
    def title(self) -> str:
        """The clip as the user wrote it."""
        return FRAMES_IN_MEMORY if isinstance(self.clip, Video) else str(self.clip)

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
    def is_in_memory(self) -> bool:
        """Whether the clip is not a file or folder."""
        return isinstance(self.clip, Video)

    @property
    def num_frames(self) -> int:
        """Number of selected frames, by the header of the clip, which the decoder may correct."""
        if isinstance(self.clip, Video):
            return self.clip.num_frames
        return self.selection.num_frames or self.info.num_frames

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames in pixels."""
        clip = self.clip
        return (clip.width, clip.height) if isinstance(clip, Video) else self.selection.framing.size

    @property
    def num_output_frames(self) -> int:
        """The number of frames of paths, unless a path sets its own."""
        return self.path_frames or (PHOTO_FRAMES if self.is_photo else self.num_frames)

    @property
    def path_frames(self) -> int | None:
        """The number of frames of paths that the options ask for, unless it is that of the clip anyway."""
        count = self.clip.num_frames if isinstance(self.clip, Video) else self.selection.num_frames
        frames = self.components.config.path.frames
        return None if frames == count and not self.is_photo else frames

    @property
    def fps(self) -> Fraction:
        """The frame rate of the outputs."""
        return self.clip.fps if isinstance(self.clip, Video) else self.selection.fps

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
        frames = "photo" if self.is_photo and self.path_frames is None else self.path_frames
        return {"frames": frames, "source_cameras": source_cameras_inputs(options)}


def state_of(run: object, *results: str) -> str:
    """Return which results are in memory, in words."""
    there = [name.replace("_", " ") for name in results if name in vars(run)]
    return f"computed: {', '.join(there) or 'nothing'}"
