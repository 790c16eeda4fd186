"""Cameras in the form of viser: a quaternion and a position, camera to world, with OpenCV axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import numpy as np
import viser.transforms as vtf
from torch import Tensor, linalg

from ex4d_core.cameras.generators import sampled
from ex4d_core.geometry.keyframes import interpolate_smooth
from ex4d_core.geometry.motion import Motion
from ex4d_core.geometry.paths import normalized_times
from ex4d_core.geometry.rigid import Pose
from ex4d_core.types import CameraPath, Intrinsics, Scene


@attrs.frozen(eq=False)
class Placed:
    """A camera in the world."""

    wxyz: np.ndarray
    """Quaternion [4] of the rotation, camera to world."""
    position: np.ndarray
    """float64 [3]."""

    def pose(self) -> Pose:
        """Return the pose of the camera."""
        return Pose(rotation=vtf.SO3(np.asarray(self.wxyz, np.float64)).as_matrix(), position=self.position)


def placed(world_to_camera: Tensor) -> Placed:
    """Return the camera of a pose [4, 4]."""
    pose = linalg.inv(world_to_camera.double()).numpy()
    return Placed(vtf.SO3.from_matrix(pose[:3, :3]).wxyz, pose[:3, 3])


def vertical_fov(lens: Intrinsics) -> float:
    """Return the vertical field of view in radians."""
    return 2 * math.atan(lens.height / (2 * lens.fy))


def path_through(keyframes: Sequence[Placed], num_frames: int, scene: Scene) -> CameraPath:
    """Return the smooth path through keyframes at equal times; `--cam FILE` makes the same of the saved ones."""
    poses = [keyframe.pose() for keyframe in keyframes]
    return sampled(Motion(pose=interpolate_smooth(poses, normalized_times(len(poses)))), num_frames, scene)
