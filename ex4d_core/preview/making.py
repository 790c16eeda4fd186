"""Makes a preview: a few small frames along camera paths, a plot of the paths, and what is wrong with them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import attrs
import cv2
import torch
from torch import Tensor

from ex4d_core import stages
from ex4d_core.config import ComponentConfig, RunConfig
from ex4d_core.contact_sheet import contact_sheet
from ex4d_core.files import replacing
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.lens import given_intrinsics
from ex4d_core.pipeline import Shot, frame_size
from ex4d_core.preview.path_checks import (
    PathWarning,
    check_geometry,
    check_jumps,
    check_known,
    geometry_distances,
)
from ex4d_core.preview.path_plot import DrawnPath, write_plot
from ex4d_core.preview.pictures import known_shares, sheet_rows, tiles
from ex4d_core.scene_sampling import sampled_depth, sampled_path, size_within
from ex4d_core.session import Session
from ex4d_core.types import CameraPath, Guidance, Intrinsics, Scene, Video
from ex4d_core.video_io import VideoInfo, probe_video, write_video

CHEAP = {"steps": 2}
"""Options of depth estimators that have them, under the user's own: what is enough to see where a path goes."""


@attrs.frozen(kw_only=True)
class Look:
    """What one camera path sees."""

    cam: str
    known: tuple[float, ...]
    """Share that is known of each frame that was looked at."""
    frames: tuple[int, ...]
    """Which frames of the run these are."""
    warnings: tuple[PathWarning, ...]


@attrs.frozen(kw_only=True)
class Preview:
    """What a preview left and found."""

    files: dict[str, Path]
    """By what they are: `video`, `sheet`, `plot`, `facts`."""
    depth: str
    """Where the depth is from: `run`, what an earlier run kept, or `estimated` at the preview's size."""
    looks: tuple[Look, ...]


@attrs.frozen(kw_only=True)
class _Ground:
    """What paths are tried in: the clip with few and small frames."""

    scene: Scene
    num_frames: int
    """Length of the run."""
    stride: int
    """Frame k of the scene is frame k * stride of the run."""
    depth: str

    @property
    def frames(self) -> tuple[int, ...]:
        return tuple(range(0, self.num_frames, self.stride))[: self.scene.video.num_frames]


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
    ground = _ground(session, Path(clip), folder, frames, side)
    subject = subject_distance(ground.scene.depth)
    drawn: dict[str, DrawnPath] = {}
    guidance: dict[str, Guidance] = {}
    for cam in session.config.cam:
        path = session.trajectory(cam).path(ground.num_frames, ground.scene)
        guidance[cam] = _rendered(session, ground, path, cam)
        warnings = _warnings(ground, path, known_shares(guidance[cam]), subject)
        for warning in warnings:
            session.reporter.warn(f"--cam {cam}: {warning.sentence}")
        drawn[cam] = DrawnPath(path=path, known=known_shares(guidance[cam]), known_at=ground.frames, warnings=warnings)
    looks = tuple(
        Look(cam=cam, known=tuple(one.known.tolist()), frames=ground.frames, warnings=tuple(one.warnings))
        for cam, one in drawn.items()
    )
    preview = Preview(files=_files(folder), depth=ground.depth, looks=looks)
    _write(preview, ground.scene, guidance, drawn, subject)
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


def _ground(session: Session, clip: Path, folder: Path, frames: int, side: int) -> _Ground:
    """Return the clip as it is tried."""
    options, info = session.config.video, probe_video(clip)
    count = _run_length(session.config, info)
    full = frame_size(options, clip) or (info.width, info.height)
    stride, size = math.ceil(count / frames), size_within(full, side)
    small = attrs.evolve(
        options, size=f"{size[0]}x{size[1]}", stride=options.stride * stride, num_frames=math.ceil(count / stride)
    )
    cheap = _cheap_session(attrs.evolve(session.config, video=small), session)
    shot = cheap.shot(clip, folder=folder)
    kept = Shot(session, clip, folder=folder).stored_depth()
    video = shot.video
    if kept is None:
        depth = shot.estimated_depth
    else:
        picks = range(0, kept.num_frames, stride)
        depth = sampled_depth(kept, picks, width=video.width, height=video.height)
    lens = _lens(session.config, video, full)
    return _Ground(
        scene=Scene(video=video, depth=stages.with_intrinsics(depth, lens)),
        num_frames=max(count, video.num_frames),
        stride=stride,
        depth="estimated" if kept is None else "run",
    )


def _run_length(config: RunConfig, info: VideoInfo) -> int:
    """Return how many frames the run will have."""
    options = config.video
    there = max(1, math.ceil((info.num_frames - options.start) / options.stride))
    return there if options.num_frames is None else min(there, options.num_frames)


def _cheap_session(config: RunConfig, session: Session) -> Session:
    """Return a session whose depth costs little."""
    known = {field.name for field in attrs.fields(session.choose("depth").offer.provider.options)}
    options = {**{name: value for name, value in CHEAP.items() if name in known}, **config.depth.options}
    depth = ComponentConfig(name=config.depth.name, options=options)
    return Session(attrs.evolve(config, depth=depth), registry=session.registry, reporter=session.reporter)


def _lens(config: RunConfig, video: Video, full: tuple[int, int]) -> Intrinsics | None:
    """Return the lens that the user gave, which may be in pixels of the run's frames, for the preview's."""
    origin = video.origin and attrs.evolve(video.origin, frame_indices=video.origin.frame_indices[:1])
    frame = torch.zeros(1, 1, 1, 3, dtype=torch.uint8).expand(1, full[1], full[0], 3)
    given = given_intrinsics(config.lens, Video(frames=frame, fps=video.fps, origin=origin))
    return given and given.scaled_to(width=video.width, height=video.height)


def _rendered(session: Session, ground: _Ground, path: CameraPath, cam: str) -> Guidance:
    """Return what is known along a path, at the preview's frames and size."""
    video = ground.scene.video
    some = sampled_path(path, ground.frames)
    lenses = tuple(lens.scaled_to(width=video.width, height=video.height) for lens in some.intrinsics)
    with session.reporter.stage(f"--cam {cam}") as progress:
        return stages.render_guidance(
            ground.scene,
            attrs.evolve(some, intrinsics=lenses),
            session.mesh_builder(),
            session.renderer(),
            device=session.device,
            progress=progress,
        )


def _warnings(ground: _Ground, path: CameraPath, known: Tensor, subject: float) -> list[PathWarning]:
    shown = [min(pose // ground.stride, ground.scene.video.num_frames - 1) for pose in range(path.num_frames)]
    return [
        *check_geometry(geometry_distances(path, ground.scene, shown), subject),
        *check_known(known, ground.frames),
        *check_jumps(path, subject),
    ]


def _write(
    preview: Preview, scene: Scene, guidance: dict[str, Guidance], drawn: dict[str, DrawnPath], subject: float
) -> None:
    files = preview.files
    write_video(Video(frames=tiles(scene.video, guidance), fps=scene.video.fps), files["video"])
    with replacing(files["sheet"]) as temporary:
        sheet = cv2.cvtColor(contact_sheet(sheet_rows(scene.video, guidance)).numpy(), cv2.COLOR_RGB2BGR)
        temporary.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
    write_plot(drawn, scene, files["plot"], subject=subject)
    with replacing(files["facts"]) as temporary:
        temporary.write_text(json.dumps(preview_facts(preview), indent=2))
