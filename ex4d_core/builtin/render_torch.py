"""The `torch` renderer: plain PyTorch for any GPU."""

from __future__ import annotations

import importlib.util

import attrs
import torch
from torch import Tensor

from ex4d_core.builtin.render_checks import ViewCheck, empty_view
from ex4d_core.builtin.render_options import TorchOptions
from ex4d_core.builtin.render_shading import finished, shade
from ex4d_core.types import Intrinsics, Mesh, RenderedFrame

_FACES_AT_ONCE = 1 << 21
"""Number of faces drawn at once, which bounds memory."""

_NOTHING = torch.iinfo(torch.int64).max
_SLACK = 1e-4
"""Margin in pixels of the bounds of a face, so that pixel centers on an edge are not lost to rounding."""


class TorchRenderer:
    """Draws a mesh with PyTorch operations that every device supports, or with equivalent Triton kernels.

    A face is split into the rows that it covers, and a row into the pixels between the edges of the face. Each pixel
    gets the smallest key of depth and face, in any order of drawing. The cost is proportional to the covered pixels,
    not to the bounding box, so long thin faces are cheap.

    The rules are those of `_rasterize.py`: homogeneous edge functions, so that faces that cross the near plane are
    clipped exactly, and two-sided faces.
    """

    def __init__(self, options: TorchOptions, *, device: torch.device) -> None:
        self._options = options
        self._check = ViewCheck()
        self._triton = options.triton and importlib.util.find_spec("triton") is not None

    def render(self, mesh: Mesh, world_to_camera: Tensor, intrinsics: Intrinsics) -> RenderedFrame:
        """Render one view; see `ex4d_core.roles.Renderer`.

        Raises:
            InvalidInput: a face has an index that is not a vertex, or the pose is not 4 x 4.
        """
        self._check(mesh, world_to_camera)
        if not len(mesh.faces):
            return empty_view(intrinsics.height, intrinsics.width, mesh.device)
        near, far = self._options.near, self._options.far
        if self._triton and mesh.device.type == "cuda":
            from ex4d_core.builtin import _raster_kernels

            if _raster_kernels.works(mesh.device):
                parts = _raster_kernels.render(mesh, world_to_camera, intrinsics, near, far)
                return finished(*parts, min_patch=self._options.min_patch)
        # Apple GPUs have no float64; elsewhere it is needed for faces that extend far beyond the image.
        dtype = torch.float32 if mesh.device.type == "mps" else torch.float64
        pose = world_to_camera.to(mesh.device, dtype)
        points = mesh.vertices.to(dtype) @ pose[:3, :3].T + pose[:3, 3]
        view = _View(intrinsics=intrinsics, near=near, far=far, points=points)
        keys = torch.full((intrinsics.height * intrinsics.width,), _NOTHING, device=mesh.device)
        for start in range(0, len(mesh.faces), _FACES_AT_ONCE):
            _draw(view, mesh.faces[start : start + _FACES_AT_ONCE].long(), start, keys)
        return _shaded(view, mesh, keys, world_to_camera, self._options.min_patch)


@attrs.frozen(eq=False, kw_only=True)
class _View:
    """A camera and the vertices in its frame."""

    intrinsics: Intrinsics
    near: float
    far: float
    points: Tensor
    """[V, 3]."""

    def rays_x(self, columns: Tensor) -> Tensor:
        """Return x / z of the rays through the centers of pixel columns."""
        return (columns.to(self.points.dtype) + (0.5 - self.intrinsics.cx)) / self.intrinsics.fx

    def rays_y(self, rows: Tensor) -> Tensor:
        """Return y / z of the rays through the centers of pixel rows."""
        return (rows.to(self.points.dtype) + (0.5 - self.intrinsics.cy)) / self.intrinsics.fy


@attrs.frozen(eq=False, kw_only=True)
class _Edges:
    """The edge functions of faces: a ray r is inside where r . normal >= 0 for all three."""

    normals: Tensor
    """[3, 3, N]: edge opposite to vertex a, b, c; its x, y, z; face."""
    depths: Tensor
    """[3, N]: z of a, b, c."""

    @classmethod
    def of(cls, view: _View, faces: Tensor) -> _Edges:
        """Return the edge functions of faces [N, 3]."""
        corners = view.points[faces]  # [N, 3, 3]
        ends = [(1, 2), (2, 0), (0, 1)]
        normals = torch.stack([_cross(corners, faces, p, q) for p, q in ends])
        volume = (normals[0] * corners[:, 0].T).sum(dim=0)
        return cls(normals=normals * volume.sign(), depths=corners[..., 2].T)

    def at(self, faces: Tensor, rays_x: Tensor, rays_y: Tensor) -> Tensor:
        """Return the three edge functions [3, N] of some of the faces at rays (x, y, 1)."""
        picked = self.normals[:, :, faces]
        return picked[:, 0] * rays_x + (picked[:, 1] * rays_y + picked[:, 2])


def _cross(corners: Tensor, faces: Tensor, p: int, q: int) -> Tensor:
    """Return the cross products p x q of two corners, [3, N].

    Computed as p x (q - p), which avoids cancellation, and from the vertex with the lower index to the other, so that
    two faces at an edge get exact negatives and there is no crack between them.
    """
    swap = (faces[:, p] > faces[:, q])[:, None]
    first = torch.where(swap, corners[:, q], corners[:, p])
    second = torch.where(swap, corners[:, p], corners[:, q])
    normal = torch.linalg.cross(first, second - first)
    return torch.where(swap, -normal, normal).T


