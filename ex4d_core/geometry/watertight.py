"""Build a closed surface from a depth map, and mark its occluded faces.

The depth watertight mesh {V, F, T, O} of EX-4D (arXiv 2506.05554, section 3.2): each pixel is a vertex, each 2x2
block two faces, the outermost ring of pixels is moved behind the scene, and a cap closes the back. Faces across a
depth discontinuity are kept and marked as occluded, so that they hide the scene behind them. Thin things would hide too
much: they are drawn in pieces before the surface, see `thin_things`.

On a GPU no size depends on values, so nothing waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.errors import InvalidInput
from ex4d_core.geometry import thin_things
from ex4d_core.geometry.projective import ray_slopes
from ex4d_core.geometry.thin_things import Pieces
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.types import Intrinsics, Mesh
from ex4d_core.types._arrays import tensor_summary

Compute = Callable[..., tuple[Tensor, ...]]

BORDER_RATIO = 8.0
"""Automatic border depth, in largest depths of the frame, so that nothing depends on the unit of depth. A camera that
has turned around what is farthest is at twice its depth, still inside; with `FARTHEST`, the cap is still within
`far`."""

CAP_BULGE = 1.1
"""Depth of the middle of the cap over that of the ring, so that invalid pixels at the ring depth do not touch it."""

RING_MARGIN = 1 / 16
"""Pixels by which a stitched ring, and the edges of known regions, are moved outward, so that the outermost pixel
centers are inside; nvdiffrast rounds to 1/16."""

FARTHEST = 1e8
"""Larger depths are invalid, since the angle rule would overflow float32."""


def build_watertight(
    frame: Tensor,
    depth: Tensor,
    intrinsics: Intrinsics,
    options: WatertightOptions | None = None,
    *,
    valid: Tensor | None = None,
    compute: Compute | None = None,
) -> Mesh:
    """Return the depth watertight mesh of one frame, on the device of `depth`.

    Vertex i * W + j belongs to pixel (row i, column j); the stitched cap adds one behind the middle of the ring.
    Faces come in this order: the upper left ones of all blocks (lower left, upper left, upper right), the lower
    right ones (lower left, upper right, lower right), the cap. Invalid depth is treated like the ring: moved to
    the border depth, with all adjacent faces occluded. Pieces of thin things come last, with vertices of their own.

    Args:
        frame: uint8 [H, W, 3], sRGB.
        depth: [H, W] along +z of the camera; NaN, infinite, <= 0 and > `FARTHEST` count as unknown.
        intrinsics: of the source camera, for an image of W x H.
        options: the defaults when None.
        valid: bool [H, W], True where depth is known; None leaves that to `depth`.
        compute: calls `surface` with these options in another way.

    Raises:
        InvalidInput: sizes differ or the frame is smaller than 2x2.
    """
    options = options or WatertightOptions()
    _check_sizes(frame, depth, intrinsics, valid)
    device = depth.device
    arguments = (frame.to(device), depth.float(), None if valid is None else valid.to(device))
    slopes = _slopes(intrinsics, options, device)
    vertices, colors, occluded, *limits = (compute or partial(surface, options=options))(*arguments, *slopes)
    faces = mesh_faces(*depth.shape, options, device)
    return Mesh(
        vertices=vertices,
        # Renderers check a list that all frames share only once. On the CPU, it is longer than that of this frame.
        faces=faces if len(faces) == len(occluded) else faces[: len(occluded)],
        vertex_colors=colors,
        face_occluded=occluded,
        max_stretch=limits[0] if limits else None,
    )


def surface(
    frame: Tensor, depth: Tensor, valid: Tensor | None, x: Tensor, y: Tensor, *, options: WatertightOptions
) -> tuple[Tensor, ...]:
    """Return the vertices, colors, occluded faces and, with `max_stretch`, largest stretches of a mesh.

    Args:
        frame: uint8 [H, W, 3].
        depth: float32 [H, W].
        valid: bool [H, W] or None.
        x: x / z of the columns, [W].
        y: y / z of the rows, [H].
        options: the options.
    """
    known = (depth > 0) & (depth <= FARTHEST)  # also False for NaN
    if valid is not None:
        known &= valid
    points, border = _grid_points(depth, known, x, y, options)
    hidden = _occluded_blocks(points, options)
    unknown = thin_things.faces_of(~known)
    hidden |= unknown
    if options.cap == "stitched":
        _set_ring(hidden)
    cap_occluded = _cap_occluded(points, options)
    if radius := _thin_radius(depth.shape[0], depth.shape[1], options):
        pieces, frame = _take_out_thin(points, frame, known, hidden, unknown, x, y, radius)
    else:
        pieces = thin_things.no_pieces(depth.device)
    if options.cap == "stitched":
        _widen_known(points, known, x, y)
    unseen = torch.cat([unknown.flatten(), torch.ones_like(cap_occluded), pieces.unseen])
    return (
        torch.cat([points.view(3, -1).T, _cap_vertices(points, border, options), pieces.vertices]),
        torch.cat([_colors(frame, _pixel_alpha(hidden), options), pieces.colors]),
        torch.cat([hidden.flatten(), cap_occluded, pieces.occluded]),
        *([~unseen * options.max_stretch] if options.max_stretch else []),
    )


def _take_out_thin(
    points: Tensor,
    frame: Tensor,
    known: Tensor,
    hidden: Tensor,
    unknown: Tensor,
    x: Tensor,
    y: Tensor,
    radius: int,
) -> tuple[Pieces, Tensor]:
    """Return the pieces of thin things, and the frame for the surface, uint8 [H, W, 3].

    Thin pixels of the surface are moved behind the things, where no camera sees them: this changes `points`, `hidden`
    and `unknown`.
    """
    thin = thin_things.find(points[2], known, radius)
    chosen = thin_things.choose(thin.clear)
    pixel = (x[-1] - x[0]) / (len(x) - 1)
    pieces = thin_things.pieces(points, frame, chosen, hidden, unknown, radius=radius, pixel=pixel)
    points[2] = torch.where(chosen.pixels | (thin.pixels & ~thin.clear), thin.behind, points[2])
    torch.mul(x, points[2], out=points[0])
    torch.mul(y[:, None], points[2], out=points[1])
    at_thin = thin_things.faces_of(chosen.pixels)
    hidden |= at_thin
    unknown |= at_thin
    return pieces, thin_things.without_mixtures(frame, thin, chosen)


def _thin_radius(height: int, width: int, options: WatertightOptions) -> int:
    """Return the radius for `thin_things`, 0 if nothing is taken out, as from pictures too small to tell."""
    pixels = options.thin_width / 100 * max(height, width)
    return thin_things.radius_of(pixels) if options.max_stretch and pixels >= 2 else 0


@lru_cache(maxsize=4)
def mesh_faces(height: int, width: int, options: WatertightOptions, device: torch.device) -> Tensor:
    """Return the faces of the meshes of a size, int32 [F, 3], with as many pieces of thin things as there can be.

    The result is cached: do not modify it.
    """
    faces = grid_faces(height, width, options.cap, device)
    if not _thin_radius(height, width, options):
        return faces
    first = height * width + (options.cap == "stitched")
    return torch.cat([faces, thin_things.piece_faces(thin_things.count(height, width), first).to(device)])


@lru_cache(maxsize=4)
def grid_faces(height: int, width: int, cap: str, device: torch.device) -> Tensor:
    """Return the faces of a grid of H x W vertices and its cap, int32 [F, 3].

    With F = 2 (H-1) (W-1) + 2 (H-1) + 2 (W-1) for a stitched cap, or + 2 for one between the corners. All faces have
    the same orientation. The result is cached: do not modify it.
    """
    index = torch.arange(height * width, dtype=torch.int32).view(height, width)
    upper_left, upper_right = index[:-1, :-1], index[:-1, 1:]
    lower_left, lower_right = index[1:, :-1], index[1:, 1:]
    faces = [
        torch.stack([lower_left, upper_left, upper_right], dim=-1).view(-1, 3),
        torch.stack([lower_left, upper_right, lower_right], dim=-1).view(-1, 3),
        _fan(index) if cap == "stitched" else _corner_faces(index),
    ]
    return torch.cat(faces).to(device)


def _fan(index: Tensor) -> Tensor:
    """Return the faces that connect each edge of the ring to one additional vertex."""
    ring = torch.cat([index[0, :-1], index[:-1, -1], index[-1].flip(0)[:-1], index[:, 0].flip(0)[:-1]])
    center = torch.full_like(ring, index.numel())
    # Faces of the grid follow their edges in ring order; faces on the other side must use the opposite order.
    return torch.stack([ring.roll(-1), ring, center], dim=-1)


def _corner_faces(index: Tensor) -> Tensor:
    """Return the cap of EX-4D."""
    upper_left, upper_right, lower_left, lower_right = (int(index[i, j]) for i in (0, -1) for j in (0, -1))
    faces = [[upper_right, upper_left, lower_right], [lower_right, upper_left, lower_left]]
    return torch.tensor(faces, dtype=torch.int32)


def _check_sizes(frame: Tensor, depth: Tensor, intrinsics: Intrinsics, valid: Tensor | None) -> None:
    if depth.ndim != 2 or min(depth.shape) < 2:
        raise InvalidInput(
            f"a mesh needs a depth map [H, W] of at least 2x2 pixels, not {list(depth.shape)}; use a larger frame"
        )
    height, width = depth.shape
    if tuple(frame.shape) != (height, width, 3) or frame.dtype != torch.uint8:
        raise InvalidInput(
            f"the frame must be uint8 [{height}, {width}, 3] as its depth is {width}x{height}, "
            f"not {tensor_summary(frame)}; resize one to the other"
        )
    if (intrinsics.width, intrinsics.height) != (width, height):
        raise InvalidInput(
            f"the intrinsics are for {intrinsics.width}x{intrinsics.height} but the depth is {width}x{height}; "
            "scale one to the other"
        )
    if valid is not None and (valid.shape != depth.shape or valid.dtype != torch.bool):
        raise InvalidInput(
            f"the mask of valid depth must be bool [{height}, {width}], not {tensor_summary(valid)}"
            "; derive it from the depth"
        )


def _set_ring(blocks: Tensor) -> None:
    """Set the faces of the outermost blocks, [2, H-1, W-1], to True."""
    blocks[:, 0] = blocks[:, -1] = blocks[:, :, 0] = blocks[:, :, -1] = True


@lru_cache(maxsize=4)
def _slopes(intrinsics: Intrinsics, options: WatertightOptions, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return x / z of the columns [W] and y / z of the rows [H], with a stitched ring moved by `RING_MARGIN`."""
    slopes = []
    for along, focal in zip(
        ray_slopes(intrinsics, options.pixel_center, torch.device("cpu")), (intrinsics.fx, intrinsics.fy), strict=True
    ):
        moved = along.clone()
        if options.cap == "stitched":
            moved[0] -= RING_MARGIN / focal
            moved[-1] += RING_MARGIN / focal
        slopes.append(moved.to(device))
    return slopes[0], slopes[1]


