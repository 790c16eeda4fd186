"""The trajectory generator of all moves."""

from __future__ import annotations

import math
from typing import Any

import attrs
import torch

from ex4d_core.cameras.generators import check_num_frames, sampled
from ex4d_core.geometry.motion import Motion, Start
from ex4d_core.geometry.paths import reference_angle_scale
from ex4d_core.geometry.rigid import Pose
from ex4d_core.geometry.subject import subject_point
from ex4d_core.types import CameraPath, Scene
from ex4d_trajectories.moves import IMPLEMENTATIONS

RADIANS_NEAR = 0.002
"""An angle this close to a simple fraction of pi looks like radians."""


class MoveGenerator:
    """A trajectory generator; the class of its options determines the move."""

    def __init__(self, options: Any, *, device: torch.device) -> None:
        self._options = options
        self._move = IMPLEMENTATIONS[type(options)]

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return a pose for each of `num_frames` frames; world = source camera of frame 0, with its intrinsics.

        Raises:
            InvalidConfig: `num_frames` is less than 1, or an option does not fit the clip.
            InvalidInput: the subject cannot be located.
        """
        return sampled(self.motion(num_frames, scene, Pose.identity()), num_frames, scene)

    def motion(self, num_frames: int, scene: Scene, start: Pose) -> Motion:
        """Return the move that starts at a camera pose.

        Args:
            num_frames: length of the whole path, for `angle_scaling="reference"`.
            scene: the clip and its depth.
            start: the pose in world coordinates.

        Raises:
            InvalidConfig: `num_frames` is less than 1.
            InvalidInput: the subject cannot be located.
        """
        check_num_frames(num_frames)
        options, pose, time = self._options, self._move.pose, self._move.time
        timing = None if time is None else lambda t, clock: time(t, clock, options)
        if pose is None:
            return Motion(pose=lambda t: Pose.identity(), timing=timing)
        at_start = Start.at(start, subject=subject_point(scene, options.look_at))
        scale = reference_angle_scale(num_frames) if self._move.scales and options.angle_scaling == "reference" else 1.0
        return Motion(pose=lambda t: pose(t * scale, at_start, options), timing=timing)

    def warnings(self, scene: Scene) -> list[str]:
        """Return a warning for each angle that looks like radians."""
        angles = {
            field.name: getattr(self._options, field.name)
            for field in attrs.fields(type(self._options))
            if field.metadata.get("unit") == "degrees"
        }
        return [
            f"{self._move.name}: {name} is {angle:g} degrees; if it is meant in radians, use {math.degrees(angle):.4g}"
            for name, angle in angles.items()
            if isinstance(angle, int | float)
            and any(abs(abs(angle) - math.pi / part) < RADIANS_NEAR for part in (1, 2, 3, 4, 6))
        ]
