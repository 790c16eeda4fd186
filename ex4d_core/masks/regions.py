"""Choose regions of a frame to hide, before they are tracked into other frames."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.geometry.projective import transform_points, unproject_depth
from ex4d_core.roles import MeshBuilder, Renderer
from ex4d_core.types import CameraPath, DepthVideo, Intrinsics, Mesh

BEHIND = 0.02
"""A point counts as covered when it is farther away than what the camera sees there by more than this share."""

WORKING_SIDE = 256
"""Meshes are built of every n-th pixel so that the longer side has about this many: what is covered needs no more."""


def covered(
    depth: DepthVideo, frame: int, path: CameraPath, points: Tensor, builder: MeshBuilder, renderer: Renderer
) -> Tensor:
    """Return which points of a frame the path's camera does not see at each of its poses, bool [T, N].

    What it cannot see is behind something nearer, or outside of its picture: beside near things and at one side of
    the picture, wider the farther it has turned. The source camera is taken to stand still, so that this is how far
    the path has gone from it. Points of unknown depth count as unseen, as in a rendering.

    Args:
        depth: of the clip.
        frame: whose points they are.
        path: of the camera; world = source camera; of one lens.
        points: int64 [N, 2], row and column.
        builder: makes the frame's mesh.
        renderer: looks at it.
    """
    at = tuple(points.unbind(-1))
    where = unproject_depth(depth.depth[frame], depth.intrinsics_at(frame))[at]
    mesh, full = _coarse_mesh(depth, frame, builder), path.intrinsics[0]
    lens = full.scaled_to(width=math.ceil(full.width / _step(depth)), height=math.ceil(full.height / _step(depth)))
    hidden = torch.zeros(path.num_frames, len(points), dtype=torch.bool)
    for index, pose in enumerate(path.world_to_camera):
        hidden[index] = ~_seen(transform_points(pose, where), renderer.render(mesh, pose, lens).depth.cpu(), lens)
    return hidden | ~depth.valid_at(frame)[at]


def _seen(points: Tensor, surface: Tensor, lens: Intrinsics) -> Tensor:
    """Return which points [N, 3] in a camera's frame are in its picture and not behind the surface [H, W] there."""
    x, y, z = points.unbind(-1)
    column, row = (lens.fx * x / z + lens.cx).floor(), (lens.fy * y / z + lens.cy).floor()
    inside = (z > 0) & (column >= 0) & (column < lens.width) & (row >= 0) & (row < lens.height)
    # The farthest of a pixel and its neighbors: a floor seen at a low angle must not cover itself.
    farthest = torch.from_numpy(cv2.dilate(surface.numpy(), np.ones((3, 3), np.uint8)))
    return inside & (z <= (1 + BEHIND) * farthest[row.where(inside, 0).long(), column.where(inside, 0).long()])


def _coarse_mesh(depth: DepthVideo, frame: int, builder: MeshBuilder) -> Mesh:
    """Return the mesh of every n-th pixel of a frame, without colors."""
    step, full = _step(depth), depth.intrinsics_at(frame)
    part = depth.depth[frame, ::step, ::step]
    height, width = part.shape
    # Pixel i of the part is pixel n i of the whole: its center, i + 0.5, is at n i + 0.5 there.
    shift = (step - 1) / 2
    lens = full.windowed(
        left=-shift, top=-shift, width=width * step, height=height * step, to_width=width, to_height=height
    )
    gray = torch.zeros(height, width, 3, dtype=torch.uint8)
    return builder.build(gray, part.contiguous(), lens, valid=depth.valid_at(frame)[::step, ::step].contiguous())


def _step(depth: DepthVideo) -> int:
    return max(1, round(max(depth.depth.shape[1:]) / WORKING_SIDE))


def hiding_order(height: int, width: int, generator: torch.Generator, *, blobs: int, tilt: float = 0) -> Tensor:
    """Return in which order random round regions that grow hide a picture.

    Args:
        height: of the picture.
        width: of the picture.
        generator: draws where they are.
        blobs: about how many there are along the longer side.
        tilt: how much sooner one side of the picture is hidden, left or right, in standard deviations.

    Returns:
        float32 [H, W] in [0, 1): hiding all pixels below a share hides that share of the picture.
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
