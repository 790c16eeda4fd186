"""Choose regions of a frame to hide, before they are tracked into other frames."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.geometry.projective import transform_points, unproject_depth
from ex4d_core.plugins.crashes import named_crash
from ex4d_core.roles import MeshBuilder, Renderer
from ex4d_core.types import CameraPath, DepthVideo, Intrinsics, Mesh

BEHIND = 0.02
"""Relative distance behind the visible surface from which a point counts as occluded."""

WORKING_SIDE = 256
"""Approximate number of pixels along the longer side of the subsampled mesh that is used for occlusion."""


def covered(
    depth: DepthVideo, frame: int, path: CameraPath, points: Tensor, builder: MeshBuilder, renderer: Renderer
) -> Tensor:
    """Return which points of a frame are hidden from each camera of a path, bool [T, N].

    Points are hidden if they are occluded or outside the image. The source camera is treated as static. Points of
    unknown depth are hidden, as in a rendering.

    Args:
        depth: depth of the clip.
        frame: index of the frame.
        path: cameras with constant intrinsics; the world is the source camera.
        points: int64 [N, 2], row and column.
        builder: builds the mesh of the frame.
        renderer: renders the depth of the mesh.
    """
    at = tuple(points.unbind(-1))
    positions = unproject_depth(depth.depth[frame], depth.intrinsics_at(frame))[at]
    mesh, full = _coarse_mesh(depth, frame, builder), path.intrinsics[0]
    lens = full.scaled_to(width=math.ceil(full.width / _step(depth)), height=math.ceil(full.height / _step(depth)))
    hidden = torch.zeros(path.num_frames, len(points), dtype=torch.bool)
    for index, pose in enumerate(path.world_to_camera):
        with named_crash(renderer):
            surface = renderer.render(mesh, pose, lens).depth.cpu()
        hidden[index] = ~_seen(transform_points(pose, positions), surface, lens)
    return hidden | ~depth.valid_at(frame)[at]


def _seen(points: Tensor, surface: Tensor, lens: Intrinsics) -> Tensor:
    """Return which points [N, 3] in the frame of a camera are in its image and not behind its depth map [H, W]."""
    x, y, z = points.unbind(-1)
    column, row = (lens.fx * x / z + lens.cx).floor(), (lens.fy * y / z + lens.cy).floor()
    inside = (z > 0) & (column >= 0) & (column < lens.width) & (row >= 0) & (row < lens.height)
    # The maximum of 3 x 3 pixels, so that a surface seen at a grazing angle does not occlude itself.
    farthest = torch.from_numpy(cv2.dilate(surface.numpy(), np.ones((3, 3), np.uint8)))
    return inside & (z <= (1 + BEHIND) * farthest[row.where(inside, 0).long(), column.where(inside, 0).long()])


def _coarse_mesh(depth: DepthVideo, frame: int, builder: MeshBuilder) -> Mesh:
    """Return the mesh of every n-th pixel of a frame, without colors."""
    step, full = _step(depth), depth.intrinsics_at(frame)
    part = depth.depth[frame, ::step, ::step]
    height, width = part.shape
    # Pixel i of the subsampled image is pixel n i of the frame: its center, i + 0.5, is at n i + 0.5 there.
    shift = (step - 1) / 2
    lens = full.windowed(
        left=-shift, top=-shift, width=width * step, height=height * step, to_width=width, to_height=height
    )
    gray = torch.zeros(height, width, 3, dtype=torch.uint8)
    with named_crash(builder):
        return builder.build(gray, part.contiguous(), lens, valid=depth.valid_at(frame)[::step, ::step].contiguous())


def _step(depth: DepthVideo) -> int:
    return max(1, round(max(depth.depth.shape[1:]) / WORKING_SIDE))


def hiding_order(height: int, width: int, generator: torch.Generator, *, blobs: int, tilt: float = 0) -> Tensor:
    """Return a random threshold map whose sublevel sets are growing round regions.

    Args:
        height: height of the frame.
        width: width of the frame.
        generator: source of randomness.
        blobs: approximate number of regions along the longer side.
        tilt: horizontal trend, to the left or right, in standard deviations.

    Returns:
        float32 [H, W] in [0, 1): a fraction p of the pixels is below p.
    """
    longer = max(height, width)
    coarse = [2 + math.ceil(blobs * side / longer) for side in (height, width)]
    noise = torch.randn(1, 1, *coarse, generator=generator)
    field = functional.interpolate(noise, size=(height, width), mode="bicubic", align_corners=True)[0, 0]
    side = 1 if torch.rand(1, generator=generator) < 0.5 else -1
    field = (field + side * tilt * torch.linspace(-1, 1, width)).flatten()
    order = torch.empty_like(field)
    order[field.argsort(stable=True)] = torch.arange(len(field)) / len(field)
    return order.view(height, width)
