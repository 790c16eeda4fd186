"""The slow twin of the z-buffer: Open3D's ray caster."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.errors import InvalidInput, PluginFailed
from ex4d_core.types import Intrinsics, Mesh, RenderedFrame


class RaycastRenderer:
    """Casts one ray through the middle of each pixel.

    Raises:
        PluginFailed: Open3D cannot be imported.
    """

    def __init__(self, options: RasterOptions, *, device: torch.device) -> None:
        self._options = options
        self._open3d = _import_open3d()

    def render(self, mesh: Mesh, world_to_camera: Tensor, intrinsics: Intrinsics) -> RenderedFrame:
        """Return what the camera sees, on the device of the mesh.

        Args:
            mesh: vertices in world coordinates.
            world_to_camera: float32 [4, 4], OpenCV axes.
            intrinsics: of the viewing camera; pixel (row i, column j) is sampled at (j + 0.5, i + 0.5).

        Raises:
            InvalidInput: a face names a vertex that does not exist, or the pose is not 4 x 4.
        """
        faces = mesh.faces.cpu().numpy()
        face_index, weights, depth = self._cast(_in_camera(mesh, world_to_camera), faces, intrinsics)
        hit = face_index >= 0
        attributes = torch.cat([mesh.vertex_colors.float(), 255 * mesh.vertex_alpha()[:, None]], dim=1).cpu().numpy()
        rgba = np.zeros((*hit.shape, 4))
        rgba[hit] = np.einsum("nk,nkc->nc", weights[hit], attributes[faces[face_index[hit]]])
        mask = torch.from_numpy(rgba[..., 3] > 125)
        color = torch.from_numpy(rgba[..., :3]).round().to(torch.uint8) * mask[..., None]
        return RenderedFrame(
            color=color.to(mesh.device),
            mask=mask.to(mesh.device),
            depth=torch.from_numpy(depth.astype(np.float32)).to(mesh.device),
        )

    def _cast(
        self, vertices_camera: NDArray[np.float32], faces: NDArray[np.int32], intrinsics: Intrinsics
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Return per pixel the index of the face or -1, the weights of its vertices [H, W, 3], and z or inf."""
        size = (intrinsics.height, intrinsics.width)
        if not len(faces):
            return np.full(size, -1), np.zeros((*size, 3)), np.full(size, np.inf)
        o3d, near = self._open3d, self._options.near
        scene = o3d.t.geometry.RaycastingScene(nthreads=self._options.threads)
        scene.add_triangles(o3d.core.Tensor(vertices_camera), o3d.core.Tensor(faces.astype(np.uint32)))
        directions = _pixel_rays(intrinsics)
        # A ray begins on the near plane, and since its z is 1, the distance along it is depth.
        rays = np.concatenate([directions * near, directions], axis=-1).astype(np.float32)
        hits = scene.cast_rays(o3d.core.Tensor(rays), nthreads=self._options.threads)
        depth = hits["t_hit"].numpy().astype(np.float64) + near
        seen = depth <= self._options.far
        face_index = np.where(seen, hits["primitive_ids"].numpy().astype(np.int64), -1)
        of_b_and_c = hits["primitive_uvs"].numpy().astype(np.float64)
        weights = np.concatenate([1 - of_b_and_c.sum(-1, keepdims=True), of_b_and_c], axis=-1)
        return face_index, weights, np.where(seen, depth, np.inf)


def _import_open3d() -> Any:
    try:
        return importlib.import_module("open3d")
    except (ImportError, OSError) as error:
        raise PluginFailed(
            f"the raycast renderer needs Open3D, which cannot be imported ({error}); "
            "run `pip install open3d-cpu` and, on Debian or Ubuntu, "
            "`apt-get install libusb-1.0-0 libegl1 libgl1 libx11-6`"
        ) from error


def _in_camera(mesh: Mesh, world_to_camera: Tensor) -> NDArray[np.float32]:
    """Return the vertices in the camera's frame, float32 [V, 3]."""
    if world_to_camera.shape != (4, 4):
        raise InvalidInput(f"world_to_camera must be [4, 4], the pose of one frame, not {list(world_to_camera.shape)}")
    vertices, faces = mesh.vertices.cpu().double(), mesh.faces
    if len(faces) and not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise InvalidInput(
            f"the mesh has {len(vertices)} vertices but its faces name vertices {faces.min()} to {faces.max()}"
        )
    pose = world_to_camera.cpu().double()
    moved: NDArray[np.float32] = (vertices @ pose[:3, :3].T + pose[:3, 3]).float().numpy()
    return moved


def _pixel_rays(intrinsics: Intrinsics) -> NDArray[np.float64]:
    """Return the rays through the pixels' middles, float64 [H, W, 3] with z = 1, in the camera's frame."""
    x = (np.arange(intrinsics.width) + 0.5 - intrinsics.cx) / intrinsics.fx
    y = (np.arange(intrinsics.height) + 0.5 - intrinsics.cy) / intrinsics.fy
    grid = np.meshgrid(x, y)
    return np.stack([*grid, np.ones_like(grid[0])], axis=-1)
