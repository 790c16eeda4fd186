"""Inner loops of the z-buffer renderer, compiled with numba.

Rasterization in homogeneous coordinates (Olano & Greer, "Triangle Scan Conversion using 2D
Homogeneous Coordinates", 1997). With camera-frame vertices a, b, c and the ray r = ((u - cx) / fx,
(v - cy) / fy, 1) of a pixel, the three edge functions

    r . (b x c),    r . (c x a),    r . (a x b)

have the same sign inside the face. Divided by their sum, they are the perspective-correct weights of a, b, c.
Vertices are not divided by their depth, so a face that crosses the near plane is clipped exactly by a depth test
per pixel; projected vertices only bound the search. Two faces that share an edge compute edge functions that are
exact negatives, so there are no cracks between them.

Everything runs in float64. A `prepared` vertex is (x, y, z, u, v): its position in the frame of the camera and, if
z > 0, in the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

_Function = TypeVar("_Function", bound=Callable[..., Any])

Array = np.ndarray[Any, Any]
Lens = tuple[float, float, float, float]
"""fx, fy, cx, cy."""
Face = tuple[int, int, int]
"""Indices of three vertices."""
Window = tuple[int, int, int, int]
"""First and last column, first and last row."""
Limits = tuple[float, float]
"""`MAX_SHEAR` and `TOLERANCE` of `geometry.stretch`: arguments, since the cache on disk, whose key is this file alone,
would keep the values of an older version."""

_SPAN_FROM = 8
"""Faces at least this many pixels wide get their rows trimmed to the face before pixels are tested."""


def _compiled(function: _Function) -> _Function:
    """Compile without the GIL, cached on disk if a cache folder is writable."""
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        compiled: Any = numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache folder can be written
        compiled = numba.njit(**settings)(function)
    return cast(_Function, compiled)


@_compiled
def prepare_vertices(
    vertices: Array, rotation: Array, translation: Array, lens: Lens, start: int, stop: int, prepared: Array
) -> None:
    """Fill `prepared` float64 [V, 5] from `start` to `stop`; z is NaN where a vertex is not finite."""
    fx, fy, cx, cy = lens
    for i in range(start, stop):
        vx, vy, vz = np.float64(vertices[i, 0]), np.float64(vertices[i, 1]), np.float64(vertices[i, 2])
        x = rotation[0, 0] * vx + rotation[0, 1] * vy + rotation[0, 2] * vz + translation[0]
        y = rotation[1, 0] * vx + rotation[1, 1] * vy + rotation[1, 2] * vz + translation[1]
        z = rotation[2, 0] * vx + rotation[2, 1] * vy + rotation[2, 2] * vz + translation[2]
        prepared[i, 0] = x
        prepared[i, 1] = y
        prepared[i, 2] = z if math.isfinite(x + y + z) else math.nan
        prepared[i, 3] = fx * x / z + cx
        prepared[i, 4] = fy * y / z + cy


@_compiled
def _bounds_beyond_near(prepared: Array, face: Face, near: float, lens: Lens) -> tuple[float, float, float, float]:
    """Return left, right, top, bottom in pixels of the part of a face beyond the near plane, with a margin."""
    fx, fy, cx, cy = lens
    left, right, top, bottom = math.inf, -math.inf, math.inf, -math.inf
    for k in range(3):
        a, b = face[k], face[(k + 1) % 3]
        za, zb = prepared[a, 2], prepared[b, 2]
        if za >= near:
            left, right = min(left, prepared[a, 3]), max(right, prepared[a, 3])
            top, bottom = min(top, prepared[a, 4]), max(bottom, prepared[a, 4])
        if (za >= near) != (zb >= near):
            t = (near - za) / (zb - za)
            u = fx * (prepared[a, 0] + t * (prepared[b, 0] - prepared[a, 0])) / near + cx
            v = fy * (prepared[a, 1] + t * (prepared[b, 1] - prepared[a, 1])) / near + cy
            left, right, top, bottom = min(left, u), max(right, u), min(top, v), max(bottom, v)
    return left - 1, right + 1, top - 1, bottom + 1


@_compiled
def _edges(prepared: Array, a: int, b: int, c: int) -> tuple[float, ...]:
    """Return the normals of the edge functions, positive inside, or zeros for a degenerate face."""
    ax, ay, az = prepared[a, 0], prepared[a, 1], prepared[a, 2]
    bx, by, bz = prepared[b, 0], prepared[b, 1], prepared[b, 2]
    cx, cy, cz = prepared[c, 0], prepared[c, 1], prepared[c, 2]
    nax, nay, naz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
    nbx, nby, nbz = cy * az - cz * ay, cz * ax - cx * az, cx * ay - cy * ax
    ncx, ncy, ncz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    volume = ax * nax + ay * nay + az * naz
    s = 1.0 if volume > 0 else (-1.0 if volume < 0 else 0.0)
    return s * nax, s * nay, s * naz, s * nbx, s * nby, s * nbz, s * ncx, s * ncy, s * ncz


@_compiled
def _trim(slope: float, offset: float, low: float, high: float) -> tuple[float, float]:
    """Return the part of the ray interval [low, high] where slope * x + offset >= 0."""
    if slope > 0:
        return max(low, -offset / slope), high
    if slope < 0:
        return low, min(high, -offset / slope)
    return (low, high) if offset >= 0 else (math.inf, -math.inf)


@_compiled
def _rays(count: int, focal: float, center: float) -> Array:
    """Return x / z, or y / z, of the rays through the centers of pixel columns, or rows."""
    rays = np.empty(count)
    for i in range(count):
        rays[i] = (i + 0.5 - center) / focal
    return rays


@_compiled
def _fill(
    prepared: Array,
    face: Face,
    f: int,
    near: float,
    far: float,
    lens: Lens,
    rays_x: Array,
    rays_y: Array,
    window: Window,
    depth: Array,
    face_index: Array,
) -> None:
    """Draw face number f into the pixels of `window`."""
    fx, _, cx, _ = lens
    first_column, last_column, first_row, last_row = window
    a, b, c = face
    za, zb, zc = prepared[a, 2], prepared[b, 2], prepared[c, 2]
    nax, nay, naz, nbx, nby, nbz, ncx, ncy, ncz = _edges(prepared, a, b, c)
    wide = last_column - first_column >= _SPAN_FROM
    for i in range(first_row, last_row + 1):
        ry = rays_y[i]
        row_a, row_b, row_c = nay * ry + naz, nby * ry + nbz, ncy * ry + ncz
        start, stop = first_column, last_column
        if wide:
            low, high = (start - 0.5 - cx) / fx, (stop + 1.5 - cx) / fx
            low, high = _trim(nax, row_a, low, high)
            low, high = _trim(nbx, row_b, low, high)
            low, high = _trim(ncx, row_c, low, high)
            if low > high + 1 / fx:  # with a tolerance of a pixel for very thin faces
                continue
            start = max(start, math.floor(low * fx + cx - 1.0))
            stop = min(stop, math.ceil(high * fx + cx))
        for j in range(start, stop + 1):
            rx = rays_x[j]
            ea, eb, ec = nax * rx + row_a, nbx * rx + row_b, ncx * rx + row_c
            if ea >= 0 and eb >= 0 and ec >= 0:
                z = (ea * za + eb * zb + ec * zc) / (ea + eb + ec)
                if near <= z <= far and z < depth[i, j]:
                    depth[i, j] = z
                    face_index[i, j] = f


@_compiled
def raster_rows(
    prepared: Array,
    faces: Array,
    near: float,
    far: float,
    lens: Lens,
    first_row: int,
    end_row: int,
    depth: Array,
    face_index: Array,
) -> None:
    """Draw all faces into the rows from `first_row` up to `end_row` of `depth` and `face_index`.

    The nearest face is drawn; at equal depth, the one with the lower index.
    """
    depth[first_row:end_row] = math.inf
    face_index[first_row:end_row] = -1
    top_row, bottom_row, last_column = np.float64(first_row), np.float64(end_row - 1), np.float64(depth.shape[1] - 1)
    rays_x, rays_y = _rays(depth.shape[1], lens[0], lens[2]), _rays(depth.shape[0], lens[1], lens[3])
    half = 0.5 - 1e-6  # do not lose pixel centers on a vertex to rounding
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        za, zb, zc = prepared[a, 2], prepared[b, 2], prepared[c, 2]
        if za >= near and zb >= near and zc >= near:
            ua, ub, uc = prepared[a, 3], prepared[b, 3], prepared[c, 3]
            va, vb, vc = prepared[a, 4], prepared[b, 4], prepared[c, 4]
            left, right, top, bottom = min(ua, ub, uc), max(ua, ub, uc), min(va, vb, vc), max(va, vb, vc)
        elif (za >= near or zb >= near or zc >= near) and not math.isnan(za + zb + zc):
            left, right, top, bottom = _bounds_beyond_near(prepared, (a, b, c), near, lens)
        else:
            continue
        # Clip to the image before the conversion to integers, which could overflow.
        top, bottom = max(top - 1 + half, top_row), min(bottom - half, bottom_row)
        left, right = max(left - 1 + half, 0.0), min(right - half, last_column)
        if not (top <= bottom and left <= right):
            continue
        window = (math.ceil(left), math.floor(right), math.ceil(top), math.floor(bottom))
        if window[0] > window[1] or window[2] > window[3]:
            continue
        _fill(prepared, (a, b, c), f, near, far, lens, rays_x, rays_y, window, depth, face_index)


@_compiled
def _weights(prepared: Array, a: int, b: int, c: int, rx: float, ry: float) -> tuple[float, float, float]:
    """Return the perspective-correct weights of a face's vertices on a ray (rx, ry, 1)."""
    nax, nay, naz, nbx, nby, nbz, ncx, ncy, ncz = _edges(prepared, a, b, c)
    # Summed in the order of `_fill`, so that a pixel on an edge is inside here too.
    ea, eb, ec = nax * rx + (nay * ry + naz), nbx * rx + (nby * ry + nbz), ncx * rx + (ncy * ry + ncz)
    total = ea + eb + ec
    return ea / total, eb / total, ec / total


