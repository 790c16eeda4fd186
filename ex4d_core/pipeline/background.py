"""The static background of a clip, seen at other times: it fills holes of guidance before any backbone.

A plate is what one camera would see of everything that does not move, with depth: some frames are rendered from that
camera without what moves in them, and each pixel gets the far surface on which several of them agree. A plate is meshed
and rendered as any frame. A source camera that moves has a plate, wider than its frames, for every `SPAN` frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import torch
from torch import Tensor

from ex4d_core.progress import Progress, silent
from ex4d_core.roles import MeshBuilder, Renderer
from ex4d_core.types import CameraPath, Intrinsics, Mesh, Scene

SPAN = 49
"""Frames between two plates of a clip with a moving source camera."""

SAMPLES = 16
"""Frames from which a plate is made."""

LARGEST = 1024
"""Longer side of the plates of a moving camera in pixels, without their margin."""

PADDING = 0.5
"""Margin of these plates on each side, in sizes of the frame."""

FAR_RANK = 0.2
"""Rank of the far surface among the disparities that a pixel has over time: a smaller one may be an error."""

SAME_DEPTH = 0.06
"""Largest relative difference of disparity between points of one surface."""

SAME_COLOR = 20.0
"""Largest standard deviation over time of the color of a static surface, in levels."""

WITNESSES = 2
"""Number of frames that must agree on a surface."""

ROWS = 64
"""Rows of a plate that are merged at once, which bounds memory."""


@attrs.frozen(eq=False, kw_only=True)
class Plate:
    """The static background around one frame of a clip."""

    frame: int
    """The frame whose source camera sees it."""

    mesh: Mesh
    """In the frame of that camera."""

    camera_to_world: Tensor
    """float32 [4, 4]."""


def make_plates(
    scene: Scene,
    builder: MeshBuilder,
    renderer: Renderer,
    *,
    moving: Tensor | None = None,
    stride: int = 1,
    device: torch.device,
    progress: Progress = silent,
) -> tuple[Plate, ...]:
    """Return the static background of a clip; none if a static camera sees nothing move.

    Args:
        scene: the clip and its depth, on the CPU.
        builder: builds meshes.
        renderer: renders them.
        moving: bool [T, H, W], True where something moves; by default found by `dynamic_mask`.
        stride: only frames at its multiples have depth.
        device: device of the meshes.
        progress: called with the number of finished plates.
    """
    from ex4d_core.geometry.dynamic_mask import dynamic_mask  # imports OpenCV, which finished runs do without

    num_frames, is_static = scene.depth.num_frames, scene.depth.has_static_camera
    number = 1 if is_static else max(1, round(num_frames / SPAN))
    reach = num_frames if number == 1 else SPAN
    plates = []
    for index in range(number):
        center = (2 * index + 1) * num_frames // (2 * number) // stride * stride
        first, last = max(0, center - reach), min(num_frames - 1, center + reach)
        frames = sorted({round(frame) // stride * stride for frame in np.linspace(first, last, SAMPLES)})
        dynamic = dynamic_mask(scene, frames) if moving is None else moving[frames]
        if is_static and not dynamic.any():
            break
        views = _Views(scene, builder, renderer, device, center)
        plate = views.plate([views.of(frame, ~mask) for frame, mask in zip(frames, dynamic, strict=True)])
        plates += [] if plate is None else [plate]
        progress(index + 1, number)
    return tuple(plates)


def with_background(
    color: Tensor, mask: Tensor, plates: Sequence[Plate], path: CameraPath, frame: int, renderer: Renderer
) -> tuple[Tensor, Tensor]:
    """Return the color of a view with holes filled from plates, and which pixels were filled, bool [H, W].

    Args:
        color: uint8 [H, W, 3].
        mask: bool [H, W], False in holes.
        plates: the static background.
        path: the target cameras.
        frame: index of the target camera.
        renderer: renders plates.
    """
    added, shown = torch.zeros_like(mask), path.frame_shown(frame)
    for plate in sorted(plates, key=lambda plate: abs(plate.frame - shown))[:2]:
        pose = path.world_to_camera[frame].double() @ plate.camera_to_world.double()
        view = renderer.render(plate.mesh, pose.float(), path.intrinsics_at(frame))
        new = view.mask & ~(mask | added)
        color = torch.where(new[..., None], view.color, color)
        added |= new
    return color, added


@attrs.frozen(eq=False)
class _Views:
    """Views of the frames of a clip by the source camera of one of them."""

    scene: Scene
    builder: MeshBuilder
    renderer: Renderer
    device: torch.device
    center: int

    @property
    def intrinsics(self) -> Intrinsics:
        """Those of the plate."""
        lens = self.scene.depth.intrinsics_at(self.center)
        if self.scene.depth.has_static_camera:
            return lens
        scale = min(1.0, LARGEST / max(lens.width, lens.height))
        lens = lens.scaled_to(width=round(lens.width * scale), height=round(lens.height * scale))
        left, top = round(PADDING * lens.width), round(PADDING * lens.height)
        return attrs.evolve(
            lens, cx=lens.cx + left, cy=lens.cy + top, width=lens.width + 2 * left, height=lens.height + 2 * top
        )

    def of(self, frame: int, is_static: Tensor) -> tuple[Tensor, Tensor]:
        """Return color uint8 [H, W, 3] and depth [H, W], inf where unknown, of the static pixels of a frame."""
        color, depth, scene = self.scene.video.frames[frame], self.scene.depth.depth[frame], self.scene.depth
        valid = scene.valid_at(frame) & is_static
        if scene.has_static_camera:
            return color, torch.where(valid, depth, torch.inf)
        mesh = self._mesh(color, depth, scene.intrinsics_at(frame), valid)
        pose = torch.linalg.inv(scene.source_to_world(self.center).double()) @ scene.source_to_world(frame).double()
        view = self.renderer.render(mesh, pose.float(), self.intrinsics)
        return view.color.cpu(), torch.where(view.mask, view.depth, torch.inf).cpu()

    def plate(self, views: Sequence[tuple[Tensor, Tensor]]) -> Plate | None:
        """Return the plate of views, or None if they agree nowhere."""
        height = len(views[0][1])
        parts = [
            _merged(*(torch.stack(planes) for planes in zip(*((c[rows], d[rows]) for c, d in views), strict=True)))
            for rows in (slice(row, row + ROWS) for row in range(0, height, ROWS))
        ]
        color, depth, known = (torch.cat(planes) for planes in zip(*parts, strict=True))
        if not known.any():
            return None
        mesh = self._mesh(color, depth, self.intrinsics, known)
        return Plate(frame=self.center, mesh=mesh, camera_to_world=self.scene.depth.source_to_world(self.center))

    def _mesh(self, color: Tensor, depth: Tensor, intrinsics: Intrinsics, valid: Tensor) -> Mesh:
        color, depth, valid = (each.to(self.device) for each in (color, depth, valid))
        return self.builder.build(color, depth, intrinsics, valid=valid)


def _merged(color: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return color uint8 [H, W, 3], depth [H, W] and where they are known, bool [H, W], of the far surface of views.

    Args:
        color: uint8 [K, H, W, 3].
        depth: [K, H, W], inf where unknown.
    """
    disparity = 1 / depth
    valid = disparity > 0
    ordered = torch.where(valid, disparity, torch.inf).sort(dim=0).values
    rank = (FAR_RANK * valid.sum(0)).long()
    far = ordered.gather(0, rank[None])[0]
    agree = valid & ((disparity - far).abs() <= SAME_DEPTH * far)
    number = agree.sum(0)
    divisor, weight = number.clamp(min=1), agree[..., None].float()
    mean = (weight * color).sum(0) / divisor[..., None]
    deviation = ((weight * (color - mean).square()).sum(0) / divisor[..., None]).amax(-1).sqrt()
    known = (number >= WITNESSES) & (deviation <= SAME_COLOR)
    merged = divisor / (agree * disparity).sum(0)
    return mean.round().to(torch.uint8), torch.where(known, merged, torch.nan), known
