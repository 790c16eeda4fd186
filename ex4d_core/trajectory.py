"""Camera paths made from eye positions."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.geometry.paths import Eye, arc_eye, frame_shares
from ex4d_core.geometry.projective import look_at
from ex4d_core.types import CameraPath, Intrinsics, Scene


def path_of_eyes(eyes: Sequence[Eye], *, center: Eye, intrinsics: Intrinsics) -> CameraPath:
    """Return the path of a camera that is at each of `eyes` in turn and looks at `center` (world coordinates)."""
    positions = torch.tensor(eyes, dtype=torch.float64).reshape(-1, 3)
    poses = look_at(positions, torch.tensor(center, dtype=torch.float64))
    return CameraPath(world_to_camera=poses, intrinsics=intrinsics)


class GivenPath:
    """The trajectory generator that always gives one path."""

    def __init__(self, path: CameraPath) -> None:
        self._path = path

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return the path.

        Raises:
            InvalidInput: it has another number of poses than there are frames.
        """
        if self._path.num_frames != num_frames:
            raise InvalidInput(
                f"the camera path has {self._path.num_frames} poses but the clip has {num_frames} frames; "
                f"make the path with {num_frames} or give a clip of {self._path.num_frames}"
            )
        return self._path


def generate_camera_trajectory(
    start_angle: float = -90,
    end_angle: float = 90,
    num_frames: int = 49,
    *,
    radius: float = 1.0,
    intrinsics: Intrinsics | None = None,
) -> CameraPath:
    """Return a sweep along EX-4D's arc around a subject, for those who want a path without a scene.

    Args:
        start_angle: of the first frame in degrees, -90 (left) to 90 (right); 0 is the source camera.
        end_angle: of the last frame in degrees, -90 to 90.
        num_frames: length of the path.
        radius: distance from the source camera to the subject it looks at, in the units of the scene's depth;
            multiplying it scales the path.
        intrinsics: of the camera; None means 512x512 with the default field of view.

    Raises:
        InvalidConfig: an angle, the length or the radius is out of range.
    """
    for name, angle in (("start_angle", start_angle), ("end_angle", end_angle)):
        if not -90 <= angle <= 90:
            raise InvalidConfig(f"{name} must be between -90 and 90 degrees, not {angle:g}")
    if num_frames < 1:
        raise InvalidConfig(f"num_frames must be at least 1, not {num_frames}")
    if not radius > 0:
        raise InvalidConfig(f"radius must be more than 0, not {radius:g}")
    angles = [start_angle + share * (end_angle - start_angle) for share in frame_shares(num_frames)]
    return path_of_eyes(
        [arc_eye(angle, radius) for angle in angles],
        center=(0.0, 0.0, radius),
        intrinsics=intrinsics or Intrinsics.from_fov(width=512, height=512),
    )
