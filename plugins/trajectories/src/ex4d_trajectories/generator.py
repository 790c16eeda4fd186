"""What turns any move into a camera path."""

from __future__ import annotations

import math
from typing import Any

import attrs
import torch

from ex4d_core.cameras.generators import refuse_no_frames, sampled
from ex4d_core.geometry.motion import Motion, Start
from ex4d_core.geometry.paths import reference_pace
from ex4d_core.geometry.rigid import HERE, Pose
from ex4d_core.geometry.subject import subject_point
from ex4d_core.types import CameraPath, Scene
from ex4d_trajectories.moves import MOVES

RADIANS_NEAR = 0.002
"""How near to a simple part of pi an angle looks like one in radians."""


class MoveGenerator:
    """The trajectory generator of the move whose options it is given."""

    def __init__(self, options: Any, *, device: torch.device) -> None:
        self._options = options
        self._move = MOVES[type(options)]

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return a pose for each of `num_frames` frames; world = source camera of frame 0, whose lens it starts with.

        Raises:
            InvalidConfig: `num_frames` is less than 1, or an option does not fit the clip.
            InvalidInput: nothing has a depth where the subject should be.
        """
        return sampled(self.motion(num_frames, scene, HERE), num_frames, scene)

    def motion(self, num_frames: int, scene: Scene, start: Pose) -> Motion:
        """Return the move from where another has brought the camera.

        Args:
            num_frames: of the whole path, for `pace="frames"`.
            scene: the clip and its depth.
            start: the camera there, in the world.

        Raises:
            InvalidConfig: `num_frames` is less than 1.
            InvalidInput: nothing has a depth where the subject should be.
        """
        refuse_no_frames(num_frames)
        options, pose, time = self._options, self._move.pose, self._move.time
        timing = None if time is None else lambda share, clock: time(share, clock, options)
        if pose is None:
            return Motion(pose=lambda share: HERE, timing=timing)
        knows = Start.at(start, subject=subject_point(scene, options.look_at))
        turn = reference_pace(num_frames) if self._move.turns and options.pace == "frames" else 1.0
        return Motion(pose=lambda share: pose(share * turn, knows, options), timing=timing)

    def warnings(self, scene: Scene) -> list[str]:
        """Return which angles look as if they were meant in radians, a sentence each."""
        angles = {
            field.name: getattr(self._options, field.name)
            for field in attrs.fields(type(self._options))
            if field.metadata.get("unit") == "degrees"
        }
        return [
            f"{self._move.name}: {name} is {angle:g} degrees; "
            f"if that is meant in radians, say {math.degrees(angle):.4g}"
            for name, angle in angles.items()
            if isinstance(angle, int | float)
            and any(abs(abs(angle) - math.pi / part) < RADIANS_NEAR for part in (1, 2, 3, 4, 6))
        ]
