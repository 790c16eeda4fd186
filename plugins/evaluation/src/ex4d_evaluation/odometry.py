"""Camera poses of a video with depth, for depth estimators that do not estimate poses.

Corners are tracked from each frame to the next (Lucas-Kanade), unprojected with the depth of the first of both, and the
motion between the frames is the pose of these points in the second (PnP with RANSAC, EPnP and a refinement).
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ex4d_core.errors import InvalidInput
from ex4d_core.progress import Progress
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Video

Array = NDArray[np.float64]

CORNERS, QUALITY, SPACING = 1500, 0.005, 4
"""Largest number of corners of a frame, smallest relative response, and smallest distance in pixels."""
THERE_AND_BACK = 0.5
"""Largest distance in pixels between a corner and its track to the other frame and back."""
INLIER = 1.0
"""Largest error of an inlier in pixels."""
LEVEL = 1.05
"""Largest ratio of the depths around a corner; others are at an edge."""
FEWEST = 12
"""Smallest number of inliers of a motion."""


def poses_by_odometry(video: Video, depth: DepthVideo, *, progress: Progress) -> CameraPath:
    """Return poses of the camera (world = camera of frame 0) in the unit of the depth.

    Errors add up over the frames.

    Args:
        video: the frames.
        depth: metric or relative depth of the frames, and the intrinsics.
        progress: reports frames.

    Raises:
        InvalidInput: depth is known up to an affine change of its inverse, or the motion of a frame cannot be found.
    """
    if depth.kind is DepthKind.AFFINE_INVERSE:
        raise InvalidInput(
            "depth with an unknown shift has no geometry that a camera path can be found from; use an estimator with "
            "poses, such as --depth da3, or a metric model, such as --depth transformers --set depth.model=depth-pro"
        )
    poses = [np.eye(4)]
    progress(0, video.num_frames)
    for frame, motion in enumerate(_motions(video, depth), start=1):
        poses.append(motion @ poses[-1])
        progress(frame + 1, video.num_frames)
    return CameraPath(world_to_camera=torch.from_numpy(np.stack(poses)).float(), intrinsics=depth.intrinsics)


def _motions(video: Video, depth: DepthVideo) -> Iterator[Array]:
    """Yield the transform from each camera to the next, float64 [4, 4]."""
    frames = video.frames.numpy()
    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    for frame in range(1, len(grays)):
        before, after = _tracks(grays[frame - 1], grays[frame])
        points, seen = _unprojected(before, depth, frame - 1)
        motion = _pose(points[seen], after[seen], depth.intrinsics_at(frame))
        if motion is None:
            raise InvalidInput(f"the motion of the camera between frames {frame - 1} and {frame} cannot be found")
        yield motion


def _tracks(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Return pixels [N, 2] of a frame and where they are in another; the center of the first pixel is (0, 0)."""
    corners = cv2.goodFeaturesToTrack(one, CORNERS, QUALITY, SPACING)
    if corners is None:
        return np.zeros((0, 2)), np.zeros((0, 2))
    there, found, _ = cv2.calcOpticalFlowPyrLK(one, other, corners, np.empty_like(corners))
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(other, one, there, np.empty_like(corners))
    stable = np.linalg.norm(back - corners, axis=2) < THERE_AND_BACK
    kept = (stable & (found > 0) & (found_back > 0)).ravel()
    return corners[kept, 0].astype(np.float64), there[kept, 0].astype(np.float64)


def _unprojected(pixels: Array, depth: DepthVideo, frame: int) -> tuple[Array, NDArray[np.bool_]]:
    """Return points [N, 3] in the camera of a frame, and where their depth is known and has no edge."""
    values, valid = depth.depth[frame].numpy(), depth.valid_at(frame).numpy()
    known = np.where(valid, values, 0).astype(np.float32)
    column, row = np.rint(pixels).astype(int).T
    z = known[row, column].astype(np.float64)
    near, far = (grow(known, np.ones((3, 3), np.uint8)) for grow in (cv2.erode, cv2.dilate))
    flat = (far < LEVEL * near)[row, column]
    lens = depth.intrinsics_at(frame)
    x, y = (pixels[:, 0] + 0.5 - lens.cx) / lens.fx, (pixels[:, 1] + 0.5 - lens.cy) / lens.fy
    return np.stack([x * z, y * z, z], axis=1), flat


def _pose(points: Array, pixels: Array, lens: Intrinsics) -> Array | None:
    """Return the pose [4, 4] in which points are seen at pixels, or None if there is none."""
    if len(points) < FEWEST:
        return None
    matrix = lens.matrix() - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    cv2.setRNGSeed(0)
    found, turn, shift, inliers = cv2.solvePnPRansac(
        points, pixels, matrix, None, reprojectionError=INLIER, iterationsCount=300, flags=cv2.SOLVEPNP_EPNP
    )
    if not found or inliers is None or len(inliers) < FEWEST:
        return None
    inside = inliers.ravel()
    turn, shift = cv2.solvePnPRefineLM(points[inside], pixels[inside], matrix, None, turn, shift)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(turn)[0], shift.ravel()
    return pose
