"""The `raycast` renderer: Open3D's ray caster, the slow reference of the z-buffer."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ex4d_core.builtin.render_checks import check_view, empty_view
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_shading import shade
from ex4d_core.errors import PluginFailed
from ex4d_core.types import Intrinsics, Mesh, RenderedFrame

_OFFSET = 1e-3
"""Offset in pixels from the pixel center of the ray that finds the face. Embree sometimes misses the faces at a
vertex, and from the source camera each pixel center is a vertex."""

_FARTHEST = 300.0
"""Distance, in distances of near vertices, from which Embree gets logarithms of distances."""


class RaycastRenderer:
    """Casts one ray for each pixel to find its face, and computes the point of the pixel center on it.

    Raises:
        PluginFailed: Open3D cannot be imported.
    """

    def __init__(self, options: RasterOptions, *, device: torch.device) -> None:
        self._options = options
        self._open3d = _import_open3d()

    def render(self, mesh: Mesh, world_to_camera: Tensor, intrinsics: Intrinsics) -> RenderedFrame:
        """Render one view; see `ex4d_core.roles.Renderer`.

        Raises:
            InvalidInput: a face has an index that is not a vertex, or the pose is not 4 x 4.
        """
        check_view(len(mesh.vertices), mesh.faces, tuple(world_to_camera.shape))
        if not len(mesh.faces):
            return empty_view(intrinsics.height, intrinsics.width, mesh.device)
        faces = mesh.faces.cpu().numpy()
        face_index, weights, depth = self._cast(_in_camera(mesh, world_to_camera), faces, intrinsics)
        view = shade(
            mesh.to("cpu"),
            torch.from_numpy(face_index),
            torch.from_numpy(weights),
            torch.from_numpy(depth.astype(np.float32)),
            world_to_camera.cpu(),
            min_patch=self._options.min_patch,
        )
        return RenderedFrame(
            color=view.color.to(mesh.device), mask=view.mask.to(mesh.device), depth=view.depth.to(mesh.device)
        )

    def _cast(
        self, vertices_camera: NDArray[np.float32], faces: NDArray[np.int32], intrinsics: Intrinsics
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Return for each pixel the face index or -1, the vertex weights [H, W, 3], and z or inf."""
        size = (intrinsics.height, intrinsics.width)
        weights, depth = np.zeros((*size, 3)), np.full(size, np.inf)
        found = self._first_faces(vertices_camera, faces, _pixel_rays(intrinsics, offset=_OFFSET))
        hit = found >= 0
        corners = vertices_camera.astype(np.float64)[faces[found[hit]]]
        weights[hit], depth[hit] = _intersect(_pixel_rays(intrinsics)[hit], corners)
        seen = depth <= self._options.far
        return np.where(seen, found, -1), weights, np.where(seen, depth, np.inf)

    def _first_faces(
        self, vertices_camera: NDArray[np.float32], faces: NDArray[np.int32], directions: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the index of the first face beyond the near plane along each ray [H, W, 3], or -1."""
        o3d, threads = self._open3d, self._options.threads
        scene = o3d.t.geometry.RaycastingScene(nthreads=threads)
        scene.add_triangles(o3d.core.Tensor(_compressed(vertices_camera)), o3d.core.Tensor(faces.astype(np.uint32)))
        rays = np.concatenate([directions * self._options.near, directions], axis=-1).astype(np.float32)
        hits = scene.cast_rays(o3d.core.Tensor(rays), nthreads=threads)
        index: NDArray[np.int64] = hits["primitive_ids"].numpy().astype(np.int64)
        return np.where(np.isfinite(hits["t_hit"].numpy()), index, -1)


def _import_open3d() -> Any:
    try:
        return importlib.import_module("open3d")
    except (ImportError, OSError) as error:
        raise PluginFailed(
            f"the raycast renderer requires Open3D, which cannot be imported ({error}); "
            "run `pip install open3d-cpu` and, on Debian or Ubuntu, "
            "`apt-get install libusb-1.0-0 libegl1 libgl1 libx11-6`"
        ) from error


def _in_camera(mesh: Mesh, world_to_camera: Tensor) -> NDArray[np.float32]:
    """Return the vertices in the frame of the camera, float32 [V, 3]."""
    pose = world_to_camera.cpu().double()
    points: NDArray[np.float32] = (mesh.vertices.cpu().double() @ pose[:3, :3].T + pose[:3, 3]).float().numpy()
    return points


def _compressed(vertices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vertices [V, 3] at the logarithm of their distance from the camera where they are far away.

    Embree computes in float32 and misses faces that extend much farther than others. Moved along their rays, faces
    cover the same pixels, in the same order where they do not intersect.
    """
    distance = np.linalg.norm(vertices.astype(np.float64), axis=1)
    limit = _FARTHEST * max(float(np.quantile(distance, 0.05)), 1e-30)
    ratio = np.maximum(distance / limit, 1)
    return np.asarray(vertices * ((1 + np.log(ratio)) / ratio)[:, None], np.float32)


def _pixel_rays(intrinsics: Intrinsics, *, offset: float = 0.0) -> NDArray[np.float64]:
    """Return rays float64 [H, W, 3] with z = 1 in the frame of the camera, `offset` pixels beside the pixel centers."""
    x = (np.arange(intrinsics.width) + 0.5 + offset - intrinsics.cx) / intrinsics.fx
    y = (np.arange(intrinsics.height) + 0.5 + 2 * offset - intrinsics.cy) / intrinsics.fy
    grid = np.meshgrid(x, y)
    return np.stack([*grid, np.ones_like(grid[0])], axis=-1)


def _intersect(
    rays: NDArray[np.float64], corners: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intersect rays [N, 3] with z = 1 and planes of faces [N, 3 corners, 3]; return weights [N, 3] and z [N]."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    normal = np.cross(b - a, c - a)
    depth = (a * normal).sum(-1) / (rays * normal).sum(-1)
    point = rays * depth[:, None]
    # The weight of a corner is the area of the triangle between the point and the other two corners.
    parts = [np.cross(c - b, point - b), np.cross(a - c, point - c), np.cross(b - a, point - a)]
    weights = np.stack([(part * normal).sum(-1) for part in parts], axis=-1).clip(min=0)
    return weights / weights.sum(-1, keepdims=True), depth