def _grid_points(
    depth: Tensor, known: Tensor, x: Tensor, y: Tensor, options: WatertightOptions
) -> tuple[Tensor, Tensor]:
    """Return the points of the grid, [3, H, W], one plane per axis, and the border depth, []."""
    zero = depth.new_zeros(())
    if options.border_depth is None:
        border = BORDER_RATIO * torch.where(known, depth, zero).amax()
        border = torch.where(border > 0, border, zero + 1)
    else:
        border = zero + options.border_depth
    points = depth.new_empty(3, *depth.shape)
    z = points[2]
    z[:] = border
    z[1:-1, 1:-1] = torch.where(known, depth, border)[1:-1, 1:-1]
    torch.mul(x, z, out=points[0])
    torch.mul(y[:, None], z, out=points[1])
    return points, border


def _widen_known(points: Tensor, known: Tensor, x: Tensor, y: Tensor) -> None:
    """Move known pixels beside unknown ones toward these by `RING_MARGIN`: this changes `points`, [3, H, W].

    Otherwise, their centers are on the edge between visible and hidden faces, and rounding decides which is seen.
    """
    unknown = functional.pad((~known).float(), (1, 1, 1, 1))
    rows = unknown[:-2] + unknown[1:-1] + unknown[2:]
    columns = unknown[:, :-2] + unknown[:, 1:-1] + unknown[:, 2:]
    step = RING_MARGIN * points[2] * known
    points[0] += (rows[:, 2:] - rows[:, :-2]).sign_() * step * ((x[-1] - x[0]) / (len(x) - 1))
    points[1] += (columns[2:] - columns[:-2]).sign_() * step * ((y[-1] - y[0]) / (len(y) - 1))


