"""Rasterize meshes with nvdiffrast."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import nvdiffrast.torch as dr
import torch
from torch import Tensor

from ex4d_core.builtin.render_checks import ViewCheck, empty_view
from ex4d_core.builtin.render_shading import finished, shaded_rgba
from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.projective import clip_from_camera
from ex4d_core.types import VISIBLE_ALPHA, Intrinsics, Mesh, RenderedFrame
from ex4d_render_nvdiffrast.options import NvdiffrastOptions


class NvdiffrastRenderer:
    """Renders meshes in its own CUDA context.

    It does not wait for the GPU, except once in `rasterize`, where nvdiffrast checks the size of its buffers.
    """

    def __init__(self, options: NvdiffrastOptions, *, device: torch.device) -> None:
        """Create the context.

        Raises:
            InvalidConfig: the device is not a CUDA device.
        """
        if device.type != "cuda":
            raise InvalidConfig(
                f"the renderer nvdiffrast requires an NVIDIA GPU, not {device}; use the renderer torch or zbuffer"
            )
        self._options = options
        self._device = device
        self._context = dr.RasterizeCudaContext(device=device)
        self._check = ViewCheck()
        self._topology: tuple[Tensor, Any] | None = None

    def render(self, mesh: Mesh, world_to_camera: Tensor, intrinsics: Intrinsics) -> RenderedFrame:
        """Render the mesh; see `ex4d_core.roles.Renderer`.

        Raises:
            InvalidInput: a face names a vertex that does not exist, or the pose is not 4 x 4.
        """
        self._check(mesh, world_to_camera)
        height, width = intrinsics.height, intrinsics.width
        if not len(mesh.faces):
            return empty_view(height, width, mesh.device)
        faces = mesh.faces.to(self._device)
        to_clip = _clip_and_depth(intrinsics, self._options.near, self._options.far, world_to_camera.device)
        matrix = (to_clip @ world_to_camera.double()).to(self._device, non_blocking=True)
        projected = torch.addmm(matrix[:, 3], mesh.vertices.to(self._device, torch.float64), matrix[:, :3].T)
        clip = projected[None, :, :4].float()
        raster, _ = dr.rasterize(self._context, clip, faces, resolution=(height, width), grad_db=False)
        # Depth is interpolated as an attribute: z / w of the rasterizer is imprecise far from the near plane.
        depth = dr.interpolate(projected[None, :, 4:].float().contiguous(), raster, faces)[0][0, ..., 0]
        face = raster[0, ..., 3].long() - 1
        depth = torch.where(face >= 0, depth, torch.inf)
        u, v = raster[0, ..., 0], raster[0, ..., 1]
        weights = torch.stack([u, v, 1 - u - v], dim=-1)
        there = mesh.to(self._device)
        rgba = shaded_rgba(there, face, weights, world_to_camera)
        if self._options.antialias:
            rgba = dr.antialias(rgba[None], raster, clip, faces, topology_hash=self._topology_of(faces))[0]
        mask = (rgba[..., 3] > VISIBLE_ALPHA) & (face >= 0)
        view = finished(rgba[..., :3] + 0.5, mask, depth, min_patch=self._options.min_patch)
        return RenderedFrame(
            color=view.color.to(mesh.device), mask=view.mask.to(mesh.device), depth=view.depth.to(mesh.device)
        )

    def _topology_of(self, faces: Tensor) -> Any:
        """Return the topology hash for antialiasing; frames of one size share their faces."""
        known = self._topology
        if known is None or known[0] is not faces:
            known = self._topology = faces, dr.antialias_construct_topology_hash(faces)
        return known[1]


@lru_cache(maxsize=8)
def _clip_and_depth(intrinsics: Intrinsics, near: float, far: float, device: torch.device) -> Tensor:
    """Return float64 [5, 4]: camera to clip coordinates, first row at the bottom, and to depth."""
    to_clip = clip_from_camera(intrinsics, near=near, far=far).double()
    # nvdiffrast's first row is the bottom of OpenGL's image; ours is the top.
    upside_down = torch.tensor([1.0, -1.0, 1.0, 1.0], dtype=torch.float64)[:, None]
    depth = torch.tensor([[0.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    return torch.cat([upside_down * to_clip, depth]).to(device)
