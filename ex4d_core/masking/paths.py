"""Random extreme camera paths."""

from __future__ import annotations

import math

import torch

from ex4d_core.geometry.paths import frame_shares, orbit_eye
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.masking.options import MaskOptions
from ex4d_core.trajectory import path_of_eyes
from ex4d_core.types import CameraPath, DepthVideo


def random_path(depth: DepthVideo, options: MaskOptions, generator: torch.Generator) -> CameraPath:
    """Return a path around the subject that starts at the source camera: to either side, and up or down.

    It ends at its farthest, or, as often as `options.returning` says, goes through there, the other side and back.

    Raises:
        InvalidInput: no pixel of frame 0 has a depth.
    """
    angle, pitch, side, returns = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    yaw = math.copysign(_within(options.angles, angle), side - 0.5)
    up = _within(options.pitch, pitch)
    shares = frame_shares(depth.num_frames)
    if returns < options.returning:
        shares = [math.sin(2 * math.pi * share) for share in shares]
    radius = subject_distance(depth)
    eyes = [orbit_eye(share * yaw, abs(share) * up, radius) for share in shares]
    return path_of_eyes(eyes, center=(0.0, 0.0, radius), intrinsics=depth.intrinsics_at(0))


def _within(ends: tuple[float, float], share: float) -> float:
    return ends[0] + share * (ends[1] - ends[0])
