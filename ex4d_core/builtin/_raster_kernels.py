"""Inner loops of the GPU renderer as Triton kernels; with the rules of `render_torch.py`.

Small faces are drawn by one lane each, pixel after pixel. The others are put into a queue on the GPU, from which
programs take them and draw blocks of rows between the face's edges. Nothing waits for the host. Faces arrive in any
order, but the smallest key of depth and face does not depend on it.

A point is (x, y, z, u, v), float64: its place in the camera's frame and, where z > 0, in the image. `view` holds
near, far, fx, fy, cx, cy as float64, because Triton's own scalars are float32.
"""

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from ex4d_core.builtin.render_shading import camera_position
from ex4d_core.geometry.stretch import MAX_SHEAR, TOLERANCE
from ex4d_core.types import VISIBLE_ALPHA, Intrinsics, Mesh

_NOTHING = tl.constexpr(0x7FFFFFFFFFFFFFFF)
_SLACK = tl.constexpr(1e-4)
_SMALL = 64
"""Largest number of pixels in the bounds of a face that one lane draws."""
_LANES = 128
_ROWS, _COLUMNS = 8, 4
"""Pixels of a queued face that a program draws at once: one warp, tall since thin faces are mostly vertical."""
_TAKERS = 4096
"""Number of programs that process the queue."""


@lru_cache(maxsize=8)
def works(device: torch.device) -> bool:
    """Return whether Triton can compile and launch a kernel here; it needs a C compiler and Python's headers."""
    numbers = torch.zeros(12, dtype=torch.float64, device=device)
    try:
        with torch.cuda.device(device):
            _project[(1,)](numbers, numbers, numbers, numbers, 0, LANES=256)
    except Exception:  # errors of the compiler, the linker or the driver
        return False
    return True


def render(mesh: Mesh, pose: Tensor, intrinsics: Intrinsics, near: float, far: float) -> tuple[Tensor, Tensor, Tensor]:
    """Render a mesh on a CUDA device; `pose` is [4, 4], world to camera.

    Return color uint8 [H, W, 3] of visible and hidden faces, the mask bool [H, W] and depth float32 [H, W].
    """
    device, height, width = mesh.device, intrinsics.height, intrinsics.width
    num_vertices, num_faces = len(mesh.vertices), len(mesh.faces)
    view = _view(intrinsics, near, far, device)
    stretches = mesh.max_stretch is not None
    camera = camera_position(pose).to(device, non_blocking=True)
    pose = pose.to(device, torch.float64, non_blocking=True).contiguous()
    points = torch.empty(num_vertices, 5, dtype=torch.float64, device=device)
    keys = torch.full((height, width), _NOTHING.value, dtype=torch.int64, device=device)
    alphas = torch.ones(num_vertices, dtype=torch.uint8, device=device)
    queue = torch.empty(num_faces, dtype=torch.int32, device=device)
    queued = torch.zeros(1, dtype=torch.int32, device=device)
    vertices, faces = mesh.vertices.contiguous(), mesh.faces.contiguous()
    with torch.cuda.device(device):
        _project[(triton.cdiv(num_vertices, 256),)](vertices, view, pose, points, num_vertices, LANES=256)
        occluded = mesh.face_occluded.contiguous().view(torch.uint8)
        _draw_small[(triton.cdiv(num_faces, _LANES),)](
            points, faces, view, occluded, keys, alphas, queue, queued, num_faces, height, width,
            ALPHAS=not stretches, SMALL=_SMALL, LANES=_LANES,
        )  # fmt: skip
        _draw_queued[(_TAKERS,)](
            points, faces, view, keys, queue, queued, height, width,
            TAKERS=_TAKERS, ROWS=_ROWS, COLUMNS=_COLUMNS, num_warps=1,
        )  # fmt: skip
        color = torch.empty(height, width, 3, dtype=torch.uint8, device=device)
        mask = torch.empty(height, width, dtype=torch.bool, device=device)
        depth = torch.empty(height, width, dtype=torch.float32, device=device)
        limits = alphas if mesh.max_stretch is None else mesh.max_stretch.contiguous()
        colors, shown = mesh.vertex_colors.contiguous(), mask.view(torch.uint8)
        _shade[(triton.cdiv(height * width, 256),)](
            points, faces, view, keys, colors, alphas, vertices, occluded, limits, camera,
            color, shown, depth, height * width, width,
            STRETCHES=stretches, VISIBLE_ALPHA=VISIBLE_ALPHA, MAX_SHEAR=MAX_SHEAR, TOLERANCE=TOLERANCE, LANES=256,
        )  # fmt: skip
    return color, mask, depth


