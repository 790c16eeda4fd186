"""The `zbuffer` renderer: a z-buffer on the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ex4d_core.builtin import _rasterize
from ex4d_core.builtin.render_checks import check_view
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.types import VISIBLE_ALPHA, Intrinsics, Mesh, RenderedFrame


class ZBufferRenderer:
    """Draws a mesh into a z-buffer, each thread its own band of rows.

    Faces are seen from both sides and cut at the near and far planes. The picture does not depend on the number
    of threads. One renderer may be called from several threads at once.
    """

    def __init__(self, options: RasterOptions, *, device: torch.device) -> None:
        self._options = options
        self._bands = Bands(options.threads or available_cores())

    def render(self, mesh: Mesh, world_to_camera: Tensor, intrinsics: Intrinsics) -> RenderedFrame:
        """Return what the camera sees, as `ex4d_core.roles.Renderer` says.

        Raises:
            InvalidInput: a face names a vertex that does not exist, or the pose is not 4 x 4.
        """
        drawing = Drawing.of(
            _as_numpy(mesh.vertices),
            _as_numpy(mesh.faces),
            pose=_as_numpy(world_to_camera),
            intrinsics=intrinsics,
            near=self._options.near,
            far=self._options.far,
            bands=self._bands,
        )
        color, mask = drawing.shade(_as_numpy(mesh.vertex_colors), _as_numpy(mesh.vertex_alpha()))
        depth = drawing.depth.astype(np.float32)
        color_out, mask_out, depth_out = (torch.from_numpy(a).to(mesh.device) for a in (color, mask, depth))
        return RenderedFrame(color=color_out, mask=mask_out, depth=depth_out)


def rasterize(
    vertices_camera: NDArray[np.floating],
    faces: NDArray[np.int32],
    attributes: NDArray[np.float32],
    intrinsics: Intrinsics,
    near: float = 1e-3,
    far: float = 1e9,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Return any vertex attributes as a camera sees them, with one thread.

    Args:
        vertices_camera: [V, 3], in the camera's frame (x right, y down, z forward).
        faces: int32 [F, 3], indices of vertices.
        attributes: [V, C].
        intrinsics: of the camera; pixel (row i, column j) is sampled at (j + 0.5, i + 0.5).
        near: surfaces nearer than this along z are cut away.
        far: surfaces farther than this along z are cut away.

    Returns:
        Perspective-correct attributes float32 [H, W, C], 0 where nothing is; depth along z float32 [H, W], inf
        where nothing is; index of the face int32 [H, W], -1 where nothing is. The nearest face wins, and of two
        at the same depth the one that comes first.

    Raises:
        InvalidInput: a face names a vertex that does not exist.
    """
    drawing = Drawing.of(
        vertices_camera, faces, pose=np.eye(4), intrinsics=intrinsics, near=near, far=far, bands=Bands(1)
    )
    return drawing.interpolate(attributes), drawing.depth.astype(np.float32), drawing.face_index


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Bands:
    """Does work in as many equal parts as there are threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="zbuffer") if threads > 1 else None

    def each(self, work: Callable[[int, int], None], size: int) -> None:
        """Call `work(start, stop)` for the parts of 0..size and wait for all of them."""
        if self._pool is None:
            work(0, size)
            return
        edges = [size * part // self._threads for part in range(self._threads + 1)]
        # list() waits for every part, and lets an error out.
        list(self._pool.map(work, edges[:-1], edges[1:]))


@attrs.frozen(eq=False, kw_only=True)
class Drawing:
    """Which face each pixel of a view shows, ready to be colored."""

    depth: NDArray[np.float64]
    """float64 [H, W], inf where nothing is."""

    face_index: NDArray[np.int32]
    """int32 [H, W], -1 where nothing is."""

    _faces: NDArray[np.int32]
    _prepared: NDArray[np.float64]
    _lens: _rasterize.Lens
    _bands: Bands

    @classmethod
    def of(
        cls,
        vertices: NDArray[np.floating],
        faces: NDArray[np.int32],
        *,
        pose: NDArray[np.floating],
        intrinsics: Intrinsics,
        near: float,
        far: float,
        bands: Bands,
    ) -> Drawing:
        """Find the nearest face at each pixel of a camera whose world-to-camera matrix [4, 4] is `pose`."""
        check_view(len(vertices), torch.from_numpy(faces), pose.shape)
        lens = (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy)
        rotation, translation = pose[:3, :3].astype(np.float64), pose[:3, 3].astype(np.float64)
        prepared = np.empty((len(vertices), 5))
        depth = np.empty((intrinsics.height, intrinsics.width))
        face_index = np.empty(depth.shape, np.int32)

        def prepare(start: int, stop: int) -> None:
            _rasterize.prepare_vertices(vertices, rotation, translation, lens, start, stop, prepared)

        def raster(first_row: int, end_row: int) -> None:
            _rasterize.raster_rows(prepared, faces, near, far, lens, first_row, end_row, depth, face_index)

        bands.each(prepare, len(vertices))
        bands.each(raster, intrinsics.height)
        return cls(depth=depth, face_index=face_index, faces=faces, prepared=prepared, lens=lens, bands=bands)

    def interpolate(self, attributes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vertices' attributes [V, C] at the pixels, float32 [H, W, C]; 0 where nothing is."""
        values = np.empty((*self.depth.shape, attributes.shape[1]), np.float32)

        def fill(first_row: int, end_row: int) -> None:
            _rasterize.interpolate_rows(
                self._prepared, self._faces, self.face_index, attributes, self._lens, first_row, end_row, values
            )

        self._bands.each(fill, len(values))
        return values

    def shade(self, colors: NDArray[np.uint8], alpha: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return color uint8 [H, W, 3] and mask bool [H, W] from the vertices' colors [V, 3] and alpha [V]."""
        color = np.empty((*self.depth.shape, 3), np.uint8)
        mask = np.empty(self.depth.shape, np.bool_)

        def fill(first_row: int, end_row: int) -> None:
            _rasterize.shade_rows(
                self._prepared,
                self._faces,
                self.face_index,
                colors,
                alpha,
                VISIBLE_ALPHA,
                self._lens,
                first_row,
                end_row,
                color,
                mask,
            )

        self._bands.each(fill, len(color))
        return color, mask


def _as_numpy(tensor: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