@_compiled
def interpolate_rows(
    prepared: Array,
    faces: Array,
    face_index: Array,
    attributes: Array,
    lens: Lens,
    first_row: int,
    end_row: int,
    values: Array,
) -> None:
    """Fill rows of `values` float32 [H, W, C] from `attributes` [V, C] of the vertices; 0 in the background."""
    rays_x, rays_y = _rays(face_index.shape[1], lens[0], lens[2]), _rays(face_index.shape[0], lens[1], lens[3])
    for i in range(first_row, end_row):
        for j in range(face_index.shape[1]):
            f = face_index[i, j]
            if f < 0:
                values[i, j] = 0
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            wa, wb, wc = _weights(prepared, a, b, c, rays_x[j], rays_y[i])
            for k in range(attributes.shape[1]):
                values[i, j, k] = wa * attributes[a, k] + wb * attributes[b, k] + wc * attributes[c, k]


@_compiled
def shade_rows(
    prepared: Array,
    faces: Array,
    face_index: Array,
    colors: Array,
    alpha: Array,
    alpha_above: float,
    lens: Lens,
    first_row: int,
    end_row: int,
    color: Array,
    mask: Array,
) -> None:
    """Fill rows of `color` uint8 [H, W, 3] and `mask` bool [H, W] from uint8 `colors` and bool `alpha` of the vertices.

    A pixel is visible if its interpolated alpha, 0..1, is above `alpha_above`.
    """
    rays_x, rays_y = _rays(face_index.shape[1], lens[0], lens[2]), _rays(face_index.shape[0], lens[1], lens[3])
    for i in range(first_row, end_row):
        for j in range(face_index.shape[1]):
            color[i, j] = 0
            mask[i, j] = False
            f = face_index[i, j]
            if f < 0:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            wa, wb, wc = _weights(prepared, a, b, c, rays_x[j], rays_y[i])
            mask[i, j] = wa * alpha[a] + wb * alpha[b] + wc * alpha[c] > alpha_above
            for k in range(3):
                color[i, j, k] = np.uint8(wa * colors[a, k] + wb * colors[b, k] + wc * colors[c, k] + 0.5)


