"""The stages of a run as pure functions; `clip_run.py` calls them in order."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from ex4d_core.errors import Ex4dError, InvalidInput
from ex4d_core.geometry.motion import Motion, frames_shown
from ex4d_core.geometry.paths import frame_shares
from ex4d_core.geometry.rigid import HERE
from ex4d_core.progress import Progress, Reporter, silent
from ex4d_core.roles import DepthEstimator, DiffusionBackbone, MeshBuilder, Renderer, TrajectoryGenerator
from ex4d_core.types import CameraPath, DepthVideo, Guidance, Intrinsics, Mesh, RenderedFrame, Scene, Video
from ex4d_core.workspace import NO_WORKSPACE, Workspace

CPU = torch.device("cpu")

STILL = Motion(pose=lambda share: HERE)

FRAMES_AT_ONCE = 8
"""How many frames go to a GPU, and come back, in one copy; it bounds the GPU's memory."""


class WrongComponent(Ex4dError, TypeError):
    """A component gave something that its role does not allow: a fault of the plugin, not of the user."""


def estimate_depth(video: Video, estimator: DepthEstimator, *, progress: Progress = silent) -> DepthVideo:
    """Return the depth of each frame.

    Raises:
        InvalidInput: no pixel of the clip has a usable depth.
        WrongComponent: the estimator's answer has another length or size than the video.
    """
    depth = estimator.estimate(video, progress=progress)
    if depth.depth.shape != video.frames.shape[:3]:
        raise WrongComponent(
            f"{type(estimator).__name__} gave depth of {list(depth.depth.shape)} for frames of "
            f"{list(video.frames.shape[:3])}; please tell its author"
        )
    if not any(bool(depth.valid_at(frame).any()) for frame in range(depth.num_frames)):
        raise InvalidInput("the depth has no usable value in any frame (all are NaN, infinite, zero or negative)")
    return depth


def plan_path(
    scene: Scene, generator: TrajectoryGenerator, *, num_frames: int | None = None, follow: bool = False
) -> CameraPath:
    """Return the poses of the new camera.

    Args:
        scene: the clip and its depth.
        generator: moves the camera.
        num_frames: how many poses; None: one for each frame of the clip. Another number shows the clip slower or
            faster, unless the path itself says which frame each pose shows.
        follow: whether the path is as the source camera sees it in the frame that each pose shows, and so goes with it
            where it moves, instead of being in the world, the source camera of frame 0.

    Raises:
        WrongComponent: the generator's path has another length, or shows frames that the clip does not have.
    """
    filmed, wanted = scene.video.num_frames, num_frames or scene.video.num_frames
    source = scene.depth.cameras if follow else None
    # What a camera that goes along sees is what a source camera that stands still would see.
    seen = scene if source is None else attrs.evolve(scene, depth=attrs.evolve(scene.depth, cameras=None))
    path = generator.path(wanted, seen)
    if path.num_frames != wanted:
        raise WrongComponent(
            f"{type(generator).__name__} gave {path.num_frames} poses for {wanted} frames; please tell its author"
        )
    if path.frames is None and wanted != filmed:
        path = attrs.evolve(path, frames=frames_shown(STILL, frame_shares(wanted), filmed))
    if path.frames is not None and max(path.frames) >= filmed:
        raise WrongComponent(
            f"{type(generator).__name__} shows frame {max(path.frames)} of a clip of {filmed} frames, counted from 0; "
            "please tell its author"
        )
    if source is None:
        return path
    to_source = source.world_to_camera[[path.frame_shown(frame) for frame in range(wanted)]]
    return attrs.evolve(path, world_to_camera=(path.world_to_camera.double() @ to_source.double()).float())


def retimed(scene: Scene, path: CameraPath | None) -> Scene:
    """Return the scene with the frame that each pose of a path shows in its place; as it is where time is unchanged.

    Raises:
        InvalidInput: the path has another length than the clip and does not say which frames it shows.
    """
    if path is None:
        return scene
    if path.frames is None:
        if path.num_frames != scene.video.num_frames:
            raise InvalidInput(
                f"the camera path has {path.num_frames} poses but the clip has {scene.video.num_frames} frames; "
                "give one pose a frame, or a path that says which frame each pose shows"
            )
        return scene
    frames, depth = list(path.frames), scene.depth
    several = len(depth.intrinsics) > 1
    shown = attrs.evolve(
        depth,
        depth=depth.depth[frames],
        valid=None if depth.valid is None else depth.valid[frames],
        intrinsics=tuple(depth.intrinsics[frame] for frame in frames) if several else depth.intrinsics,
        cameras=None if depth.cameras is None else depth.cameras.taken_at(frames),
    )
    return Scene(video=Video(frames=scene.video.frames[frames], fps=scene.video.fps), depth=shown)


def build_mesh(scene: Scene, frame: int, builder: MeshBuilder) -> Mesh:
    """Return the mesh of one frame, in the frame of the source camera."""
    depth = scene.depth
    valid = None if depth.valid is None else depth.valid[frame]
    return builder.build(scene.video.frames[frame], depth.depth[frame], depth.intrinsics_at(frame), valid=valid)


