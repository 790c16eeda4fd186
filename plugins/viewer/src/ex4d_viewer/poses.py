"""Cameras as the page has them: a quaternion and a position, camera to world, in OpenCV's axes as everywhere here."""

from __future__ import annotations

import math

import attrs
import numpy as np
import torch
from torch import Tensor

from ex4d_core.types import CameraPath, Intrinsics


@attrs.frozen(eq=False)
class Placed:
    """A camera in the world."""

    wxyz: np.ndarray
    """Quaternion [4] of the rotation, camera to world."""
    position: np.ndarray
    """float64 [3]."""

    def camera_to_world(self) -> np.ndarray:
        """Return the pose, float64 [4, 4]."""
        import viser.transforms as vtf

        pose = np.eye(4)
        pose[:3, :3] = vtf.SO3(np.asarray(self.wxyz, np.float64)).as_matrix()
        pose[:3, 3] = self.position
        return pose


def placed(world_to_camera: Tensor) -> Placed:
    """Return where a camera with this pose, [4, 4], is."""
    import viser.transforms as vtf

    pose = torch.linalg.inv(world_to_camera.double()).numpy()
    return Placed(vtf.SO3.from_matrix(pose[:3, :3]).wxyz, pose[:3, 3])


def vertical_fov(lens: Intrinsics) -> float:
    """Return the angle of view from the upper to the lower edge in radians."""
    return 2 * math.atan(lens.height / (2 * lens.fy))


def path_of(cameras: list[Placed], lens: Intrinsics) -> CameraPath:
    """Return cameras as a path."""
    poses = np.linalg.inv(np.stack([camera.camera_to_world() for camera in cameras]))
    return CameraPath(world_to_camera=torch.from_numpy(poses).float(), intrinsics=lens)