@_compiled
def shade_stretched_rows(
    prepared: Array,
    faces: Array,
    face_index: Array,
    colors: Array,
    vertices: Array,
    occluded: Array,
    max_stretch: Array,
    limits: Limits,
    camera: Array,
    lens: Lens,
    first_row: int,
    end_row: int,
    color: Array,
    mask: Array,
) -> None:
    """Fill rows as `shade_rows`, with the mask and the colors of a mesh that has `max_stretch`.

    `vertices` float32 [V, 3] and the position `camera` float64 [3] are in the frame of the source camera.
    """
    rays_x, rays_y = _rays(face_index.shape[1], lens[0], lens[2]), _rays(face_index.shape[0], lens[1], lens[3])
    for i in range(first_row, end_row):
        for j in range(face_index.shape[1]):
            color[i, j] = 0
            mask[i, j] = False
            f = face_index[i, j]
            if f < 0:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            mask[i, j] = not (occluded[f] and hidden_from(vertices, a, b, c, camera, max_stretch[f], limits))
            wa, wb, wc = _weights(prepared, a, b, c, rays_x[j], rays_y[i])
            # See `render_shading.source_weights`.
            wa, wb, wc = wa * vertices[a, 2], wb * vertices[b, 2], wc * vertices[c, 2]
            total = wa + wb + wc
            wa, wb, wc = wa / total, wb / total, wc / total
            for k in range(3):
                color[i, j, k] = np.uint8(wa * colors[a, k] + wb * colors[b, k] + wc * colors[c, k] + 0.5)


