"""Build a preview: a few small frames along each camera path, a plot of the paths, and warnings."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from torch import Tensor

from ex4d_core.cameras.intrinsics import given_intrinsics
from ex4d_core.cameras.source import source_cameras_file, with_source_cameras
from ex4d_core.config.run_config import ComponentConfig, VideoOptions
from ex4d_core.files import atomic_write
from ex4d_core.geometry.dynamic_mask import dynamic_mask
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.pictures.contact_sheet import contact_sheet
from ex4d_core.pipeline import stages
from ex4d_core.pipeline.background import Plate, make_plates
from ex4d_core.pipeline.clip_run import ClipRun
from ex4d_core.pipeline.clips import frame_size
from ex4d_core.pipeline.failed_runs import leaving_nothing_if_failed
from ex4d_core.pipeline.forecast import Pending, announce, forecast_of
from ex4d_core.pipeline.inputs import input_files, refuse_inputs
from ex4d_core.pipeline.session import Session
from ex4d_core.preview.path_checks import PathWarning, check_path
from ex4d_core.preview.path_plot import DrawnPath, write_plot
from ex4d_core.preview.pictures import sheet_rows, tiles, visible_fractions, with_motion
from ex4d_core.preview.sampling import sampled_depth, size_within
from ex4d_core.types import CameraPath, Guidance, Intrinsics, Scene, Video
from ex4d_core.video_io import probe_video, write_video
from ex4d_core.video_io.images import write_png

CHEAP = {"steps": 2}
"""Options for fast depth estimation, if the estimator has them and the user has not set them."""


@attrs.frozen(kw_only=True)
class PathPreview:
    """Visible coverage and warnings of one camera path."""

    cam: str
    visible: tuple[float, ...]
    """Visible fraction of each rendered frame."""
    frames: tuple[int, ...]
    """Numbers of the rendered frames in the path."""
    warnings: tuple[PathWarning, ...]


@attrs.frozen(kw_only=True)
class Preview:
    """The result of a preview."""

    files: dict[str, Path]
    """Written files: `video`, `sheet`, `plot`, `facts`."""
    depth: str
    """Source of the depth: `run`, an earlier run, or `estimated` at the size of the preview."""
    paths: tuple[PathPreview, ...]


@attrs.frozen(kw_only=True, eq=False)
class _SmallScene:
    """A clip with small frames, and depth from an earlier run or from a few of the frames."""

    clip_run: ClipRun
    """The clip at the size of the preview."""
    scene: Scene
    stride: int
    """Frames at its multiples have their own depth; others have that of the frame before."""
    depth: str
    """Source of the depth, `run` or `estimated`."""

    @property
    def uses_background(self) -> bool:
        """Whether the static background fills holes."""
        return self.clip_run.components.guidance_options.background != "none"

    def plates(self) -> tuple[Plate, ...]:
        """Return the static background."""
        components = self.clip_run.components
        if not self.uses_background:
            return ()
        builder, renderer, moving = components.mesh_builder(), components.renderer(), self.clip_run.dynamic_mask
        return make_plates(self.scene, builder, renderer, moving=moving, stride=self.stride, device=components.device)

    def moving(self, frames: Sequence[int]) -> Tensor | None:
        """Return where something moves in some frames, bool [N, H, W]; None without a background."""
        if not self.uses_background or self.scene.video.num_frames == 1:
            return None
        given = self.clip_run.dynamic_mask
        return dynamic_mask(self.scene, frames) if given is None else given[list(frames)]


def _small_scene(session: Session, clip: Path, folder: Path, frames: int, side: int) -> _SmallScene:
    """Return a clip at the size of a preview.

    Args:
        session: components and options of the run.
        clip: a video or a folder of images.
        folder: the run folder.
        frames: largest number of frames for which depth is estimated.
        side: largest length of the longer side of the frames in pixels.
    """
    options, info = session.config.video, probe_video(clip)
    full_size = frame_size(options, clip) or (info.width, info.height)
    width, height = size_within(full_size, side)
    small_session = _cheap_session(session, attrs.evolve(options, size=f"{width}x{height}"))
    clip_run = ClipRun(small_session, clip, folder=folder)
    stored = ClipRun(session, clip, folder=folder).stored_depth()
    _announce(clip_run, frames, has_depth=stored is not None)
    clip_run.claim()
    video = clip_run.video
    stride = 1 if stored is not None else math.ceil(video.num_frames / frames)
    if stored is None:
        stored = small_session.open_clip(_every(video, stride), folder=folder).estimated_depth
        source = "estimated"
    else:
        source = "run"
    own = sampled_depth(stored, range(stored.num_frames), width=video.width, height=video.height)
    own = stages.with_intrinsics(own, _small_intrinsics(small_session, video, full_size))
    file = source_cameras_file(small_session.config.path)
    if file is None:
        own = clip_run.with_own_cameras(Scene(video=_every(video, stride), depth=own))
    picks = [frame // stride for frame in range(video.num_frames)]
    depth = sampled_depth(own, picks, width=video.width, height=video.height)
    if file is not None:
        depth = with_source_cameras(depth, file, video)
    scene = stages.refine_scene(Scene(video=video, depth=depth), session.config.refine, device=session.device)
    return _SmallScene(clip_run=clip_run, scene=scene, stride=stride, depth=source)


def _announce(small: ClipRun, frames: int, *, has_depth: bool) -> None:
    """Report what a long preview takes, and refuse one that does not fit."""
    count, rendered = min(frames, small.num_frames), min(frames, small.num_output_frames)
    refined = count if small.components.config.refine.enabled else 0
    stages_ = {"read": small.num_frames, "depth": 0 if has_depth else count, "refine": refined}
    stages_["guidance"] = rendered * len(small.components.config.cam)
    found = forecast_of(
        small.components,
        [Pending(stage=stage, frames=number, size=small.size) for stage, number in stages_.items()],
        goal="guidance",
        frames=small.num_frames,
        size=small.size,
        folder=small.folder,
        flags="preview",
    )
    announce(small.components, small.title, found)


def _small_intrinsics(session: Session, video: Video, full_size: tuple[int, int]) -> Intrinsics | None:
    """Return the intrinsics of the user, which may be in pixels of the full-size frames, for the small frames."""
    origin = video.origin and attrs.evolve(video.origin, frame_indices=video.origin.frame_indices[:1])
    given = given_intrinsics(session.config.lens, full_size, origin)
    return given and given.scaled_to(width=video.width, height=video.height)


def make_preview(session: Session, clip: str | Path, *, folder: Path, frames: int = 25, side: int = 320) -> Preview:
    """Write a preview of a clip along the paths of a session's configuration into `FOLDER/preview/`.

    Depth of an earlier run with the same settings is reused; otherwise it is estimated from a few small frames and
    stored in the folder for the next preview.

    Args:
        session: components and options of the run.
        clip: a video or a folder of images.
        folder: the run folder.
        frames: largest number of rendered frames.
        side: largest length of their longer side in pixels.

    Raises:
        Ex4dError: the clip, an option or an output cannot be used.
    """
    refuse_inputs(_files(folder).values(), input_files(session.config, Path(clip)))
    with leaving_nothing_if_failed(folder):
        return _make_preview(session, Path(clip), folder, frames, side)


def _make_preview(session: Session, clip: Path, folder: Path, frames: int, side: int) -> Preview:
    small = _small_scene(session, clip, folder, frames, side)
    subject = subject_distance(small.scene.depth)
    drawn: dict[str, DrawnPath] = {}
    guidance: dict[str, Guidance] = {}
    plates = small.plates()
    for cam in session.config.cam:
        path = small.clip_run.along(cam).plan(small.scene)
        picks = range(0, path.num_frames, math.ceil(path.num_frames / frames))
        guidance[cam] = _rendered(small, plates, path, picks, cam)
        visible = visible_fractions(guidance[cam])
        warnings = check_path(path, small.scene.depth, visible, picks)
        for warning in warnings:
            session.reporter.warn(f"--cam {cam}: {warning.sentence}")
        drawn[cam] = DrawnPath(path=path, visible=visible, frames=picks, warnings=warnings)
    paths = tuple(
        PathPreview(cam=cam, visible=tuple(d.visible.tolist()), frames=tuple(d.frames), warnings=tuple(d.warnings))
        for cam, d in drawn.items()
    )
    preview = Preview(files=_files(folder), depth=small.depth, paths=paths)
    _write(preview, small, guidance, drawn, subject)
    return preview


def preview_facts(preview: Preview) -> dict[str, Any]:
    """Return a preview as plain values, for JSON."""
    return {
        "files": {label: str(path) for label, path in preview.files.items()},
        "depth": preview.depth,
        "paths": [
            {
                "cam": path.cam,
                "frames": list(path.frames),
                "known": [round(fraction, 4) for fraction in path.visible],
                "warnings": [attrs.asdict(warning) for warning in path.warnings],
            }
            for path in preview.paths
        ],
    }


def _files(folder: Path) -> dict[str, Path]:
    names = {"video": "guidance.mp4", "sheet": "sheet.png", "plot": "path.png", "facts": "preview.json"}
    return {label: folder / "preview" / name for label, name in names.items()}


def _cheap_session(session: Session, video: VideoOptions) -> Session:
    """Return a session for other frames with fast depth estimation."""
    config = session.config
    known = {field.name for field in attrs.fields(session.choose("depth").offer.spec.options)}
    options = {**{name: value for name, value in CHEAP.items() if name in known}, **config.depth.options}
    depth = ComponentConfig(name=config.depth.name, options=options)
    cheap = attrs.evolve(config, video=video, depth=depth, download="no")  # the first session has asked
    return Session(cheap, registry=session.registry, reporter=session.reporter)


def _every(video: Video, stride: int) -> Video:
    """Return every `stride`-th frame."""
    origin = video.origin and attrs.evolve(video.origin, frame_indices=video.origin.frame_indices[::stride])
    return Video(frames=video.frames[::stride].contiguous(), fps=video.fps / stride, origin=origin)


def _rendered(small: _SmallScene, plates: Sequence[Plate], path: CameraPath, picks: range, cam: str) -> Guidance:
    """Render the guidance of some frames of a path."""
    some, components, video = path.taken_at(picks), small.clip_run.components, small.scene.video
    shown = [path.frame_shown(pick) // small.stride * small.stride for pick in picks]
    lenses = tuple(lens.scaled_to(width=video.width, height=video.height) for lens in some.intrinsics)
    with components.reporter.stage(f"--cam {cam}") as progress:
        guidance = stages.render_guidance(
            small.scene,
            attrs.evolve(some, intrinsics=lenses, frames=shown),
            components.mesh_builder(),
            components.renderer(),
            plates=plates,
            device=components.device,
            progress=progress,
        )
    return attrs.evolve(guidance, fps=guidance.fps / picks.step)


def _write(
    preview: Preview, small: _SmallScene, guidance: dict[str, Guidance], drawn: dict[str, DrawnPath], subject: float
) -> None:
    files, first, scene = preview.files, next(iter(guidance.values())), small.scene
    assert first.cameras is not None, "guidance of a path has cameras"
    shown = [first.cameras.frame_shown(frame) for frame in range(first.num_frames)]
    frames, moving = scene.video.frames[shown], small.moving(shown)
    video = Video(frames=frames if moving is None else with_motion(frames, moving), fps=first.fps)
    write_video(Video(frames=tiles(video, guidance), fps=first.fps), files["video"])
    with atomic_write(files["sheet"]) as temporary:
        write_png(temporary, contact_sheet(sheet_rows(video, guidance)).numpy())
    write_plot(drawn, scene, files["plot"], subject=subject)
    with atomic_write(files["facts"]) as temporary:
        temporary.write_text(json.dumps(preview_facts(preview), indent=2), encoding="utf-8")