@lru_cache(maxsize=8)
def _view(intrinsics: Intrinsics, near: float, far: float, device: torch.device) -> Tensor:
    camera = [near, far, intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy]
    return torch.tensor(camera, dtype=torch.float64).to(device)


@triton.jit
def _project(vertices, view, pose, points, count, LANES: tl.constexpr):
    """Transform vertices into the frame of the camera and project them."""
    i = tl.program_id(0) * LANES + tl.arange(0, LANES)
    live = i < count
    vx = tl.load(vertices + 3 * i, mask=live, other=0).to(tl.float64)
    vy = tl.load(vertices + 3 * i + 1, mask=live, other=0).to(tl.float64)
    vz = tl.load(vertices + 3 * i + 2, mask=live, other=0).to(tl.float64)
    x = tl.load(pose) * vx + tl.load(pose + 1) * vy + tl.load(pose + 2) * vz + tl.load(pose + 3)
    y = tl.load(pose + 4) * vx + tl.load(pose + 5) * vy + tl.load(pose + 6) * vz + tl.load(pose + 7)
    z = tl.load(pose + 8) * vx + tl.load(pose + 9) * vy + tl.load(pose + 10) * vz + tl.load(pose + 11)
    tl.store(points + 5 * i, x, mask=live)
    tl.store(points + 5 * i + 1, y, mask=live)
    tl.store(points + 5 * i + 2, z, mask=live)
    tl.store(points + 5 * i + 3, tl.load(view + 2) * x / z + tl.load(view + 4), mask=live)
    tl.store(points + 5 * i + 4, tl.load(view + 3) * y / z + tl.load(view + 5), mask=live)


@triton.jit
def _corner(points, index, live):
    """Return x, y, z, u, v of vertices."""
    at = points + 5 * index
    return (
        tl.load(at, mask=live, other=0),
        tl.load(at + 1, mask=live, other=0),
        tl.load(at + 2, mask=live, other=0),
        tl.load(at + 3, mask=live, other=0),
        tl.load(at + 4, mask=live, other=0),
    )


@triton.jit
def _cut(xa, ya, za, xb, yb, zb, near, fx, fy, cx, cy):
    """Return the image point at which an edge crosses the near plane, and whether it does."""
    crosses = (za >= near) != (zb >= near)
    share = (near - za) / tl.where(crosses, zb - za, 1.0)
    u = fx * (xa + share * (xb - xa)) / near + cx
    v = fy * (ya + share * (yb - ya)) / near + cy
    return u, v, crosses


@triton.jit
def _widened(low, high, value, there, margin):
    """Return bounds extended by a value where it is valid."""
    return tl.where(there, tl.minimum(low, value - margin), low), tl.where(
        there, tl.maximum(high, value + margin), high
    )