def _cap_vertices(points: Tensor, border: Tensor, options: WatertightOptions) -> Tensor:
    """Return the vertex behind the middle of the ring of a stitched cap, [1, 3], otherwise [0, 3]."""
    if options.cap != "stitched":
        return points.new_zeros(0, 3)
    middle = points[:, :: points.shape[1] - 1, :: points.shape[2] - 1].mean(dim=(1, 2))
    return torch.cat([middle[:2], (CAP_BULGE * border)[None]])[None]


def _colors(frame: Tensor, alpha: Tensor, options: WatertightOptions) -> Tensor:
    if options.hidden_colors == "black":
        frame = frame * alpha[..., None]
    colors = frame.reshape(-1, 3)
    return torch.cat([colors, colors.new_zeros(1, 3)]) if options.cap == "stitched" else colors


def _occluded_blocks(points: Tensor, options: WatertightOptions) -> Tensor:
    """Return bool [2, H-1, W-1]: whether the upper left and the lower right face of each block is occluded."""
    return _sharp(points, options.min_angle) if options.occlusion == "angle" else _steep(points, options.max_slope)


def _sharp(points: Tensor, min_angle: float) -> Tensor:
    """Return bool [2, H-1, W-1]: faces whose smallest interior angle is below `min_angle` degrees.

    The smallest angle is between the two longer edges b and c, and at most 60 degrees, so it is compared by its sine:
    |b x c|^2 < sin^2 |b|^2 |c|^2, where |b x c| is the same for any two edges and |b|^2 |c|^2 is the product of the
    longer edges' squares.
    """
    across = points[:, :, 1:] - points[:, :, :-1]
    down = points[:, 1:] - points[:, :-1]
    across2 = _squared_length(across)
    down2 = _squared_length(down)
    diagonal2 = _squared_length(points[:, 1:, :-1] - points[:, :-1, 1:])
    hidden = torch.empty(2, *diagonal2.shape, dtype=torch.bool, device=points.device)
    sine2 = math.sin(math.radians(min_angle)) ** 2
    for face, rows, columns in ((0, slice(None, -1), slice(None, -1)), (1, slice(1, None), slice(1, None))):
        a, b = across2[rows], down2[:, columns]
        shorter, longer = torch.minimum(a, b), torch.maximum(a, b)
        # Of any three numbers, the largest two multiply to max(a, b) * max(min(a, b), c).
        longest_two = longer.mul_(torch.maximum(shorter, diagonal2))
        area2 = _squared_length_of_cross(across[:, rows], down[:, :, columns])
        torch.lt(area2, longest_two.mul_(sine2), out=hidden[face])
    return hidden


