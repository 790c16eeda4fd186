"""Cameras as the page has them: a quaternion and a position, camera to world, in OpenCV's axes as everywhere here."""

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
        """Return the camera as the world sees it."""
        return Pose(rotation=vtf.SO3(np.asarray(self.wxyz, np.float64)).as_matrix(), position=self.position)


def placed(world_to_camera: Tensor) -> Placed:
    """Return where a camera with this pose, [4, 4], is."""
    pose = linalg.inv(world_to_camera.double()).numpy()
    return Placed(vtf.SO3.from_matrix(pose[:3, :3]).wxyz, pose[:3, 3])


def vertical_fov(lens: Intrinsics) -> float:
    """Return the angle of view from the upper to the lower edge in radians."""
    return 2 * math.atan(lens.height / (2 * lens.fy))


def path_through(keyframes: Sequence[Placed], num_frames: int, scene: Scene) -> CameraPath:
    """Return the smooth path through keyframes at equal times, as `--cam FILE` makes it of the saved ones."""
    poses = [keyframe.pose() for keyframe in keyframes]
    return sampled(Motion(pose=interpolate_smooth(poses, normalized_times(len(poses)))), num_frames, scene)