@triton.jit
def _window(points, a, b, c, view, live, height, width):
    """Return first and last column and row of the part of faces beyond the near plane; empty bounds end before 0."""
    near = tl.load(view)
    fx, fy, cx, cy = tl.load(view + 2), tl.load(view + 3), tl.load(view + 4), tl.load(view + 5)
    xa, ya, za, ua, va = _corner(points, a, live)
    xb, yb, zb, ub, vb = _corner(points, b, live)
    xc, yc, zc, uc, vc = _corner(points, c, live)
    # Bounds of faces that cross the near plane are inexact, hence the margin of a pixel.
    whole = (za >= near) & (zb >= near) & (zc >= near)
    margin = tl.where(whole, 0.0, 1.0)
    far_away = 1e30
    left, right = tl.zeros_like(za) + far_away, tl.zeros_like(za) - far_away
    top, bottom = left, right
    left, right = _widened(left, right, ua, za >= near, margin)
    left, right = _widened(left, right, ub, zb >= near, margin)
    left, right = _widened(left, right, uc, zc >= near, margin)
    top, bottom = _widened(top, bottom, va, za >= near, margin)
    top, bottom = _widened(top, bottom, vb, zb >= near, margin)
    top, bottom = _widened(top, bottom, vc, zc >= near, margin)
    u, v, crosses = _cut(xa, ya, za, xb, yb, zb, near, fx, fy, cx, cy)
    left, right = _widened(left, right, u, crosses, margin)
    top, bottom = _widened(top, bottom, v, crosses, margin)
    u, v, crosses = _cut(xb, yb, zb, xc, yc, zc, near, fx, fy, cx, cy)
    left, right = _widened(left, right, u, crosses, margin)
    top, bottom = _widened(top, bottom, v, crosses, margin)
    u, v, crosses = _cut(xc, yc, zc, xa, ya, za, near, fx, fy, cx, cy)
    left, right = _widened(left, right, u, crosses, margin)
    top, bottom = _widened(top, bottom, v, crosses, margin)
    total = xa + ya + za + xb + yb + zb + xc + yc + zc
    live &= (tl.abs(total) < far_away) & ((za >= near) | (zb >= near) | (zc >= near))
    first_column = tl.ceil(tl.maximum(left - (0.5 + _SLACK), 0.0))
    last_column = tl.floor(tl.minimum(right - (0.5 - _SLACK), width - 1.0))
    first_row = tl.ceil(tl.maximum(top - (0.5 + _SLACK), 0.0))
    last_row = tl.floor(tl.minimum(bottom - (0.5 - _SLACK), height - 1.0))
    live &= (first_column <= last_column) & (first_row <= last_row)
    return (
        tl.where(live, first_column, 0).to(tl.int32),
        tl.where(live, last_column, -1).to(tl.int32),
        tl.where(live, first_row, 0).to(tl.int32),
        tl.where(live, last_row, -1).to(tl.int32),
    )


@triton.jit
def _cross(ip, xp, yp, zp, iq, xq, yq, zq):
    """Return p x q as p x (q - p), from the vertex with the lower index to the other.

    Nothing is lost to cancellation that way, and two faces at one edge get exact opposites.
    """
    swap = ip > iq
    x1, y1, z1 = tl.where(swap, xq, xp), tl.where(swap, yq, yp), tl.where(swap, zq, zp)
    dx, dy, dz = tl.where(swap, xp, xq) - x1, tl.where(swap, yp, yq) - y1, tl.where(swap, zp, zq) - z1
    sign = tl.where(swap, -1.0, 1.0)
    return sign * (y1 * dz - z1 * dy), sign * (z1 * dx - x1 * dz), sign * (x1 * dy - y1 * dx)


@triton.jit
def _edges(points, a, b, c, live):
    """Return normals of the edge functions, positive inside or 0 for degenerate faces, and depths of the corners."""
    xa, ya, za, _, _ = _corner(points, a, live)
    xb, yb, zb, _, _ = _corner(points, b, live)
    xc, yc, zc, _, _ = _corner(points, c, live)
    nax, nay, naz = _cross(b, xb, yb, zb, c, xc, yc, zc)
    nbx, nby, nbz = _cross(c, xc, yc, zc, a, xa, ya, za)
    ncx, ncy, ncz = _cross(a, xa, ya, za, b, xb, yb, zb)
    volume = xa * nax + ya * nay + za * naz
    s = tl.where(volume > 0, 1.0, tl.where(volume < 0, -1.0, 0.0))
    return s * nax, s * nay, s * naz, s * nbx, s * nby, s * nbz, s * ncx, s * ncy, s * ncz, za, zb, zc


