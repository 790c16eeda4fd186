"""Guidance of single frames at low resolution, for a camera path that changes while it is looked at."""

from __future__ import annotations

from functools import cached_property

import attrs
import numpy as np
import torch
from torch import Tensor

from ex4d_core.pipeline import stages
from ex4d_core.pipeline.background import Plate, make_plates, with_background
from ex4d_core.pipeline.clip_run import ClipRun
from ex4d_core.preview.pictures import with_holes
from ex4d_core.preview.sampling import sampled_scene, size_within
from ex4d_core.types import CameraPath, Mesh, Scene

SIDE = 320
"""Longer side in pixels of the frames that are rendered."""

BACKGROUND_FRAMES = 48
"""Limit of frames from which the static background is made."""


@attrs.frozen(eq=False, kw_only=True)
class SmallFrame:
    """One frame of guidance."""

    picture: np.ndarray
    """uint8 [h, w, 3], with holes drawn as a pattern."""
    visible: float
    """Fraction of the pixels that are visible."""


class SmallGuidance:
    """Renders frames as the run would, with its mesh builder, renderer and static background, but smaller."""

    def __init__(self, clip_run: ClipRun, *, side: int = SIDE) -> None:
        """Take the scene of a run; nothing is rendered yet.

        Args:
            clip_run: the run, whose depth is available.
            side: longer side of the frames in pixels.
        """
        self._clip_run, self._scene, self._side = clip_run, clip_run.scene, side
        self._latest: tuple[int, Scene, Mesh] | None = None

    def render(self, path: CameraPath, frame: int) -> SmallFrame:
        """Return the guidance of one frame of a path in world coordinates.

        Raises:
            Ex4dError: a component of the run cannot be used here.
        """
        shown = min(path.frame_shown(frame), self._scene.video.num_frames - 1)
        scene, mesh = self._mesh_of(shown)
        lens = path.intrinsics_at(frame)
        width, height = size_within((lens.width, lens.height), self._side)
        lens = lens.scaled_to(width=width, height=height)
        pose = path.world_to_camera[frame] @ scene.depth.source_to_world(0)
        if frame == 0 and mesh.max_stretch is None and stages.is_source_view(pose, lens, scene.depth.intrinsics_at(0)):
            return SmallFrame(picture=scene.video.frames[0].numpy(), visible=1.0)  # as in `stages.render_guidance`
        renderer = self._clip_run.components.renderer()
        view = renderer.render(mesh, pose, lens)
        color, mask = view.color, view.mask
        if self._plates:
            target = CameraPath(
                world_to_camera=path.world_to_camera[frame : frame + 1], intrinsics=(lens,), frames=(shown,)
            )
            color, added = with_background(color, mask, self._plates, target, 0, renderer)
            mask = mask | added
        return SmallFrame(
            picture=with_holes(color.cpu(), mask.cpu()).numpy(), visible=float(mask.double().mean().item())
        )

    def _mesh_of(self, shown: int) -> tuple[Scene, Mesh]:
        """Return a frame of the clip as a small scene, and its mesh, on the device of the run."""
        if self._latest is None or self._latest[0] != shown:
            components = self._clip_run.components
            scene, device = sampled_scene(self._scene, [shown], side=self._side), components.device
            color, depth = scene.video.frames[0].to(device), scene.depth.depth[0].to(device)
            valid = None if scene.depth.valid is None else scene.depth.valid[0].to(device)
            mesh = components.mesh_builder().build(color, depth, scene.depth.intrinsics_at(0), valid=valid)
            self._latest = shown, scene, mesh
        return self._latest[1:]

    @cached_property
    def _plates(self) -> tuple[Plate, ...]:
        """The static background, from some frames of the clip."""
        components, total = self._clip_run.components, self._scene.video.num_frames
        if components.guidance_options.background == "none":
            return ()
        picks = np.linspace(0, total - 1, min(total, BACKGROUND_FRAMES)).round().astype(int).tolist()
        small = sampled_scene(self._scene, picks, side=self._side)
        plates = make_plates(
            small,
            components.mesh_builder(),
            components.renderer(),
            moving=self._moving(picks, small),
            device=components.device,
        )
        return tuple(attrs.evolve(plate, frame=picks[plate.frame]) for plate in plates)

    def _moving(self, picks: list[int], small: Scene) -> Tensor | None:
        """Return the mask of the user of what moves, at the size of a small scene."""
        moving = self._clip_run.dynamic_mask
        if moving is None:
            return None
        rows, columns = (
            ((torch.arange(short) + 0.5) * long / short).long()
            for short, long in zip((small.video.height, small.video.width), moving.shape[1:], strict=True)
        )
        return moving[picks][:, rows][:, :, columns]
