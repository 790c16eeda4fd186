"""Make a preview: a few small frames along each camera path, a plot of the paths, and warnings."""

from __future__ import annotations

import json
import math
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.cameras.intrinsics import given_intrinsics
from ex4d_core.cameras.source import source_cameras_file, with_source_cameras
from ex4d_core.config.run_config import ComponentConfig, VideoOptions
from ex4d_core.files import atomic_write
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.pictures.contact_sheet import contact_sheet
from ex4d_core.pipeline import stages
from ex4d_core.pipeline.clip_run import ClipRun
from ex4d_core.pipeline.clips import frame_size
from ex4d_core.pipeline.session import Session
from ex4d_core.preview.path_checks import (
    PathWarning,
    check_geometry,
    check_jumps,
    check_known,
    geometry_distances,
)
from ex4d_core.preview.path_plot import DrawnPath, write_plot
from ex4d_core.preview.pictures import known_shares, sheet_rows, tiles
from ex4d_core.preview.sampling import sampled_depth, size_within
from ex4d_core.types import CameraPath, DepthVideo, Guidance, Intrinsics, Scene, Video
from ex4d_core.video_io import probe_video, write_video
from ex4d_core.video_io.images import write_png

CHEAP = {"steps": 2}
"""Options of depth estimators that have them, under the user's own: what is enough to see where a path goes."""


@attrs.frozen(kw_only=True)
class Look:
    """What one camera path sees."""

    cam: str
    known: tuple[float, ...]
    """Share that is known of each frame that was looked at."""
    frames: tuple[int, ...]
    """Which frames of the path these are."""
    warnings: tuple[PathWarning, ...]


@attrs.frozen(kw_only=True)
class Preview:
    """What a preview left and found."""

    files: dict[str, Path]
    """By what they are: `video`, `sheet`, `plot`, `facts`."""
    depth: str
    """Where the depth is from: `run`, what an earlier run kept, or `estimated` at the preview's size."""
    looks: tuple[Look, ...]