@triton.jit
def _touch(keys, face, row, column, live, width, ea, eb, ec, za, zb, zc, near, far):
    """Lower the keys of pixels that are inside a face and between the near and the far plane."""
    total = ea + eb + ec
    z = (ea * za + eb * zb + ec * zc) / tl.where(total > 0, total, 1.0)
    hit = live & (ea >= 0) & (eb >= 0) & (ec >= 0) & (total > 0) & (z >= near) & (z <= far)
    # The bits of positive floats sort as the floats.
    bits = z.to(tl.float32).to(tl.int32, bitcast=True).to(tl.int64)
    tl.atomic_min(keys + row * width + column, (bits << 32) | face.to(tl.int64), mask=hit, sem="relaxed")


@triton.jit
def _draw_small(
    points, faces, view, occluded, keys, alphas, queue, queued, count, height, width,
    ALPHAS: tl.constexpr, SMALL: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Draw small faces, one per lane, and queue the others; if ALPHAS, clear those of vertices of occluded faces."""
    f = tl.program_id(0) * LANES + tl.arange(0, LANES)
    live = f < count
    a = tl.load(faces + 3 * f, mask=live, other=0)
    b = tl.load(faces + 3 * f + 1, mask=live, other=0)
    c = tl.load(faces + 3 * f + 2, mask=live, other=0)
    if ALPHAS:
        hidden = tl.load(occluded + f, mask=live, other=0) != 0
        tl.store(alphas + a, 0, mask=hidden)
        tl.store(alphas + b, 0, mask=hidden)
        tl.store(alphas + c, 0, mask=hidden)
    left, right, top, bottom = _window(points, a, b, c, view, live, height, width)
    across = right - left + 1
    pixels = across * (bottom - top + 1)
    large = pixels > SMALL
    place = tl.atomic_add(queued + tl.zeros_like(f), 1, mask=large, sem="relaxed")
    tl.store(queue + place, f, mask=large)
    pixels = tl.where(large, 0, pixels)
    near, far = tl.load(view), tl.load(view + 1)
    fx, fy, cx, cy = tl.load(view + 2), tl.load(view + 3), tl.load(view + 4), tl.load(view + 5)
    nax, nay, naz, nbx, nby, nbz, ncx, ncy, ncz, za, zb, zc = _edges(points, a, b, c, live)
    for k in range(0, tl.max(pixels, axis=0)):
        row = top + k // tl.maximum(across, 1)
        column = left + k % tl.maximum(across, 1)
        rx, ry = (column + (0.5 - cx)) / fx, (row + (0.5 - cy)) / fy
        ea, eb, ec = nax * rx + (nay * ry + naz), nbx * rx + (nby * ry + nbz), ncx * rx + (ncy * ry + ncz)
        _touch(keys, f, row, column, k < pixels, width, ea, eb, ec, za, zb, zc, near, far)


@triton.jit
def _trimmed(low, high, slope, offset):
    """Return the part of the ray interval where slope * x + offset >= 0."""
    root = -offset / tl.where(slope == 0, 1.0, slope)
    return tl.where(slope > 0, tl.maximum(low, root), low), tl.where(slope < 0, tl.minimum(high, root), high)


@triton.jit
def _draw_queued(
    points, faces, view, keys, queue, queued, height, width,
    TAKERS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Draw every TAKERS-th face of the queue, a block of rows at a time."""
    near, far = tl.load(view), tl.load(view + 1)
    fx, fy, cx, cy = tl.load(view + 2), tl.load(view + 3), tl.load(view + 4), tl.load(view + 5)
    for q in range(tl.program_id(0), tl.load(queued), TAKERS):
        f = tl.load(queue + q)
        a, b, c = tl.load(faces + 3 * f), tl.load(faces + 3 * f + 1), tl.load(faces + 3 * f + 2)
        left, right, top, bottom = _window(points, a, b, c, view, f >= 0, height, width)
        nax, nay, naz, nbx, nby, nbz, ncx, ncy, ncz, za, zb, zc = _edges(points, a, b, c, f >= 0)
        for block in range(top, bottom + 1, ROWS):
            rows = block + tl.arange(0, ROWS)
            ry = (rows + (0.5 - cy)) / fy
            row_a, row_b, row_c = nay * ry + naz, nby * ry + nbz, ncy * ry + ncz
            low = tl.zeros_like(ry) + (left - 0.5 - cx) / fx
            high = tl.zeros_like(ry) + (right + 1.5 - cx) / fx
            low, high = _trimmed(low, high, nax, row_a)
            low, high = _trimmed(low, high, nbx, row_b)
            low, high = _trimmed(low, high, ncx, row_c)
            inside = (rows <= bottom) & (low <= high + 1 / fx)
            # A margin of a pixel on either side; the edge functions decide.
            start = tl.maximum(tl.floor(low * fx + cx - 1.5), left + 0.0)
            stop = tl.minimum(tl.ceil(high * fx + cx + 0.5), right + 0.0)
            first = tl.min(tl.where(inside, start, width + 0.0), axis=0).to(tl.int32)
            last = tl.max(tl.where(inside, stop, -1.0), axis=0).to(tl.int32)
            for column_first in range(first, last + 1, COLUMNS):
                columns = column_first + tl.arange(0, COLUMNS)
                rx = ((columns + (0.5 - cx)) / fx)[None, :]
                ea, eb, ec = nax * rx + row_a[:, None], nbx * rx + row_b[:, None], ncx * rx + row_c[:, None]
                live = inside[:, None] & (columns >= start[:, None]) & (columns <= stop[:, None])
                _touch(keys, f, rows[:, None], columns[None, :], live, width, ea, eb, ec, za, zb, zc, near, far)


@triton.jit
def _direction(vertices, index, live, x, y, z):
    """Return the direction of vertices from a point, and their distance."""
    vx = tl.load(vertices + 3 * index, mask=live, other=1).to(tl.float64) - x
    vy = tl.load(vertices + 3 * index + 1, mask=live, other=1).to(tl.float64) - y
    vz = tl.load(vertices + 3 * index + 2, mask=live, other=1).to(tl.float64) - z
    distance = tl.sqrt(vx * vx + vy * vy + vz * vz)
    return vx / distance, vy / distance, vz / distance, distance


@triton.jit
def _directions(vertices, a, b, c, live, x, y, z):
    """Return the Gram matrix (11, 12, 22) of the directions of faces from a point, their volume and the distances."""
    ax, ay, az, ra = _direction(vertices, a, live, x, y, z)
    bx, by, bz, rb = _direction(vertices, b, live, x, y, z)
    cx, cy, cz, rc = _direction(vertices, c, live, x, y, z)
    x1, y1, z1, x2, y2, z2 = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
    volume = ax * (y1 * z2 - z1 * y2) + ay * (z1 * x2 - x1 * z2) + az * (x1 * y2 - y1 * x2)
    g11, g12, g22 = x1 * x1 + y1 * y1 + z1 * z1, x1 * x2 + y1 * y2 + z1 * z2, x2 * x2 + y2 * y2 + z2 * z2
    return g11, g12, g22, volume, ra, rb, rc


@triton.jit
def _hidden_from(vertices, a, b, c, live, camera, limit, MAX_SHEAR: tl.constexpr, TOLERANCE: tl.constexpr):
    """Return what `geometry.stretch.hidden_from` returns for faces."""
    a11, a12, a22, volume_a, ra, rb, rc = _directions(vertices, a, b, c, live, 0.0, 0.0, 0.0)
    x, y, z = tl.load(camera), tl.load(camera + 1), tl.load(camera + 2)
    b11, b12, b22, volume_b, na, nb, nc = _directions(vertices, a, b, c, live, x, y, z)
    trace = a22 * b11 - 2 * a12 * b12 + a11 * b22
    magnification = tl.maximum(tl.maximum(ra / na, rb / nb), rc / nc)
    magnification2, source_area2 = magnification * magnification, a11 * a22 - a12 * a12
    most_area = limit * magnification2
    shown = (volume_a * volume_b > 0) & (limit >= 1)
    shown &= b11 * b22 - b12 * b12 <= most_area * most_area * source_area2 * (1 + TOLERANCE)
    shown &= trace <= (MAX_SHEAR * MAX_SHEAR + 1) * magnification2 * source_area2
    return shown == 0


@triton.jit
def _shade(
    points, faces, view, keys, colors, alphas, vertices, occluded, limits, camera,
    color, mask, depth, count, width,
    STRETCHES: tl.constexpr, VISIBLE_ALPHA: tl.constexpr, MAX_SHEAR: tl.constexpr, TOLERANCE: tl.constexpr,
    LANES: tl.constexpr,
):  # fmt: skip
    """Color each pixel by the face in its key; if STRETCHES, the mask is that of a mesh with `max_stretch`."""
    i = tl.program_id(0) * LANES + tl.arange(0, LANES)
    live = i < count
    key = tl.load(keys + i, mask=live, other=_NOTHING)
    hit = key != _NOTHING
    f = tl.where(hit, key & 0xFFFFFFFF, 0)
    a = tl.load(faces + 3 * f, mask=hit, other=0)
    b = tl.load(faces + 3 * f + 1, mask=hit, other=0)
    c = tl.load(faces + 3 * f + 2, mask=hit, other=0)
    fx, fy, cx, cy = tl.load(view + 2), tl.load(view + 3), tl.load(view + 4), tl.load(view + 5)
    nax, nay, naz, nbx, nby, nbz, ncx, ncy, ncz, _, _, _ = _edges(points, a, b, c, hit)
    rx, ry = (i % width + (0.5 - cx)) / fx, (i // width + (0.5 - cy)) / fy
    wa, wb, wc = nax * rx + (nay * ry + naz), nbx * rx + (nby * ry + nbz), ncx * rx + (ncy * ry + ncz)
    if STRETCHES:
        hides = tl.load(occluded + f, mask=hit, other=0) != 0
        limit = tl.load(limits + f, mask=hides, other=0).to(tl.float64)
        seen = hit & ((hides & _hidden_from(vertices, a, b, c, hides, camera, limit, MAX_SHEAR, TOLERANCE)) == 0)
        # See `render_shading.source_weights`.
        wa *= tl.load(vertices + 3 * a + 2, mask=hit, other=0).to(tl.float64)
        wb *= tl.load(vertices + 3 * b + 2, mask=hit, other=0).to(tl.float64)
        wc *= tl.load(vertices + 3 * c + 2, mask=hit, other=0).to(tl.float64)
    total = tl.where(hit, wa + wb + wc, 1.0)
    wa, wb, wc = (wa / total).to(tl.float32), (wb / total).to(tl.float32), (wc / total).to(tl.float32)
    if not STRETCHES:
        alpha = wa * tl.load(alphas + a, mask=hit, other=0) + wb * tl.load(alphas + b, mask=hit, other=0)
        seen = hit & (alpha + wc * tl.load(alphas + c, mask=hit, other=0) > VISIBLE_ALPHA)
    tl.store(mask + i, seen.to(tl.uint8), mask=live)
    bits = (key >> 32).to(tl.int32).to(tl.float32, bitcast=True)
    tl.store(depth + i, tl.where(hit, bits, float("inf")), mask=live)
    for channel in tl.static_range(3):
        value = wa * tl.load(colors + 3 * a + channel, mask=hit, other=0)
        value += wb * tl.load(colors + 3 * b + channel, mask=hit, other=0)
        value += wc * tl.load(colors + 3 * c + channel, mask=hit, other=0)
        tl.store(color + 3 * i + channel, tl.where(hit, value + 0.5, 0).to(tl.uint8), mask=live)
