"""Locate the subject that a camera move orbits, in world coordinates."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.rigid import Vector, vector
from ex4d_core.geometry.subject_spec import pixel_or_depth
from ex4d_core.types import DepthVideo, Scene

SUBJECT_PERCENTILE = 0.25
"""Low, so that an object in front of a wall is selected and not the wall."""

SUBJECT_THICKNESS = 1.25
"""Largest ratio, in both directions, of the depth of a pixel of the subject to the distance of the subject."""

MAX_SAMPLED_FRAMES = 9
"""Evenly spread over the clip; the subject is the median of its positions in them."""

PIXEL_RADIUS = 2
"""The depth at a pixel is the median of the valid depths within this distance."""


def subject_point(scene: Scene, look_at: str) -> Vector:
    """Return the subject of camera moves in world coordinates, float64 [3].

    Args:
        scene: the clip and its depth.
        look_at: `auto`, the middle of the foreground; `x,y`, the scene point at a pixel of the original clip in frame
            0; a number, the point at that depth ahead of the source camera of frame 0; `nearest`, the rule of EX-4D.

    Raises:
        InvalidConfig: `look_at` is none of these.
        InvalidInput: there is no valid depth.
    """
    if look_at == "auto":
        return _foreground(scene.depth)
    if look_at == "nearest":
        return vector((0.0, 0.0, nearest_distance(scene.depth)))
    numbers = pixel_or_depth(look_at)
    return vector((0.0, 0.0, numbers[0])) if len(numbers) == 1 else _at_pixel(scene, *numbers)


def subject_distance(depth: DepthVideo, frame: int = 0) -> float:
    """Return the depth of the foreground in the middle of a frame, in the units of the depth.

    The 25th percentile of the valid depths in the central half of the image (in the whole image if the center has
    none), rounded up in rank so that a single bad pixel is never selected.

    Raises:
        InvalidInput: no pixel of the frame has a valid depth.
    """
    return _foreground_of(depth, frame)[0]


def nearest_distance(depth: DepthVideo) -> float:
    """Return the distance of EX-4D: the smallest depth of frame 0 plus 0.15, with the outermost pixels set to 100.

    Raises:
        InvalidInput: no pixel of frame 0 has a valid depth.
    """
    depths = depth.depth[0].where(_valid(depth, 0), torch.inf)
    inside = depths[1:-1, 1:-1]
    return min([float(inside.amin()), 100.0] if inside.numel() else [100.0]) + 0.15


def _foreground(depth: DepthVideo) -> Vector:
    """Return the center of the foreground: one point for the whole clip, the median over frames."""
    sampled = np.unique(np.linspace(0, depth.num_frames - 1, MAX_SAMPLED_FRAMES).round().astype(int))
    frames = [frame for frame in sampled.tolist() if frame == 0 or depth.valid_at(frame).any()]
    points = []
    for frame in frames:
        distance, near = _foreground_of(depth, frame)
        rows, columns = (indices.double().numpy() + 0.5 for indices in torch.nonzero(near, as_tuple=True))
        lens = depth.intrinsics_at(frame)
        x = (float(np.median(columns)) - lens.cx) / lens.fx * distance
        y = (float(np.median(rows)) - lens.cy) / lens.fy * distance
        points.append(_to_world(depth, frame, vector((x, y, distance))))
    return vector(np.median(points, axis=0))


def _foreground_of(depth: DepthVideo, frame: int) -> tuple[float, Tensor]:
    """Return the depth of the foreground of a frame, and its pixels in the middle of the image as a mask [H, W]."""
    valid = _valid(depth, frame)
    height, width = valid.shape
    middle = torch.zeros_like(valid)
    middle[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    chosen = valid & middle
    chosen = chosen if chosen.any() else valid
    values = depth.depth[frame][chosen]
    # kthvalue, because torch.quantile refuses more than 16 million values.
    rank = math.ceil(SUBJECT_PERCENTILE * (len(values) - 1))
    distance = float(values.kthvalue(rank + 1).values)
    ratio = depth.depth[frame] / distance
    return distance, chosen & (ratio > 1 / SUBJECT_THICKNESS) & (ratio < SUBJECT_THICKNESS)


def _at_pixel(scene: Scene, x: float, y: float) -> Vector:
    """Return the scene point at a pixel of the original clip in frame 0."""
    video, depth = scene.video, scene.depth
    left, top, width, height = 0.0, 0.0, float(video.width), float(video.height)
    if (origin := video.origin) is not None:
        left, top, width, height = origin.left, origin.top, origin.width, origin.height
    j, i = math.floor((x - left) * video.width / width), math.floor((y - top) * video.height / height)
    if not (0 <= j < video.width and 0 <= i < video.height):
        raise InvalidInput(
            f"look_at pixel {x:g},{y:g} is outside the image; in the original clip, x is from "
            f"{max(0, left):.0f} to {left + width:.0f} and y from {max(0, top):.0f} to {top + height:.0f}"
        )
    around = (
        slice(max(0, i - PIXEL_RADIUS), i + PIXEL_RADIUS + 1),
        slice(max(0, j - PIXEL_RADIUS), j + PIXEL_RADIUS + 1),
    )
    values = depth.depth[0][around][depth.valid_at(0)[around]]
    if not len(values):
        raise InvalidInput(f"no valid depth at the look_at pixel {x:g},{y:g}; choose another pixel")
    z, lens = float(values.median()), depth.intrinsics_at(0)
    return vector(((j + 0.5 - lens.cx) / lens.fx * z, (i + 0.5 - lens.cy) / lens.fy * z, z))


def _to_world(depth: DepthVideo, frame: int, point: Vector) -> Vector:
    if depth.cameras is None:
        return point
    matrix = np.linalg.inv(depth.cameras.world_to_camera[frame].double().numpy())
    return vector(matrix[:3, :3] @ point + matrix[:3, 3])


def _valid(depth: DepthVideo, frame: int) -> Tensor:
    valid = depth.valid_at(frame)
    if not valid.any():
        ordinal = "the first frame" if frame == 0 else f"frame {frame}"
        raise InvalidInput(f"no pixel of {ordinal} has a valid depth, so the subject cannot be located")
    return valid
