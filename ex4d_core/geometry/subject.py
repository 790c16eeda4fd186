"""Locate the subject that a camera move orbits, in world coordinates."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.rigid import Vector
from ex4d_core.geometry.subject_spec import pixel_or_depth
from ex4d_core.types import DepthVideo, Scene

SUBJECT_PERCENTILE = 0.25
"""Nearer than most of what is in the middle of the picture, so that a thing before a wall counts and not the wall."""

SUBJECT_THICKNESS = 1.25
"""How many times as far as that, or as near, what belongs to the subject may be."""

FRAMES_LOOKED_AT = 9
"""Of a clip, evenly spread: the subject is the median of where it is in each."""

PIXEL_AROUND = 2
"""A pixel stands for the known ones up to this far from it."""


def subject_point(scene: Scene, look_at: str) -> Vector:
    """Return what a camera moves around, in world coordinates.

    Args:
        scene: the clip and its depth.
        look_at: `auto`, the middle of what is in the foreground; `x,y`, what a pixel of the clip as it was filmed shows
            in frame 0; a number, a point that far ahead of the source camera of frame 0; `nearest`, EX-4D's rule.

    Raises:
        InvalidConfig: the text says none of these.
        InvalidInput: nothing has a depth there.
    """
    if look_at == "auto":
        return _foreground(scene.depth)
    if look_at == "nearest":
        return 0.0, 0.0, nearest_distance(scene.depth)
    numbers = pixel_or_depth(look_at)
    return (0.0, 0.0, numbers[0]) if len(numbers) == 1 else _of_pixel(scene, *numbers)


def subject_distance(depth: DepthVideo, frame: int = 0) -> float:
    """Return how far away what is in the middle of a frame is, along z, in the units of the depth.

    The 25th percentile of what is known in the central half of the picture (in all of it where nothing is known
    there), rounded up in rank so that one bad pixel is never it.

    Raises:
        InvalidInput: no pixel of the frame has a depth.
    """
    return _foreground_of(depth, frame)[0]


def nearest_distance(depth: DepthVideo) -> float:
    """Return EX-4D's distance: the smallest depth of frame 0 plus 0.15, its outermost ring of pixels taken as 100.

    Raises:
        InvalidInput: no pixel of frame 0 has a depth.
    """
    known = depth.depth[0].where(_known(depth, 0), torch.inf)
    inside = known[1:-1, 1:-1]
    return min([float(inside.amin()), 100.0] if inside.numel() else [100.0]) + 0.15


def _foreground(depth: DepthVideo) -> Vector:
    """Return the middle of what is in the foreground: the median over frames, so that it is one for the clip."""
    wanted = np.unique(np.linspace(0, depth.num_frames - 1, FRAMES_LOOKED_AT).round().astype(int))
    frames = [frame for frame in wanted.tolist() if frame == 0 or depth.valid_at(frame).any()]
    points = []
    for frame in frames:
        distance, near = _foreground_of(depth, frame)
        rows, columns = (indices.double().numpy() + 0.5 for indices in torch.nonzero(near, as_tuple=True))
        lens = depth.intrinsics_at(frame)
        x = (float(np.median(columns)) - lens.cx) / lens.fx * distance
        y = (float(np.median(rows)) - lens.cy) / lens.fy * distance
        points.append(_to_world(depth, frame, (x, y, distance)))
    x, y, z = np.median(np.array(points), axis=0).tolist()
    return x, y, z


def _foreground_of(depth: DepthVideo, frame: int) -> tuple[float, Tensor]:
    """Return how far away the foreground of a frame is, and which pixels [H, W] of the middle belong to it."""
    valid = _known(depth, frame)
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


def _of_pixel(scene: Scene, x: float, y: float) -> Vector:
    """Return what a pixel of the clip as it was filmed shows in frame 0."""
    video, depth = scene.video, scene.depth
    left, top, width, height = 0.0, 0.0, float(video.width), float(video.height)
    if (origin := video.origin) is not None:
        left, top, width, height = origin.left, origin.top, origin.width, origin.height
    j, i = math.floor((x - left) * video.width / width), math.floor((y - top) * video.height / height)
    if not (0 <= j < video.width and 0 <= i < video.height):
        raise InvalidInput(
            f"the pixel {x:g},{y:g} to look at is not in the picture; of the clip as it was filmed, x goes from "
            f"{max(0, left):.0f} to {left + width:.0f} and y from {max(0, top):.0f} to {top + height:.0f}"
        )
    around = (
        slice(max(0, i - PIXEL_AROUND), i + PIXEL_AROUND + 1),
        slice(max(0, j - PIXEL_AROUND), j + PIXEL_AROUND + 1),
    )
    values = depth.depth[0][around][depth.valid_at(0)[around]]
    if not len(values):
        raise InvalidInput(f"nothing at the pixel {x:g},{y:g} to look at has a depth; name another")
    z, lens = float(values.median()), depth.intrinsics_at(0)
    return (j + 0.5 - lens.cx) / lens.fx * z, (i + 0.5 - lens.cy) / lens.fy * z, z


def _to_world(depth: DepthVideo, frame: int, point: Vector) -> Vector:
    if depth.cameras is None:
        return point
    matrix = np.linalg.inv(depth.cameras.world_to_camera[frame].double().numpy())
    x, y, z = (matrix @ (*point, 1.0))[:3].tolist()
    return x, y, z


def _known(depth: DepthVideo, frame: int) -> Tensor:
    valid = depth.valid_at(frame)
    if not valid.any():
        ordinal = "the first frame" if frame == 0 else f"frame {frame}"
        raise InvalidInput(f"no pixel of {ordinal} has a depth, so the camera has nothing to move around")
    return valid
