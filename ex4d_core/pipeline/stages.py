"""The stages of a run as pure functions; `clip_run.py` calls them in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import attrs

from ex4d_core.errors import Ex4dError, InvalidInput
from ex4d_core.geometry.motion import Motion, frames_shown
from ex4d_core.geometry.paths import normalized_times
from ex4d_core.geometry.refine_options import RefineOptions
from ex4d_core.geometry.rigid import Pose
from ex4d_core.plugins.crashes import named_crash
from ex4d_core.progress import Progress, Reporter, silent
from ex4d_core.roles import DepthEstimator, DiffusionBackbone, MeshBuilder, Renderer, TrajectoryGenerator
from ex4d_core.types import CameraPath, DepthVideo, Guidance, Intrinsics, Mesh, RenderedFrame, Scene, Video
from ex4d_core.workspace import NO_WORKSPACE, Workspace

if TYPE_CHECKING:  # torch takes seconds to import
    import torch
    from torch import Tensor

    from ex4d_core.pipeline.background import Plate

REPORT = "report this to the author of the plugin"

STILL = Motion(pose=lambda t: Pose.identity())

FRAMES_AT_ONCE = 8
"""Frames per copy to and from a GPU; bounds the GPU memory."""


Value = TypeVar("Value")


class WrongComponent(Ex4dError, TypeError):
    """A component returned a value that its role does not allow: a bug of the plugin."""


def estimate_depth(video: Video, estimator: DepthEstimator, *, progress: Progress = silent) -> DepthVideo:
    """Return the depth of each frame.

    Raises:
        InvalidInput: no pixel of the clip has a valid depth.
        WrongComponent: length or size differ from those of the video.
    """
    with named_crash(estimator):
        depth = _returned(estimator.estimate(video, progress=progress), DepthVideo, estimator)
    if depth.depth.shape != video.frames.shape[:3]:
        raise WrongComponent(
            f"{type(estimator).__name__} returned depth of shape {list(depth.depth.shape)} for frames of shape "
            f"{list(video.frames.shape[:3])}; {REPORT}"
        )
    if not any(bool(depth.valid_at(frame).any()) for frame in range(depth.num_frames)):
        raise InvalidInput("the depth has no valid value in any frame (all are NaN, infinite, zero or negative)")
    return depth


def plan_path(
    scene: Scene, generator: TrajectoryGenerator, *, num_frames: int | None = None, follow: bool = False
) -> CameraPath:
    """Return the poses of the target camera.

    Args:
        scene: the clip and its depth.
        generator: makes the path.
        num_frames: number of poses; by default one for each frame of the clip. Another number shows the clip slower or
            faster, unless the path sets `frames`.
        follow: whether the path is relative to the moving source camera and its zoom, instead of to the world (the
            source camera of frame 0).

    Raises:
        WrongComponent: the path has another length, or shows frames that the clip does not have.
    """
    clip_frames = scene.video.num_frames
    num_frames = num_frames or clip_frames
    source = scene.depth.cameras if follow else None
    # A path relative to the source camera is planned as if that camera did not move.
    still = scene if source is None else attrs.evolve(scene, depth=attrs.evolve(scene.depth, cameras=None))
    with named_crash(generator):
        path = _returned(generator.path(num_frames, still), CameraPath, generator)
    if path.num_frames != num_frames:
        raise WrongComponent(
            f"{type(generator).__name__} returned {path.num_frames} poses for {num_frames} frames; {REPORT}"
        )
    if path.frames is None and num_frames != clip_frames:
        path = attrs.evolve(path, frames=frames_shown(STILL, normalized_times(num_frames), clip_frames))
    if path.frames is not None and max(path.frames) >= clip_frames:
        raise WrongComponent(
            f"{type(generator).__name__} shows frame {max(path.frames)} of a clip of {clip_frames} frames, "
            f"counted from 0; {REPORT}"
        )
    if not follow:
        return path
    shown = [path.frame_shown(frame) for frame in range(num_frames)]
    path = attrs.evolve(path, intrinsics=_zoomed(path, scene.depth, shown))
    if source is None:
        return path
    to_source = source.world_to_camera[shown]
    return attrs.evolve(path, world_to_camera=(path.world_to_camera.double() @ to_source.double()).float())


def _zoomed(path: CameraPath, depth: DepthVideo, shown: Sequence[int]) -> tuple[Intrinsics, ...]:
    """Return the intrinsics of a path that zooms as the source camera does, relative to its frame 0."""
    if len(depth.intrinsics) == 1:
        return path.intrinsics
    start, lenses = depth.intrinsics_at(0), []
    for pose, frame in enumerate(shown):
        lens, source = path.intrinsics_at(pose), depth.intrinsics_at(frame)
        lenses.append(attrs.evolve(lens, fx=lens.fx * source.fx / start.fx, fy=lens.fy * source.fy / start.fy))
    return tuple(lenses)


def retimed(scene: Scene, path: CameraPath | None) -> Scene:
    """Return the scene with the frames that the poses of a path show; the scene itself if the path keeps time.

    Raises:
        InvalidInput: the path has another length than the clip, and no `frames`.
    """
    if path is None:
        return scene
    if path.frames is None:
        if path.num_frames != scene.video.num_frames:
            raise InvalidInput(
                f"the camera path has {path.num_frames} poses but the clip has {scene.video.num_frames} frames; "
                "use one pose per frame, or a path with `frames`"
            )
        return scene
    frames, depth = list(path.frames), scene.depth
    several = len(depth.intrinsics) > 1
    shown = attrs.evolve(
        depth,
        depth=depth.depth[frames],
        valid=None if depth.valid is None else depth.valid[frames],
        filled=None if depth.filled is None else depth.filled[frames],
        intrinsics=tuple(depth.intrinsics[frame] for frame in frames) if several else depth.intrinsics,
        cameras=None if depth.cameras is None else depth.cameras.taken_at(frames),
    )
    return Scene(video=Video(frames=scene.video.frames[frames], fps=scene.video.fps), depth=shown)


def refine_scene(
    scene: Scene, options: RefineOptions, *, device: torch.device | None = None, progress: Progress = silent
) -> Scene:
    """Return the scene with depth refined by its frames, see `ex4d_core.geometry.refine_depth`.

    Args:
        scene: the clip and its depth, on the CPU.
        options: the options; if not enabled, the scene is returned unchanged.
        device: device of the computation, by default the CPU; frames are copied to it and back several at a time.
        progress: called with the number of finished frames.
    """
    import torch

    from ex4d_core.geometry.refine_depth import refine_depth

    if not options.enabled:
        return scene
    frames, at_once = scene.video.num_frames, frames_at_once(device)
    depth = torch.empty_like(scene.depth.depth)
    filled = torch.empty(depth.shape, dtype=torch.bool)
    progress(0, frames)
    for first in range(0, frames, at_once):
        stop = min(first + at_once, frames)
        part = _part_on(device, scene, first, stop)
        depth[first:stop], filled[first:stop] = refine_depth(
            part.video.frames, part.depth.depth, part.depth.valid, options, kind=scene.depth.kind
        )
        progress(stop, frames)
    return attrs.evolve(scene, depth=attrs.evolve(scene.depth, depth=depth, valid=None, filled=filled))


def build_mesh(scene: Scene, frame: int, builder: MeshBuilder) -> Mesh:
    """Return the mesh of one frame, in the frame of the source camera."""
    depth = scene.depth
    valid = None if depth.valid is None else depth.valid[frame]
    color, distance, lens = scene.video.frames[frame], depth.depth[frame], depth.intrinsics_at(frame)
    with named_crash(builder):
        return _returned(builder.build(color, distance, lens, valid=valid), Mesh, builder)


def render_guidance(
    scene: Scene,
    path: CameraPath,
    builder: MeshBuilder,
    renderer: Renderer,
    *,
    plates: Sequence[Plate] = (),
    device: torch.device | None = None,
    progress: Progress = silent,
) -> Guidance:
    """Render the guidance along a path: the mesh of each frame from the target camera of that frame.

    If occluded faces are hidden from every camera (`Mesh.max_stretch` is None) and the path starts at the source
    camera, the first frame is the source frame, visible everywhere, as in EX-4D.

    Args:
        scene: the clip and its depth, on the CPU.
        path: a pose for each frame of the guidance.
        builder: builds the meshes.
        renderer: renders them.
        plates: the static background, which fills holes; see `ex4d_core.pipeline.background`.
        device: device of the meshes, by default the CPU; frames are copied to it and back several at a time.
        progress: called with the number of finished frames.
    """
    import torch

    from ex4d_core.pipeline.background import with_background

    scene, meshes = retimed(scene, path), _LatestMesh(builder)
    frames, height, width = path.num_frames, path.intrinsics[0].height, path.intrinsics[0].width
    color = torch.zeros(frames, height, width, 3, dtype=torch.uint8)
    mask = torch.zeros(frames, height, width, dtype=torch.bool)
    background = torch.zeros_like(mask) if plates else None
    at_once = frames_at_once(device)
    progress(0, frames)
    for first in range(0, frames, at_once):
        stop = min(first + at_once, frames)
        part = _part_on(device, scene, first, stop)
        views = [_render_frame(scene, part, frame, first, path, meshes, renderer) for frame in range(first, stop)]
        color[first:stop] = torch.stack([seen for seen, _ in views])
        mask[first:stop] = torch.stack([known for _, known in views])
        if background is not None:
            filled = [
                with_background(*view, plates, path, frame, renderer)
                for frame, view in zip(range(first, stop), views, strict=True)
            ]
            color[first:stop] = torch.stack([seen for seen, _ in filled])
            background[first:stop] = torch.stack([added for _, added in filled])
        progress(stop, frames)
    if background is not None:
        mask |= background
    return Guidance(color=color, mask=mask, background=background, cameras=path, fps=scene.video.fps)


def frames_at_once(device: torch.device | None) -> int:
    """Return the number of frames per copy to and from a device, None for the CPU."""
    return 1 if device is None or device.type == "cpu" else FRAMES_AT_ONCE


class _LatestMesh:
    """Builds meshes, and reuses the last one while time stands still."""

    def __init__(self, builder: MeshBuilder) -> None:
        self._builder = builder
        self._latest: tuple[int, Mesh] | None = None

    def of(self, part: Scene, index: int, *, shown: int) -> Mesh:
        """Return the mesh of one frame of a part, which is frame `shown` of the clip."""
        if self._latest is None or self._latest[0] != shown:
            self._latest = shown, build_mesh(part, index, self._builder)
        return self._latest[1]


def _part_on(device: torch.device | None, scene: Scene, first: int, stop: int) -> Scene:
    """Return some frames of a scene on a device, without the poses of the source camera."""
    depth, frames = scene.depth, slice(first, stop)
    part = attrs.evolve(
        depth,
        depth=_on(device, depth.depth[frames]),
        valid=None if depth.valid is None else _on(device, depth.valid[frames]),
        filled=None,
        intrinsics=depth.intrinsics[frames] if len(depth.intrinsics) > 1 else depth.intrinsics,
        cameras=None,
    )
    return Scene(video=Video(frames=_on(device, scene.video.frames[frames]), fps=scene.video.fps), depth=part)


def _on(device: torch.device | None, tensor: Tensor) -> Tensor:
    """Copy a tensor from the CPU to a device, None for the CPU itself."""
    if device is None:
        return tensor
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)  # asynchronous
    return tensor.to(device)


def _render_frame(
    scene: Scene, part: Scene, frame: int, first: int, path: CameraPath, meshes: _LatestMesh, renderer: Renderer
) -> tuple[Tensor, Tensor]:
    """Return color and mask of one frame; `part` begins at frame `first` of the scene."""
    import torch

    pose, target = path.world_to_camera[frame] @ scene.depth.source_to_world(frame), path.intrinsics_at(frame)
    mesh = meshes.of(part, frame - first, shown=path.frame_shown(frame))
    if frame == 0 and mesh.max_stretch is None and is_source_view(pose, target, scene.depth.intrinsics_at(0)):
        seen = part.video.frames[0]
        return seen, seen.new_ones(seen.shape[:2], dtype=torch.bool)
    with named_crash(renderer):
        view = _returned(renderer.render(mesh, pose, target), RenderedFrame, renderer)
    _check_view(view, path.intrinsics[0].height, path.intrinsics[0].width, renderer)
    return view.color, view.mask


def generate_video(
    guidance: Guidance,
    scene: Scene | None,
    backbone: DiffusionBackbone,
    *,
    prompt: str = "",
    seed: int = 42,
    progress: Progress = silent,
    workspace: Workspace = NO_WORKSPACE,
) -> Video:
    """Return the video with the hidden regions generated by the backbone.

    The scene that the backbone gets has one frame for each frame of the guidance.

    Raises:
        WrongComponent: the video has another length, size or frame rate than the guidance.
    """
    scene = None if scene is None else retimed(scene, guidance.cameras)
    with named_crash(backbone):
        made = backbone.generate(guidance, scene, prompt=prompt, seed=seed, progress=progress, workspace=workspace)
        video = _returned(made, Video, backbone)
    if video.frames.shape != guidance.color.shape:
        raise WrongComponent(
            f"{type(backbone).__name__} returned frames of shape {list(video.frames.shape)} for guidance of shape "
            f"{list(guidance.color.shape)}; {REPORT}"
        )
    if video.fps != guidance.fps:
        raise WrongComponent(
            f"{type(backbone).__name__} returned {float(video.fps):g} frames per second for guidance of "
            f"{float(guidance.fps):g}; {REPORT}"
        )
    return video


def visible_guidance(guidance: Guidance, cam: str) -> Guidance:
    """Return the guidance of a path.

    Raises:
        InvalidInput: none of its pixels is visible.
    """
    if not guidance.mask.any():
        raise InvalidInput(
            f"--cam {cam} sees no pixel of the clip in any frame, so there is nothing to generate from; use a smaller "
            "angle or distance, and look at it with ex4d preview"
        )
    return guidance


def warn_if_trivial_mask(guidance: Guidance, reporter: Reporter, *, given: bool) -> None:
    """Report a mask without hidden or without visible pixels: one that the user has given may be inverted or wrong."""
    if guidance.mask.all():
        hint = "; check that it is the mask of this video" if given else ""
        reporter.note(f"the mask has no hidden pixels, so nothing is generated{hint}")
    elif not guidance.mask.any():
        reporter.warn("the mask has no visible pixels; check that it is not inverted: visible pixels are white")


def report_texts(component: object, reporter: Reporter, *arguments: object) -> None:
    """Report the notes and warnings of a component, whose methods of these names are optional."""
    for name, report in (("notes", reporter.note), ("warnings", reporter.warn)):
        for text in texts_of(component, name, *arguments):
            report(text)


def texts_of(component: object, name: str, *arguments: object) -> list[str]:
    """Return the notes or warnings of a component; the method `name` is optional."""
    with named_crash(component):
        texts: list[str] = getattr(component, name, lambda *_: [])(*arguments)
    return texts


def with_intrinsics(depth: DepthVideo, intrinsics: Intrinsics | None) -> DepthVideo:
    """Return the depth with the given intrinsics, if any."""
    return depth if intrinsics is None else attrs.evolve(depth, intrinsics=intrinsics)


def is_source_view(source_to_target: Tensor, target: Intrinsics, source: Intrinsics) -> bool:
    """Return whether the target camera equals the source camera, so that the source frame can replace the rendering."""
    import torch

    return target == source and bool((source_to_target - torch.eye(4)).abs().amax() < 1e-6)


def _returned(value: object, kind: type[Value], component: object) -> Value:
    """Return what a component returned, after checking its type."""
    if not isinstance(value, kind):
        raise WrongComponent(
            f"{type(component).__name__} returned a value of type {type(value).__name__}, not a {kind.__name__}; "
            f"{REPORT}"
        )
    return value


def _check_view(view: RenderedFrame, height: int, width: int, renderer: Renderer) -> None:
    if view.mask.shape != (height, width):
        raise WrongComponent(
            f"{type(renderer).__name__} returned a view of shape {list(view.mask.shape)} "
            f"instead of [{height}, {width}]; {REPORT}"
        )