@_compiled
def hidden_from(vertices: Array, a: int, b: int, c: int, camera: Array, max_stretch: float, limits: Limits) -> bool:
    """Return what `geometry.stretch.hidden_from` returns for one face of `vertices` [V, 3]."""
    if not max_stretch >= 1:
        return True
    max_shear, tolerance = limits
    a11, a12, a22, volume_a, ra, rb, rc = _directions(vertices, a, b, c, 0.0, 0.0, 0.0)
    b11, b12, b22, volume_b, na, nb, nc = _directions(vertices, a, b, c, camera[0], camera[1], camera[2])
    trace = a22 * b11 - 2 * a12 * b12 + a11 * b22
    magnification = max(ra / na, rb / nb, rc / nc)
    magnification2, source_area2 = magnification * magnification, a11 * a22 - a12 * a12
    most_area2 = (max_stretch * magnification2) ** 2 * source_area2 * (1 + tolerance)
    most_trace = (max_shear**2 + 1) * magnification2 * source_area2
    return not (volume_a * volume_b > 0 and b11 * b22 - b12 * b12 <= most_area2 and trace <= most_trace)


@_compiled
def _directions(vertices: Array, a: int, b: int, c: int, x: float, y: float, z: float) -> tuple[float, ...]:
    """Return the Gram matrix (11, 12, 22) of the directions of a face from a point, their volume and the distances."""
    ax, ay, az = vertices[a, 0] - x, vertices[a, 1] - y, vertices[a, 2] - z
    bx, by, bz = vertices[b, 0] - x, vertices[b, 1] - y, vertices[b, 2] - z
    cx, cy, cz = vertices[c, 0] - x, vertices[c, 1] - y, vertices[c, 2] - z
    ra, rb, rc = (
        math.sqrt(ax * ax + ay * ay + az * az),
        math.sqrt(bx * bx + by * by + bz * bz),
        math.sqrt(cx * cx + cy * cy + cz * cz),
    )
    ax, ay, az = ax / ra, ay / ra, az / ra
    x1, y1, z1 = bx / rb - ax, by / rb - ay, bz / rb - az
    x2, y2, z2 = cx / rc - ax, cy / rc - ay, cz / rc - az
    volume = ax * (y1 * z2 - z1 * y2) + ay * (z1 * x2 - x1 * z2) + az * (x1 * y2 - y1 * x2)
    g11, g12, g22 = x1 * x1 + y1 * y1 + z1 * z1, x1 * x2 + y1 * y2 + z1 * z2, x2 * x2 + y2 * y2 + z2 * z2
    return g11, g12, g22, volume, ra, rb, rc
