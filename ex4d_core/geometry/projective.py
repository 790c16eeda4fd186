"""Pinhole geometry in OpenCV camera axes (x right, y down, z forward).

Matrices and ray slopes are computed in float64 and returned as float32: where depths span 1e-4 to 1e4, a matrix
product in float32 loses up to four of its seven digits.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.types import Intrinsics

_PARALLEL = 1e-9
"""Sine of the angle to the vertical below which a viewing direction has no right and left."""


def look_at(eye: Tensor, center: Tensor) -> Tensor:
    """Return the poses of level cameras that look from `eye` at `center`; world +y is down.

    The rows of the rotation are right = down x forward, down' = forward x right and forward; the translation is
    minus the rotation times the eye.

    Args:
        eye: positions [T, 3] in world coordinates.
        center: points to look at, [3] or [T, 3].

    Returns:
        world_to_camera float32 [T, 4, 4], OpenCV axes.

    Raises:
        InvalidInput: an eye is at its center, or the camera looks straight up or down, so that its roll is undefined.
    """
    eye64 = eye.double()
    forward = center.to(eye64).expand_as(eye64) - eye64
    distance = torch.linalg.vector_norm(forward, dim=-1, keepdim=True)
    if not (distance > 0).all() or not torch.isfinite(distance).all():
        raise InvalidInput("a camera is at the point that it looks at; move the eye or the center")
    forward = forward / distance
    right = torch.linalg.cross(forward.new_tensor([0.0, 1.0, 0.0]).expand_as(forward), forward)
    sine = torch.linalg.vector_norm(right, dim=-1, keepdim=True)
    if not (sine > _PARALLEL).all():
        raise InvalidInput("a camera looks straight up or down, where its roll is undefined; tilt it a little less")
    right = right / sine
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=-2)
    pose = torch.eye(4, dtype=torch.float64, device=eye.device).repeat(*eye.shape[:-1], 1, 1)
    pose[..., :3, :3] = rotation
    pose[..., :3, 3] = -(rotation @ eye64[..., None])[..., 0]
    return pose.float()


def transform_points(world_to_camera: Tensor, points: Tensor) -> Tensor:
    """Transform world points to camera coordinates, float32 [N, 3].

    Args:
        world_to_camera: [4, 4], any rigid or affine matrix.
        points: [N, 3].
    """
    exact = torch.float32 if points.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
    matrix = world_to_camera.to(device=points.device, dtype=exact)
    return torch.addmm(matrix[:3, 3], points.to(exact), matrix[:3, :3].T).float()


def unproject_depth(depth: Tensor, intrinsics: Intrinsics, *, pixel_center: float = 0.5) -> Tensor:
    """Unproject the pixels of a depth map: x = (u - cx) z / fx, y = (v - cy) z / fy, z = depth.

    Args:
        depth: [H, W] along +z of the camera.
        intrinsics: for an image of W x H pixels.
        pixel_center: position of the sample in pixel (row i, column j): (u, v) = (j, i) + pixel_center.

    Returns:
        float32 [H, W, 3] in the camera's frame (x right, y down, z forward).

    Raises:
        InvalidInput: the intrinsics are for another image size.
    """
    height, width = depth.shape
    if (intrinsics.width, intrinsics.height) != (width, height):
        raise InvalidInput(
            f"the intrinsics are for {intrinsics.width}x{intrinsics.height} "
            f"but the depth map is {width}x{height}; scale one to the other"
        )
    x, y = ray_slopes(intrinsics, pixel_center, depth.device)
    points = torch.empty(height, width, 3, device=depth.device)
    points[..., 0] = x * depth
    points[..., 1] = y[:, None] * depth
    points[..., 2] = depth
    return points


@lru_cache(maxsize=8)
def ray_slopes(intrinsics: Intrinsics, pixel_center: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return x / z of each column, float32 [W], and y / z of each row, float32 [H], of a camera's rays.

    The result is cached: do not modify it.

    Args:
        intrinsics: of the camera.
        pixel_center: position of the ray in its pixel: (u, v) = (column, row) + pixel_center.
        device: of the result.
    """
    columns = torch.arange(intrinsics.width, dtype=torch.float64)
    rows = torch.arange(intrinsics.height, dtype=torch.float64)
    x = (columns + (pixel_center - intrinsics.cx)) / intrinsics.fx
    y = (rows + (pixel_center - intrinsics.cy)) / intrinsics.fy
    return x.float().to(device), y.float().to(device)


def clip_from_camera(intrinsics: Intrinsics, *, near: float, far: float) -> Tensor:
    """Return the matrix from a camera's frame to OpenGL's clip space.

    After division by w = z, x and y are in [-1, 1] inside the image (y up, so the image's first row is at +1)
    and depth goes from -1 at `near` to 1 at `far`. See the OpenGL 4.6 specification, 13.8, and, for the
    principal point, Hartley and Zisserman, Multiple View Geometry, 6.1.

    Args:
        intrinsics: of the camera.
        near: distance of the near plane along +z, > 0, in the units of the scene.
        far: distance of the far plane along +z.

    Returns:
        float32 [4, 4] that multiplies columns (x, y, z, 1) of OpenCV camera axes.

    Raises:
        InvalidInput: not 0 < near < far.
    """
    if not 0 < near < far:
        raise InvalidInput(f"near {near:g} and far {far:g} are not valid clipping planes; give 0 < near < far")
    width, height = intrinsics.width, intrinsics.height
    depth_scale, depth_shift = (far + near) / (far - near), -2 * far * near / (far - near)
    matrix = [
        [2 * intrinsics.fx / width, 0, 2 * intrinsics.cx / width - 1, 0],
        [0, -2 * intrinsics.fy / height, 1 - 2 * intrinsics.cy / height, 0],
        [0, 0, depth_scale, depth_shift],
        [0, 0, 1, 0],
    ]
    return torch.tensor(matrix, dtype=torch.float64).float()