def render_guidance(
    scene: Scene,
    path: CameraPath,
    builder: MeshBuilder,
    renderer: Renderer,
    *,
    device: torch.device = CPU,
    progress: Progress = silent,
) -> Guidance:
    """Return what is known along a path: each frame's mesh, seen from that frame's camera.

    A path that starts at the source camera starts with the source frame itself, all of it known, as EX-4D does.

    Args:
        scene: the clip and its depth, on the CPU.
        path: a pose for each frame of the guidance; where it changes time, it says which frame of the clip that shows.
        builder: makes the meshes.
        renderer: looks at them.
        device: where meshes are built. Frames go there and views come back a few at a time, so that nothing
            waits for it in between.
        progress: told how many frames are done.
    """
    scene, meshes = retimed(scene, path), _LatestMesh(builder)
    frames, height, width = path.num_frames, path.intrinsics[0].height, path.intrinsics[0].width
    color = torch.zeros(frames, height, width, 3, dtype=torch.uint8)
    mask = torch.zeros(frames, height, width, dtype=torch.bool)
    at_once = 1 if device.type == "cpu" else FRAMES_AT_ONCE
    progress(0, frames)
    for first in range(0, frames, at_once):
        stop = min(first + at_once, frames)
        part = _part_on(device, scene, first, stop)
        views = [_look(scene, part, frame, first, path, meshes, renderer) for frame in range(first, stop)]
        color[first:stop] = torch.stack([seen for seen, _ in views])
        mask[first:stop] = torch.stack([known for _, known in views])
        progress(stop, frames)
    return Guidance(color=color, mask=mask, cameras=path, fps=scene.video.fps)


class _LatestMesh:
    """Makes meshes, and gives the same again while time stands still."""

    def __init__(self, builder: MeshBuilder) -> None:
        self._builder = builder
        self._latest: tuple[int, Mesh] | None = None

    def of(self, part: Scene, index: int, *, shown: int) -> Mesh:
        """Return the mesh of one frame of a part, which is frame `shown` of the clip."""
        if self._latest is None or self._latest[0] != shown:
            self._latest = shown, build_mesh(part, index, self._builder)
        return self._latest[1]


def _part_on(device: torch.device, scene: Scene, first: int, stop: int) -> Scene:
    """Return some frames of a scene on a device, without the source camera's poses."""
    depth, frames = scene.depth, slice(first, stop)
    here = attrs.evolve(
        depth,
        depth=_on(device, depth.depth[frames]),
        valid=None if depth.valid is None else _on(device, depth.valid[frames]),
        intrinsics=depth.intrinsics[frames] if len(depth.intrinsics) > 1 else depth.intrinsics,
        cameras=None,
    )
    return Scene(video=Video(frames=_on(device, scene.video.frames[frames]), fps=scene.video.fps), depth=here)


def _on(device: torch.device, tensor: Tensor) -> Tensor:
    """Return a tensor of the CPU on a device."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)  # so the host goes on
    return tensor.to(device)


def _look(
    scene: Scene, part: Scene, frame: int, first: int, path: CameraPath, meshes: _LatestMesh, renderer: Renderer
) -> tuple[Tensor, Tensor]:
    """Return color and mask of one frame; `part` holds the scene from frame `first` on."""
    pose, target = path.world_to_camera[frame] @ source_to_world(scene.depth, frame), path.intrinsics_at(frame)
    if frame == 0 and is_source_view(pose, target, scene.depth.intrinsics_at(0)):
        seen = part.video.frames[0]
        return seen, torch.ones(seen.shape[:2], dtype=torch.bool, device=seen.device)
    view = renderer.render(meshes.of(part, frame - first, shown=path.frame_shown(frame)), pose, target)
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
    """Return the whole video, what was hidden filled in by the backbone.

    The backbone is given the clip as the guidance shows it: frame by frame the same moments.

    Raises:
        WrongComponent: the backbone's video has another length or size.
    """
    scene = None if scene is None else retimed(scene, guidance.cameras)
    video = backbone.generate(guidance, scene, prompt=prompt, seed=seed, progress=progress, workspace=workspace)
    if video.frames.shape != guidance.color.shape:
        raise WrongComponent(
            f"{type(backbone).__name__} gave frames of {list(video.frames.shape)} for guidance of "
            f"{list(guidance.color.shape)}; please tell its author"
        )
    return video


def warn_if_trivial_mask(guidance: Guidance, reporter: Reporter) -> None:
    """Say so where the mask leaves nothing to fill in, or nothing to go by: it may be another clip's, or inverted."""
    if guidance.mask.all():
        reporter.note("the mask hides nothing, so there is nothing to fill in; is it the mask that you meant?")
    elif not guidance.mask.any():
        reporter.warn("the mask hides everything, so nothing of the clip is known; in masks, white is what is known")


def with_intrinsics(depth: DepthVideo, intrinsics: Intrinsics | None) -> DepthVideo:
    """Return the depth with the intrinsics that the user gave, if any."""
    return depth if intrinsics is None else attrs.evolve(depth, intrinsics=intrinsics)


def source_to_world(depth: DepthVideo, frame: int) -> Tensor:
    """Return the source camera's pose at a frame, float32 [4, 4] camera to world."""
    if depth.cameras is None:
        return torch.eye(4)
    pose: Tensor = torch.linalg.inv(depth.cameras.world_to_camera[frame].double()).float()
    return pose


def is_source_view(source_to_target: Tensor, target: Intrinsics, source: Intrinsics) -> bool:
    """Return whether a view is the source camera's own, so that its frame can stand for the rendering."""
    return target == source and bool((source_to_target - torch.eye(4)).abs().amax() < 1e-6)


def _check_view(view: RenderedFrame, height: int, width: int, renderer: Renderer) -> None:
    if view.mask.shape != (height, width):
        raise WrongComponent(
            f"{type(renderer).__name__} gave a view of {list(view.mask.shape)} instead of [{height}, {width}]; "
            "please tell its author"
        )
