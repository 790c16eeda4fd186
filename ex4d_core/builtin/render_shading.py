"""Color and mask of the faces that a renderer found; shared by renderers, and the twin of the compiled loops."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, reduce

import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.cuda_graph import Graphed
from ex4d_core.geometry.stretch import hidden_from
from ex4d_core.types import VISIBLE_ALPHA, Mesh, RenderedFrame


def shade(
    mesh: Mesh, face: Tensor, weights: Tensor, depth: Tensor, world_to_camera: Tensor, *, min_patch: int
) -> RenderedFrame:
    """Return the view of the nearest faces.

    Args:
        mesh: the mesh.
        face: int64 [H, W], index of the face, -1 in the background.
        weights: [H, W, 3], perspective-correct weights of its vertices.
        depth: float32 [H, W], along z, inf in the background.
        world_to_camera: [4, 4].
        min_patch: see `without_patches`.
    """
    rgba = shaded_rgba(mesh, face, weights, world_to_camera)
    return finished(rgba[..., :3] + 0.5, rgba[..., 3] > VISIBLE_ALPHA, depth, min_patch=min_patch)


def shaded_rgba(mesh: Mesh, face: Tensor, weights: Tensor, world_to_camera: Tensor) -> Tensor:
    """Return color 0..255 of visible and hidden faces, and alpha 0..1, float32 [H, W, 4]; see `shade`."""
    covered = face >= 0
    face = face.clamp_min(0)
    corners = mesh.faces[face].long()
    if mesh.max_stretch is None:
        weights = weights.float()
        alpha = (weights * mesh.vertex_alpha()[corners]).sum(-1)
    else:
        places = mesh.vertices.to(weights.dtype)[corners]
        camera = camera_position(world_to_camera).to(places, non_blocking=True)
        hidden = mesh.face_occluded[face] & hidden_from(places, camera, mesh.max_stretch[face])
        alpha = (~hidden).float()
        weights = source_weights(weights, places[..., 2]).float()
    color = (weights[..., None] * mesh.vertex_colors[corners]).sum(dim=-2)
    # Weights of the background may be NaN.
    return torch.where(covered[..., None], torch.cat([color, alpha[..., None]], dim=-1), 0)


def camera_position(world_to_camera: Tensor) -> Tensor:
    """Return the position of a camera, float64 [3], in the frame of the mesh."""
    pose = world_to_camera.double()
    return -pose[:3, :3].T @ pose[:3, 3]


def source_weights(weights: Tensor, z: Tensor) -> Tensor:
    """Return the weights of the vertices at the point of the source image that a pixel shows, [..., 3].

    A point w1 p1 + w2 p2 + w3 p3 of a face is projected to the mean of the projections of its corners, weighted by w_i
    z_i. With these weights, colors are those of the source frame, bilinear within a face; with w_i, the color of the
    nearer vertex would cover most of a face across a depth edge.

    Args:
        weights: [..., 3], perspective-correct weights.
        z: [..., 3], depth of the corners in the source camera.
    """
    scaled = weights * z
    return scaled / scaled.sum(dim=-1, keepdim=True)


def finished(color: Tensor, mask: Tensor, depth: Tensor, *, min_patch: int) -> RenderedFrame:
    """Return a view without small patches in its mask, and with color 0 where the mask is False.

    Args:
        color: [H, W, 3], 0..255, of all faces, also of hidden ones.
        mask: bool [H, W].
        depth: float32 [H, W], inf in the background, where holes are not filled.
        min_patch: see `without_patches`.
    """
    color, mask = _finish(min_patch)(color, mask, depth)
    return RenderedFrame(color=color, mask=mask, depth=depth)


@lru_cache(maxsize=4)
def _finish(min_patch: int) -> Graphed:
    """Return the function of color, mask and depth that returns the color and mask of a view."""

    def finish(color: Tensor, mask: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        if min_patch:
            mask = without_patches(mask, min_patch) & torch.isfinite(depth)
        return color.to(torch.uint8) * mask[..., None], mask

    return Graphed(finish)


def without_patches(mask: Tensor, size: int) -> Tensor:
    """Return a mask without holes and visible patches that fit into a square of `size` pixels.

    A patch is removed if a square of 1, 3, 5, ... pixels, up to `size`, contains it and the ring around the square has
    is in the image and has no pixel of the patch's kind.

    Args:
        mask: bool [H, W].
        size: largest width and height, in pixels; even sizes are rounded down to odd ones.
    """
    kinds = torch.stack([mask, ~mask])
    small = torch.zeros_like(kinds)
    for side in range(1, size + 1, 2):
        reach = side // 2
        others = functional.pad(~kinds, (reach + 1,) * 4)  # False outside the image
        rows = _windows(others, side + 2, dim=2, join=torch.logical_and)
        columns = _windows(others, side + 2, dim=1, join=torch.logical_and)
        clear = rows[:, : -side - 1] & rows[:, side + 1 :] & columns[..., : -side - 1] & columns[..., side + 1 :]
        for dim in (1, 2) if reach else ():
            clear = _windows(
                functional.pad(clear, (reach, reach) if dim == 2 else (0, 0, reach, reach)), side, dim=dim,
                join=torch.logical_or,
            )  # fmt: skip
        small |= clear
    visible, hole = small
    return torch.where(mask, ~visible, hole)


def _windows(values: Tensor, length: int, *, dim: int, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the values of each window of a length along a dimension, joined; `length - 1` fewer than the values."""
    count = values.shape[dim] - length + 1
    return reduce(join, (values.narrow(dim, start, count) for start in range(length)))
