"""The `zbuffer` renderer: a z-buffer on the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ex4d_core.builtin import _rasterize
from ex4d_core.builtin.render_checks import check_view
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_shading import camera_position, finished
from ex4d_core.geometry.stretch import MAX_SHEAR, TOLERANCE
from ex4d_core.types import VISIBLE_ALPHA, Intrinsics, Mesh, RenderedFrame


class ZBufferRenderer:
    """Draws a mesh into a z-buffer; each thread draws a band of rows.

    Faces are two-sided and clipped at the near and far planes. The image does not depend on the number of threads. A
    renderer may be called from several threads at once.
    """

    def __init__(self, options: RasterOptions, *, device: torch.device) -> None:
        self._options = options
        self._bands = Bands(options.threads or available_cores())

    def render(self, mesh: Mesh, world_to_camera: Tensor, intrinsics: Intrinsics) -> RenderedFrame:
        """Render one view; see `ex4d_core.roles.Renderer`.

        Raises:
            InvalidInput: a face has an index that is not a vertex, or the pose is not 4 x 4.
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
        colors = _as_numpy(mesh.vertex_colors)
        if mesh.max_stretch is None:
            color, mask = drawing.shade(colors, _as_numpy(mesh.vertex_alpha()))
        else:
            color, mask = drawing.shade_stretched(
                colors,
                _as_numpy(mesh.vertices),
                _as_numpy(mesh.face_occluded),
                _as_numpy(mesh.max_stretch),
                camera=_as_numpy(camera_position(world_to_camera)),
            )
        parts = (color, mask, drawing.depth.astype(np.float32))
        color_out, mask_out, depth_out = (torch.from_numpy(part).to(mesh.device) for part in parts)
        return finished(color_out, mask_out, depth_out, min_patch=self._options.min_patch)


def rasterize(
    vertices_camera: NDArray[np.floating],
    faces: NDArray[np.int32],
    attributes: NDArray[np.float32],
    intrinsics: Intrinsics,
    near: float = 1e-3,
    far: float = 1e9,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Render arbitrary vertex attributes, with one thread.

    Args:
        vertices_camera: [V, 3], in the frame of the camera (x right, y down, z forward).
        faces: int32 [F, 3], indices of vertices.
        attributes: [V, C].
        intrinsics: of the camera; pixel (row i, column j) is sampled at (j + 0.5, i + 0.5).
        near: z of the near plane.
        far: z of the far plane.

    Returns:
        Perspective-correct attributes float32 [H, W, C], depth along z float32 [H, W] and face index int32 [H, W]; 0,
        inf and -1 in the background. At equal depth, the face with the lower index is drawn.

    Raises:
        InvalidInput: a face has an index that is not a vertex.
    """
    drawing = Drawing.of(
        vertices_camera, faces, pose=np.eye(4), intrinsics=intrinsics, near=near, far=far, bands=Bands(1)
    )
    return drawing.interpolate(attributes), drawing.depth.astype(np.float32), drawing.face_index


def available_cores() -> int:
    """Return the number of CPU cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Bands:
    """Splits work into equal parts, one for each thread."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="zbuffer") if threads > 1 else None

    def each(self, work: Callable[[int, int], None], size: int) -> None:
        """Call `work(start, stop)` for each part of 0..size, and wait for all."""
        if self._pool is None:
            work(0, size)
            return
        edges = [size * part // self._threads for part in range(self._threads + 1)]
        # list() waits for every part and raises errors.
        list(self._pool.map(work, edges[:-1], edges[1:]))


@attrs.frozen(eq=False, kw_only=True)
class Drawing:
    """The visible face of each pixel of a view."""

    depth: NDArray[np.float64]
    """float64 [H, W], inf in the background."""

    face_index: NDArray[np.int32]
    """int32 [H, W], -1 in the background."""

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
        """Return vertex attributes [V, C] at the pixels, float32 [H, W, C]; 0 in the background."""
        values = np.empty((*self.depth.shape, attributes.shape[1]), np.float32)

        def fill(first_row: int, end_row: int) -> None:
            _rasterize.interpolate_rows(
                self._prepared, self._faces, self.face_index, attributes, self._lens, first_row, end_row, values
            )

        self._bands.each(fill, len(values))
        return values

    def shade(self, colors: NDArray[np.uint8], alpha: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return color uint8 [H, W, 3] and mask bool [H, W] from vertex colors [V, 3] and alpha [V]."""
        loop = partial(
            _rasterize.shade_rows, self._prepared, self._faces, self.face_index, colors, alpha, VISIBLE_ALPHA
        )
        return self._fill_rows(loop)

    def shade_stretched(
        self,
        colors: NDArray[np.uint8],
        vertices: NDArray[np.float32],
        occluded: NDArray[np.bool_],
        max_stretch: NDArray[np.float32],
        *,
        camera: NDArray[np.float64],
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return color and mask as `shade`, from the fields of a mesh that has `max_stretch`; `camera` is [3]."""
        loop = partial(
            _rasterize.shade_stretched_rows,
            self._prepared,
            self._faces,
            self.face_index,
            colors,
            vertices,
            occluded,
            max_stretch,
            (MAX_SHEAR, TOLERANCE),
            camera,
        )
        return self._fill_rows(loop)

    def _fill_rows(self, loop: Callable[..., None]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        color = np.empty((*self.depth.shape, 3), np.uint8)
        mask = np.empty(self.depth.shape, np.bool_)
        self._bands.each(lambda first_row, end_row: loop(self._lens, first_row, end_row, color, mask), len(color))
        return color, mask


def _as_numpy(tensor: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