def _squared_length(vectors: Tensor) -> Tensor:
    x, y, z = vectors.unbind()
    return (x * x).addcmul_(y, y).addcmul_(z, z)


def _squared_length_of_cross(a: Tensor, b: Tensor) -> Tensor:
    x = (a[1] * b[2]).addcmul_(a[2], b[1], value=-1)
    y = (a[2] * b[0]).addcmul_(a[0], b[2], value=-1)
    z = (a[0] * b[1]).addcmul_(a[1], b[0], value=-1)
    return x.mul_(x).addcmul_(y, y).addcmul_(z, z)


def _steep(points: Tensor, max_slope: float) -> Tensor:
    """Return bool [2, H-1, W-1]: faces whose extent in z is over `max_slope` times their larger one in x and y."""
    upper_left, upper_right = points[:, :-1, :-1], points[:, :-1, 1:]
    lower_left, lower_right = points[:, 1:, :-1], points[:, 1:, 1:]
    low, high = torch.minimum(lower_left, upper_right), torch.maximum(lower_left, upper_right)
    hidden = []
    for corner in (upper_left, lower_right):
        x, y, z = torch.maximum(high, corner) - torch.minimum(low, corner)
        hidden.append(z > max_slope * torch.maximum(x, y))
    return torch.stack(hidden)


def _cap_occluded(points: Tensor, options: WatertightOptions) -> Tensor:
    """Return bool [faces of the cap]; the option `occlusion` also applies to a cap between the corners, as in EX-4D."""
    height, width = points.shape[1:]
    if options.cap == "stitched":
        return torch.ones(2 * (height + width - 2), dtype=torch.bool, device=points.device)
    corners = points[:, :: height - 1, :: width - 1].flip(2)
    return _occluded_blocks(corners, options).flatten()


def _pixel_alpha(hidden: Tensor) -> Tensor:
    """Return bool [H, W], False at the corners of occluded faces: `Mesh.vertex_alpha`, computed from slices."""
    upper_left, lower_right = hidden
    either = upper_left | lower_right
    alpha = torch.ones(either.shape[0] + 1, either.shape[1] + 1, dtype=torch.bool, device=hidden.device)
    alpha[:-1, :-1] &= ~upper_left
    alpha[1:, 1:] &= ~lower_right
    alpha[1:, :-1] &= ~either
    alpha[:-1, 1:] &= ~either
    return alpha
