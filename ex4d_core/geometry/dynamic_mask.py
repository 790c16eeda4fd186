"""Find what moves in a clip by optical flow and depth that the motion of the source camera does not explain.

Each frame is compared with one before and one after it. A static point moves in the image as its depth and the poses of
the source camera say. Where the optical flow (DIS, Kroeger et al., 2016) differs from that, or the other frame sees
through the point, and the colors differ as well, something moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ex4d_core.types import Scene

SIDE = 256
"""Longer side of the frames that are compared, in pixels."""

LEAST_SIDE = 16
"""Shorter side of these frames; DIS crashes on smaller ones."""

STEP = 2
"""Frames between two that are compared, so that slow motion is seen."""

MOTION = 0.6
"""Motion in pixels of the compared frames from which a point moves."""

PARALLAX = 0.25
"""The same, as a fraction of the motion that depth and poses cause, since both have errors."""

GONE = 1.25
"""Ratio of the inverse depth of a point to that of what another frame sees in its place, from which it has moved."""

COLOR = 5.0
"""Smallest difference in levels between a point and where it would be if it did not move."""

MARGIN = 5
"""Width of the margin around things that move, in pixels of the compared frames: flow is vague at edges."""

Floats = NDArray[np.float32]


def dynamic_mask(scene: Scene, frames: Sequence[int]) -> Tensor:
    """Return where something moves in some frames of a clip, bool [N, H, W]."""
    height, width = scene.depth.depth.shape[1:]
    scale = min(1.0, SIDE / max(height, width))
    size = max(LEAST_SIDE, round(width * scale)), max(LEAST_SIDE, round(height * scale))
    last, pictures = scene.video.num_frames - 1, _Pictures(scene, size)
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    masks = []
    for frame in frames:
        moves = np.zeros(size[::-1], bool)
        for other in {max(frame - STEP, 0), min(frame + STEP, last)} - {frame}:
            here, there = pictures.gray(frame), pictures.gray(other)
            expected, inverse = _if_static(scene, frame, other, size)
            flow = finder.calc(here, there, expected.copy())
            error = np.linalg.norm(flow - expected, axis=-1)
            if not scene.depth.has_static_camera:
                error -= np.median(error)  # errors of the poses move everything
            elsewhere = error > MOTION + PARALLAX * np.linalg.norm(expected, axis=-1)
            gone = inverse > GONE * _moved(_inverse_depth(scene, other, size), expected, cv2.INTER_NEAREST)
            # Along edges and in plain areas, flow is a guess.
            differs = cv2.absdiff(here, _moved(there, expected, cv2.INTER_LINEAR))
            moves |= (elsewhere | gone) & (cv2.GaussianBlur(differs, (0, 0), 1.0) > COLOR)
        # Single pixels are noise.
        moves = cv2.morphologyEx(moves.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        grown = cv2.dilate(moves, _disk(MARGIN))
        grown = cv2.morphologyEx(grown, cv2.MORPH_CLOSE, _disk(MARGIN))
        masks.append(cv2.resize(grown, (width, height), interpolation=cv2.INTER_NEAREST) > 0)
    return torch.from_numpy(np.stack(masks))


def _disk(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)


def _moved(image: NDArray[Any], flow: Floats, interpolation: int) -> NDArray[Any]:
    """Return the values of an image [h, w] at each pixel moved by a flow [h, w, 2]."""
    rows, columns = np.indices(image.shape, np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    return np.asarray(cv2.remap(image, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE))


class _Pictures:
    """Small gray frames of a clip."""

    def __init__(self, scene: Scene, size: tuple[int, int]) -> None:
        self._scene, self._size = scene, size
        self._made: dict[int, NDArray[np.uint8]] = {}

    def gray(self, frame: int) -> NDArray[np.uint8]:
        """Return one frame, uint8 [h, w]."""
        if frame not in self._made:
            gray = cv2.cvtColor(self._scene.video.frames[frame].numpy(), cv2.COLOR_RGB2GRAY)
            self._made[frame] = np.asarray(cv2.resize(gray, self._size, interpolation=cv2.INTER_AREA))
        return self._made[frame]


def _inverse_depth(scene: Scene, frame: int, size: tuple[int, int]) -> Floats:
    """Return the inverse depth of a frame, float32 [h, w], 0 where unknown."""
    known = torch.where(scene.depth.valid_at(frame), scene.depth.depth[frame], torch.inf)
    return np.asarray(cv2.resize((1 / known).numpy(), size, interpolation=cv2.INTER_NEAREST))


def _if_static(scene: Scene, frame: int, other: int, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return where another frame sees static points, as motion in pixels [h, w, 2], and their inverse depth there."""
    width, height = size
    depth, inverse = scene.depth, _inverse_depth(scene, frame, size)
    lens, other_lens = (depth.intrinsics_at(each).scaled_to(width=width, height=height) for each in (frame, other))
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([(columns - lens.cx) / lens.fx, (rows - lens.cy) / lens.fy, np.ones_like(columns)], axis=-1)
    pose = np.linalg.inv(depth.source_to_world(other).double().numpy()) @ depth.source_to_world(frame).double().numpy()
    # Homogeneous points (ray, inverse depth), so that points at infinity only rotate.
    points = rays @ pose[:3, :3].T + inverse[..., None] * pose[:3, 3]
    z = np.maximum(points[..., 2], 1e-6)
    x, y = other_lens.fx * points[..., 0] / z + other_lens.cx, other_lens.fy * points[..., 1] / z + other_lens.cy
    return np.stack([x - columns, y - rows], axis=-1).astype(np.float32), (inverse / z).astype(np.float32)
