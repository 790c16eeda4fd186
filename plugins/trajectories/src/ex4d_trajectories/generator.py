"""What turns any move into a camera path."""

from __future__ import annotations

import torch

from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.paths import frame_shares, reference_pace
from ex4d_core.geometry.subject import nearest_distance, subject_distance
from ex4d_core.trajectory import path_of_eyes
from ex4d_core.types import CameraPath, Scene
from ex4d_trajectories.moves import MOVES
from ex4d_trajectories.options import MoveOptions


class MoveGenerator:
    """The trajectory generator of the move whose options it is given."""

    def __init__(self, options: MoveOptions, *, device: torch.device) -> None:
        self._options = options
        self._move = MOVES[type(options)]

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return a pose for each of `num_frames` frames; world = source camera of frame 0, whose intrinsics it has.

        Raises:
            InvalidConfig: `num_frames` is less than 1.
            InvalidInput: no pixel of frame 0 has a depth.
        """
        if num_frames < 1:
            raise InvalidConfig(f"a camera path needs at least 1 frame, not {num_frames}")
        radius = (nearest_distance if self._options.look_at == "nearest" else subject_distance)(scene.depth)
        turn = reference_pace(num_frames) if self._move.turns and self._options.pace == "frames" else 1.0
        eyes = [self._move.eye_at(share * turn, radius, self._options) for share in frame_shares(num_frames)]
        return path_of_eyes(eyes, center=(0.0, 0.0, radius), intrinsics=scene.depth.intrinsics_at(0))
