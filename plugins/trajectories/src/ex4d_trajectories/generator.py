"""What turns any move into a camera path."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.geometry.paths import frame_shares, reference_pace
from ex4d_core.trajectory import path_of_eyes
from ex4d_core.types import CameraPath, DepthVideo, Scene
from ex4d_trajectories.moves import MOVES
from ex4d_trajectories.options import MoveOptions

SUBJECT_PERCENTILE = 0.25
"""Nearer than most of what is in the middle of the picture, so that a thing before a wall counts and not the wall."""


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


def subject_distance(depth: DepthVideo) -> float:
    """Return how far away what is in the middle of frame 0 is, along z, in the units of the depth.

    The 25th percentile of what is known in the central half of the picture (in all of it where nothing is known
    there), rounded up in rank so that one bad pixel is never it.

    Raises:
        InvalidInput: no pixel of frame 0 has a depth.
    """
    valid = _known(depth)
    height, width = valid.shape
    middle = torch.zeros_like(valid)
    middle[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    chosen = valid & middle
    values = depth.depth[0][chosen if chosen.any() else valid]
    # kthvalue, because torch.quantile refuses more than 16 million values.
    rank = math.ceil(SUBJECT_PERCENTILE * (len(values) - 1))
    return float(values.kthvalue(rank + 1).values)


def nearest_distance(depth: DepthVideo) -> float:
    """Return EX-4D's distance: the smallest depth of frame 0 plus 0.15, its outermost ring of pixels taken as 100.

    Raises:
        InvalidInput: no pixel of frame 0 has a depth.
    """
    known = depth.depth[0].where(_known(depth), torch.inf)
    inside = known[1:-1, 1:-1]
    return min([float(inside.amin()), 100.0] if inside.numel() else [100.0]) + 0.15


def _known(depth: DepthVideo) -> Tensor:
    valid = depth.valid_at(0)
    if not valid.any():
        raise InvalidInput("no pixel of the first frame has a depth, so the camera has nothing to move around")
    return valid
