"""What is to be hidden of one frame as time goes on, before it is followed into the others."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.geometry.projective import transform_points, unproject_depth
from ex4d_core.roles import MeshBuilder, Renderer
from ex4d_core.stages import build_mesh
from ex4d_core.types import CameraPath, Scene

BEHIND = 0.02
"""A point counts as covered when it is farther away than what the camera sees there by more than this share."""


def covered(
    scene: Scene, frame: int, path: CameraPath, points: Tensor, builder: MeshBuilder, renderer: Renderer
) -> Tensor:
    """Return which points of a frame the path's camera does not see at each of its poses, bool [T, N].

    What it cannot see is behind something nearer, or outside of its picture: beside near things and at one side of
    the picture, wider the farther it has turned. The source camera is taken to stand still, so that this is how far
    the path has gone from it.

    Args:
        scene: the clip and its depth.
        frame: whose points they are.
        path: of the camera; world = source camera.
        points: int64 [N, 2], row and column.
        builder: makes the frame's mesh.
        renderer: looks at it.
    """
    mesh = build_mesh(scene, frame, builder)
    seen = unproject_depth(scene.depth.depth[frame], scene.depth.intrinsics_at(frame))
    valid = scene.depth.valid_at(frame)[points[:, 0], points[:, 1]]
    where = seen[points[:, 0], points[:, 1]]
    hidden = torch.zeros(path.num_frames, len(points), dtype=torch.bool)
    for index, pose in enumerate(path.world_to_camera):
        lens = path.intrinsics_at(index)
        x, y, z = transform_points(pose, where).unbind(-1)
        column, row = (lens.fx * x / z + lens.cx).floor(), (lens.fy * y / z + lens.cy).floor()
        inside = (z > 0) & (column >= 0) & (column < lens.width) & (row >= 0) & (row < lens.height)
        at = (row.where(inside, 0).long(), column.where(inside, 0).long())
        surface = renderer.render(mesh, pose, lens).depth.cpu()[at]
        hidden[index] = ~inside | (z > surface * (1 + BEHIND))
    return hidden & valid


def blob_order(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Return in which order random round regions that grow hide a picture.

    Returns:
        float32 [H, W] in [0, 1): hiding all pixels below a share hides that share of the picture.
    """
    longer = max(height, width)
    coarse = [2 + math.ceil(6 * side / longer) for side in (height, width)]
    noise = torch.randn(1, 1, *coarse, generator=generator)
    field = functional.interpolate(noise, size=(height, width), mode="bicubic", align_corners=True).flatten()
    order = torch.empty_like(field)
    order[field.argsort(stable=True)] = torch.arange(len(field)) / len(field)
    return order.view(height, width)