def _draw(view: _View, faces: Tensor, first_face: int, keys: Tensor) -> None:
    """Lower `keys` int64 [H * W] to the nearest of these faces [N, 3]; `first_face` is the index of the first."""
    windows, seen = _windows(view, faces)
    kept = seen.nonzero().squeeze(1)
    left, right, top, bottom = windows[:, kept]
    edges = _Edges.of(view, faces[kept])
    face, row = _spread(top, bottom)
    start, stop = _spans(view, edges, face, row, left[face], right[face])
    line, column = _spread(start, stop)
    face, row = face[line], row[line]
    inside = edges.at(face, view.rays_x(column), view.rays_y(row))
    z = (inside * edges.depths[:, face]).sum(dim=0) / inside.sum(dim=0)
    hit = (inside >= 0).all(dim=0) & (z >= view.near) & (z <= view.far)
    # The bits of positive floats sort as the floats.
    key = (z.float().view(torch.int32).long() << 32) | (kept[face] + first_face)
    pixel = row * view.intrinsics.width + column
    keys.scatter_reduce_(0, pixel, torch.where(hit, key, _NOTHING), "amin")


def _windows(view: _View, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Return bounds of the part of each face beyond the near plane: first and last column, first and last row [4, N].

    Also return bool [N]: whether the bounds contain a pixel of the image.
    """
    camera = view.intrinsics
    points = view.points
    u = camera.fx * points[:, 0] / points[:, 2] + camera.cx
    v = camera.fy * points[:, 1] / points[:, 2] + camera.cy
    fu, fv, beyond = u[faces], v[faces], (points[:, 2] >= view.near)[faces]
    bounds = torch.stack([fu.amin(1), fu.amax(1), fv.amin(1), fv.amax(1)])
    seen = beyond.all(dim=1)
    crossing = (beyond.any(dim=1) & ~seen).nonzero().squeeze(1)
    bounds[:, crossing] = _bounds_beyond_near(view, faces[crossing], beyond[crossing])
    seen[crossing] = True
    last = torch.tensor([camera.width, camera.width, camera.height, camera.height], device=points.device) - 1
    low, high = (bounds[::2] - (0.5 + _SLACK)).ceil(), (bounds[1::2] - (0.5 - _SLACK)).floor()
    low, high = low.clamp_min(0), torch.minimum(high, last[::2, None])
    # NaN from vertices that are not finite fails both comparisons.
    seen &= (low <= high).all(dim=0) & (low >= 0).all(dim=0)
    windows = torch.stack([low[0], high[0], low[1], high[1]]).nan_to_num(0, 0, 0)
    return windows.clamp(-1, 1 << 30).long(), seen


def _bounds_beyond_near(view: _View, faces: Tensor, beyond: Tensor) -> Tensor:
    """Return left, right, top, bottom [4, N] in pixels of the part of faces beyond the near plane, with a margin."""
    camera, corners = view.intrinsics, view.points[faces]
    following = corners.roll(-1, dims=1)
    t = (view.near - corners[..., 2]) / (following[..., 2] - corners[..., 2])
    cuts = corners + t[..., None] * (following - corners)
    cut = beyond != beyond.roll(-1, dims=1)
    points = torch.cat([corners, cuts], dim=1)
    valid = torch.cat([beyond, cut], dim=1)
    z = torch.where(valid, points[..., 2], 1).clamp_min(view.near)
    u = camera.fx * points[..., 0] / z + camera.cx
    v = camera.fy * points[..., 1] / z + camera.cy
    infinity = torch.inf
    low = [torch.where(valid, x, infinity).amin(1) - 1 for x in (u, v)]
    high = [torch.where(valid, x, -infinity).amax(1) + 1 for x in (u, v)]
    return torch.stack([low[0], high[0], low[1], high[1]])


def _spread(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Expand ranges first..last [N]; return the range and the value of each element, int64 [sum of lengths]."""
    lengths = (last - first + 1).clamp_min(0)
    which = torch.repeat_interleave(lengths)
    starts = first - (lengths.cumsum(0) - lengths)
    return which, torch.arange(len(which), device=first.device) + starts[which]


def _spans(view: _View, edges: _Edges, face: Tensor, row: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and last column [N] that a face may cover in a row, within left..right, with a margin."""
    camera = view.intrinsics
    normals = edges.normals[:, :, face]
    slope = normals[:, 0]
    root = -(normals[:, 1] * view.rays_y(row) + normals[:, 2]) / slope
    root = root * camera.fx + (camera.cx - 0.5)
    low = torch.where(slope > 0, root, -torch.inf).amax(dim=0)
    high = torch.where(slope < 0, root, torch.inf).amin(dim=0)
    start = torch.maximum(left, low.nan_to_num(-1, 1 << 30, -1).clamp(-1, 1 << 30).ceil().long() - 1)
    stop = torch.minimum(right, high.nan_to_num(1 << 30, 1 << 30, -2).clamp(-2, 1 << 30).floor().long() + 1)
    return start, stop


def _shaded(view: _View, mesh: Mesh, keys: Tensor, world_to_camera: Tensor, min_patch: int) -> RenderedFrame:
    """Return color, mask and depth of the nearest faces."""
    height, width = view.intrinsics.height, view.intrinsics.width
    nothing = keys == _NOTHING
    face = torch.where(nothing, -1, keys & 0xFFFFFFFF)
    pixel = torch.arange(len(keys), device=keys.device)
    edges = _Edges.of(view, mesh.faces[face.clamp_min(0)].long())
    weights = edges.at(pixel, view.rays_x(pixel % width), view.rays_y(pixel // width))
    weights = (weights / weights.sum(dim=0)).T
    depth = torch.where(nothing, torch.inf, (keys >> 32).to(torch.int32).view(torch.float32))
    size = (height, width)
    return shade(mesh, face.view(size), weights.view(*size, 3), depth.view(size), world_to_camera, min_patch=min_patch)
