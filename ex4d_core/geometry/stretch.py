"""The stretch of faces: how much larger a camera sees a face than the source camera did, apart from its distance.

A mesh connects near and far pixels across depth edges. From the source camera, such a face fills the gap between two
neighboring pixels; from elsewhere it is stretched over regions that the source camera did not see.

Both cameras see the corners of a face as directions, unit vectors a_i and b_i. Let A and B be the Gram matrices of two
edges of the triangles a and b. The affine map from a to b has the singular values s1 >= s2 with

    s1 s2 = sqrt(det B / det A),    s1^2 + s2^2 = trace(A^-1 B)

A surface without depth edges is magnified by m = (distance from the source camera) / (distance from the camera); the
largest m of the corners is that of the nearest one. The stretch is s1 s2 / m^2, the growth of the area: 1 from the
source camera, and 1 + parallax in pixels where the parallax is across a depth edge. Parallax along a depth edge shears
faces and uncovers nothing; as the sheared faces are streaks, the shear, s1 / m for s2 = m, is limited as well.

Both depend on the position of the camera only, not on its rotation and lens.
"""

from __future__ import annotations

import torch
from torch import Tensor


def hidden_from(corners: Tensor, camera: Tensor, max_stretch: Tensor) -> Tensor:
    """Return which faces are hidden, bool [...]: stretched by more than `max_stretch`, or seen from the other side.

    Args:
        corners: [..., 3 corners, 3 axes], in the frame of the source camera.
        camera: [3], position of the camera in that frame.
        max_stretch: [...], of each face; below 1, a face is hidden from everywhere.
    """
    distance = torch.linalg.vector_norm(corners, dim=-1)
    placed = corners - camera
    new_distance = torch.linalg.vector_norm(placed, dim=-1)
    a, b = corners / distance[..., None], placed / new_distance[..., None]
    a1, a2 = a[..., 1, :] - a[..., 0, :], a[..., 2, :] - a[..., 0, :]
    b1, b2 = b[..., 1, :] - b[..., 0, :], b[..., 2, :] - b[..., 0, :]
    a11, a12, a22 = _dot(a1, a1), _dot(a1, a2), _dot(a2, a2)
    trace = a22 * _dot(b1, b1) - 2 * a12 * _dot(b1, b2) + a11 * _dot(b2, b2)
    magnification2 = (distance / new_distance).square().amax(dim=-1)
    source_area2 = a11 * a22 - a12 * a12
    area2 = _dot(b1, b1) * _dot(b2, b2) - _dot(b1, b2).square()
    most_area2 = (max_stretch * magnification2).square() * source_area2 * (1 + TOLERANCE)
    most_trace = (MAX_SHEAR**2 + 1) * magnification2 * source_area2
    same_side = _volume(a[..., 0, :], a1, a2) * _volume(b[..., 0, :], b1, b2) > 0
    # Also hidden where the camera is at a corner and the comparison is between NaN.
    hidden: Tensor = ~(same_side & (max_stretch >= 1) & (area2 <= most_area2) & (trace <= most_trace))
    return hidden


MAX_SHEAR = 2.5
"""Largest shear of visible occluded faces."""

TOLERANCE = 1e-3
"""Relative tolerance of the comparison, so that a face with `max_stretch` 1 is visible from the source camera."""


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=-1)


def _volume(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return _dot(a, torch.linalg.cross(b, c))