class _SmallClipRun(ClipRun):
    """A clip with small frames, and with depth that a run has kept or that costs little."""

    def __init__(self, session: Session, clip: Path, folder: Path, frames: int, side: int) -> None:
        """Name the clip of a run and what is looked at of it.

        Args:
            session: of the run.
            clip: a video or a folder of images.
            folder: the run folder.
            frames: how many frames depth may be estimated for.
            side: longer side of the frames in pixels, at most.
        """
        options, info = session.config.video, probe_video(clip)
        self._run = ClipRun(session, clip, folder=folder)
        self._full = frame_size(options, clip) or (info.width, info.height)
        width, height = size_within(self._full, side)
        small = attrs.evolve(options, size=f"{width}x{height}")
        self._session = _cheap_session(session, small)
        super().__init__(self._session, clip, folder=folder)
        self._frames = frames

    @cached_property
    def kept(self) -> DepthVideo | None:
        """What a run has kept."""
        return self._run.stored_depth()

    @property
    def stride(self) -> int:
        """Frames that are a multiple of it have a depth of their own; others have that of the one before."""
        return 1 if self.kept is not None else math.ceil(self.video.num_frames / self._frames)

    @cached_property
    def scene(self) -> Scene:
        """The frames and their depth."""
        video, size = self.video, {"width": self.video.width, "height": self.video.height}
        if self.kept is None:
            few = self._session.open_clip(_every(video, self.stride), folder=self.folder).estimated_depth
            depth = sampled_depth(few, [frame // self.stride for frame in range(video.num_frames)], **size)
        else:
            depth = sampled_depth(self.kept, range(video.num_frames), **size)
        depth = stages.with_intrinsics(depth, self._lens())
        if file := source_cameras_file(self.components.config.path):
            depth = with_source_cameras(depth, file, video)
        return Scene(video=video, depth=depth)

    def _lens(self) -> Intrinsics | None:
        """Return the lens that the user gave, which may be in pixels of the run's frames, for the small ones."""
        video = self.video
        origin = video.origin and attrs.evolve(video.origin, frame_indices=video.origin.frame_indices[:1])
        given = given_intrinsics(self.components.config.lens, self._full, origin)
        return given and given.scaled_to(width=video.width, height=video.height)


def make_preview(session: Session, clip: str | Path, *, folder: Path, frames: int = 25, side: int = 320) -> Preview:
    """Write a preview of a clip along the paths of a session's configuration into `FOLDER/preview/`.

    Depth that an earlier run with the same settings left in the folder is used; otherwise it is estimated from the
    few small frames and kept in the folder, for the next preview.

    Args:
        session: components and options of the run that is meant.
        clip: a video or a folder of images.
        folder: the run folder.
        frames: how many frames are looked at, at most.
        side: longer side of these frames in pixels, at most.

    Raises:
        Ex4dError: the clip, an option or an output cannot be used.
    """
    clip_run = _SmallClipRun(session, Path(clip), folder, frames, side)
    clip_run.claim()
    subject = subject_distance(clip_run.scene.depth)
    drawn: dict[str, DrawnPath] = {}
    guidance: dict[str, Guidance] = {}
    for cam in session.config.cam:
        path = clip_run.along(cam).path
        picks = range(0, path.num_frames, math.ceil(path.num_frames / frames))
        guidance[cam] = _rendered(clip_run, path, picks, cam)
        known = known_shares(guidance[cam])
        warnings = [
            *check_geometry(geometry_distances(path, clip_run.scene), subject),
            *check_known(known, picks),
            *check_jumps(path, subject),
        ]
        for warning in warnings:
            session.reporter.warn(f"--cam {cam}: {warning.sentence}")
        drawn[cam] = DrawnPath(path=path, known=known, known_at=picks, warnings=warnings)
    looks = tuple(
        Look(cam=cam, known=tuple(one.known.tolist()), frames=tuple(one.known_at), warnings=tuple(one.warnings))
        for cam, one in drawn.items()
    )
    depth = "estimated" if clip_run.kept is None else "run"
    preview = Preview(files=_files(folder), depth=depth, looks=looks)
    _write(preview, clip_run.scene, guidance, drawn, subject)
    return preview


def preview_facts(preview: Preview) -> dict[str, Any]:
    """Return a preview as plain values, for JSON."""
    return {
        "files": {label: str(path) for label, path in preview.files.items()},
        "depth": preview.depth,
        "paths": [
            {
                "cam": look.cam,
                "frames": list(look.frames),
                "known": [round(share, 4) for share in look.known],
                "warnings": [attrs.asdict(warning) for warning in look.warnings],
            }
            for look in preview.looks
        ],
    }


def _files(folder: Path) -> dict[str, Path]:
    place = folder / "preview"
    names = {"video": "guidance.mp4", "sheet": "sheet.png", "plot": "path.png", "facts": "preview.json"}
    return {label: place / name for label, name in names.items()}


def _cheap_session(session: Session, video: VideoOptions) -> Session:
    """Return a session for other frames, whose depth costs little."""
    config = session.config
    known = {field.name for field in attrs.fields(session.choose("depth").offer.spec.options)}
    options = {**{name: value for name, value in CHEAP.items() if name in known}, **config.depth.options}
    cheap = attrs.evolve(config, video=video, depth=ComponentConfig(name=config.depth.name, options=options))
    return Session(cheap, registry=session.registry, reporter=session.reporter)


def _every(video: Video, stride: int) -> Video:
    """Return every so many-th frame."""
    origin = video.origin and attrs.evolve(video.origin, frame_indices=video.origin.frame_indices[::stride])
    return Video(frames=video.frames[::stride].contiguous(), fps=video.fps / stride, origin=origin)


def _rendered(clip_run: _SmallClipRun, path: CameraPath, picks: range, cam: str) -> Guidance:
    """Return what is known at some frames of a path."""
    some, components = path.taken_at(picks), clip_run.components
    shown = [path.frame_shown(pick) // clip_run.stride * clip_run.stride for pick in picks]
    lenses = tuple(lens.scaled_to(width=clip_run.video.width, height=clip_run.video.height) for lens in some.intrinsics)
    with components.reporter.stage(f"--cam {cam}") as progress:
        guidance = stages.render_guidance(
            clip_run.scene,
            attrs.evolve(some, intrinsics=lenses, frames=shown),
            components.mesh_builder(),
            components.renderer(),
            device=components.device,
            progress=progress,
        )
    return attrs.evolve(guidance, fps=guidance.fps / picks.step)


def _write(
    preview: Preview, scene: Scene, guidance: dict[str, Guidance], drawn: dict[str, DrawnPath], subject: float
) -> None:
    files, first = preview.files, next(iter(guidance.values()))
    video = Video(frames=stages.retimed(scene, first.cameras).video.frames, fps=first.fps)
    write_video(Video(frames=tiles(video, guidance), fps=first.fps), files["video"])
    with atomic_write(files["sheet"]) as temporary:
        write_png(temporary, contact_sheet(sheet_rows(video, guidance)).numpy())
    write_plot(drawn, scene, files["plot"], subject=subject)
    with atomic_write(files["facts"]) as temporary:
        temporary.write_text(json.dumps(preview_facts(preview), indent=2), encoding="utf-8")
