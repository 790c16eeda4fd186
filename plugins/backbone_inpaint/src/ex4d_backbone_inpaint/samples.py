"""Frames of a clip, small, as one camera would see them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ex4d_backbone_inpaint.filters import smoothed
from ex4d_core.builtin.render_zbuffer import Bands, Drawing
from ex4d_core.types import Intrinsics, Scene

Floats = NDArray[np.float32]
Floats64 = NDArray[np.float64]

SIDE = 320
"""Longer side of the samples of a static camera in pixels: details of a backdrop are not worth more."""

MOVING_SIDE = 224
"""That of the samples of a moving camera, before the margin."""

_PADDING = 0.5
"""Margin on each side of the view of a moving camera, in sizes of the picture, for what other frames see there."""

EDGE_RATIO = 1.1
"""Ratio of neighboring depths at a depth edge."""

NEAR, FAR = 1e-6, 1e12
"""Clipping planes: depth may have any unit."""

SAMPLE_FILTER = 3
"""Width in pixels of the filter of samples of a static camera, with the weights 1/4, 1/2, 1/4."""

_ONE_THREAD = Bands(1)


@attrs.frozen(eq=False, kw_only=True)
class Samples:
    """Frames of a clip as seen by one camera."""

    color: Floats
    """float32 [K, H, W, 3], 0..255; 0 where nothing is seen."""
    inverse: Floats
    """float32 [K, H, W], inverse depth; 0 where unknown."""
    seen: NDArray[np.bool_]
    """bool [K, H, W], where the color is known."""
    intrinsics: Intrinsics
    world_to_camera: Floats64
    """float64 [4, 4]; the world is the source camera of frame 0."""


def take_samples(scene: Scene, frames: Sequence[int], center: int) -> Samples:
    """Return frames of a clip as the source camera of frame `center` would see them.

    Args:
        scene: the clip.
        frames: indices of the frames.
        center: index of the frame whose camera sees them.
    """
    side = SIDE if scene.depth.has_static_camera else MOVING_SIDE
    pictures = [shrunk(scene, frame, side) for frame in frames]
    color, inverse = (np.stack(arrays) for arrays in zip(*pictures, strict=True))
    if not inverse.any():
        inverse = np.ones_like(inverse)  # a flat wall
    height, width = inverse.shape[1:]
    lens = scene.depth.intrinsics_at(center).scaled_to(width=width, height=height)
    if scene.depth.has_static_camera:
        seen = np.ones(inverse.shape, bool)
        # Faces interpolate linearly, which blurs between vertices and not at them: texture as fine as the grid would
        # flicker when it moves. The samples of a moving camera are smooth since they are interpolated themselves.
        inner = [~beside_edge(near) for near in inverse]  # beside edges, color is mixed with another surface
        color = np.stack([smoothed(rgb, where, size=SAMPLE_FILTER) for rgb, where in zip(color, inner, strict=True)])
        return Samples(color=color, inverse=inverse, seen=seen, intrinsics=lens, world_to_camera=pose_of(scene, center))
    left, top = round(_PADDING * width), round(_PADDING * height)
    wide = Intrinsics(
        fx=lens.fx, fy=lens.fy, cx=lens.cx + left, cy=lens.cy + top, width=width + 2 * left, height=height + 2 * top
    )
    camera = pose_of(scene, center)
    views = []
    for frame, rgb, near in zip(frames, color, inverse, strict=True):
        own = scene.depth.intrinsics_at(frame).scaled_to(width=width, height=height)
        views.append(_seen_from(rgb, near, own, camera @ np.linalg.inv(pose_of(scene, frame)), wide))
    color, inverse = (np.stack(arrays) for arrays in zip(*views, strict=True))
    return Samples(color=color, inverse=inverse, seen=inverse > 0, intrinsics=wide, world_to_camera=camera)


def drawn(points: Floats64, faces: NDArray[np.int32], pose: Floats64, lens: Intrinsics) -> Drawing:
    """Return what a camera at world-to-camera `pose` [4, 4] sees of a mesh; other threads draw other frames."""
    return Drawing.of(points, faces, pose=pose, intrinsics=lens, near=NEAR, far=FAR, bands=_ONE_THREAD)


def grid_faces(height: int, width: int) -> NDArray[np.int32]:
    """Return two faces for each cell of a grid of vertices, int32 [F, 3]."""
    index = np.arange(height * width, dtype=np.int32).reshape(height, width)
    upper_left, upper_right = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    lower_left, lower_right = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    upper = np.stack([lower_left, upper_left, upper_right], axis=1)
    lower = np.stack([lower_left, upper_right, lower_right], axis=1)
    return np.concatenate([upper, lower])


def grid_points(inverse: Floats, columns: Floats64, rows: Floats64, lens: Intrinsics) -> Floats64:
    """Return the points of a grid of image positions with inverse depth > 0, float64 [H * W, 3], in camera axes."""
    z = 1 / inverse.astype(np.float64)
    x, y = (columns - lens.cx) / lens.fx * z, ((rows - lens.cy) / lens.fy)[:, None] * z
    return np.stack([x, y, z], axis=-1).reshape(-1, 3)


def unbroken(inverse: Floats, faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the faces that span no depth edge and no pixel of unknown depth."""
    corners = inverse.ravel()[faces]
    smallest, largest = corners.min(axis=1), corners.max(axis=1)
    return np.ascontiguousarray(faces[(smallest > 0) & (largest <= EDGE_RATIO * smallest)])


def shrunk(scene: Scene, frame: int, side: int) -> tuple[Floats, Floats]:
    """Return the color of a frame and its inverse depth, with a longer side of at most `side` pixels."""
    height, width = scene.depth.depth.shape[1:]
    scale = min(1.0, side / max(height, width))
    size = max(2, round(width * scale)), max(2, round(height * scale))
    color = cv2.resize(scene.video.frames[frame].numpy(), size, interpolation=cv2.INTER_AREA)
    depth = torch.where(scene.depth.valid_at(frame), scene.depth.depth[frame], torch.inf)
    # Means of depth would put points into the air between near and far.
    inverse = cv2.resize((1 / depth).numpy(), size, interpolation=cv2.INTER_NEAREST)
    return color.astype(np.float32), inverse.astype(np.float32)


def beside_edge(inverse: Floats) -> NDArray[np.bool_]:
    """Return the pixels of inverse depth [H, W] with a depth edge to one of their neighbors, bool [H, W]."""
    square = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.dilate(inverse, square) > EDGE_RATIO * cv2.erode(inverse, square))


def pose_of(scene: Scene, frame: int) -> Floats64:
    """Return the world-to-camera pose of the source camera in a frame, float64 [4, 4]."""
    cameras = scene.depth.cameras
    pose = torch.eye(4) if cameras is None else cameras.world_to_camera[frame]
    return np.asarray(pose.double().numpy())


def _seen_from(
    color: Floats, inverse: Floats, lens: Intrinsics, pose: Floats64, view: Intrinsics
) -> tuple[Floats, Floats]:
    """Return color and inverse depth of a frame in another view; nothing is drawn across depth edges."""
    height, width = inverse.shape
    columns: Floats64 = np.arange(width, dtype=np.float64) + 0.5
    rows: Floats64 = np.arange(height, dtype=np.float64) + 0.5
    points = grid_points(np.where(inverse > 0, inverse, 1).astype(np.float32), columns, rows, lens)
    drawing = drawn(points, unbroken(inverse, grid_faces(height, width)), pose, view)
    return drawing.interpolate(color.reshape(-1, 3)), (1 / drawing.depth).astype(np.float32)
