"""Sample random extreme camera paths."""

from __future__ import annotations

import math

import torch

from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.geometry.paths import frame_shares, orbit_eye
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.masks.options import MaskOptions
from ex4d_core.types import CameraPath, DepthVideo


def random_progress(num_frames: int, options: MaskOptions, generator: torch.Generator) -> list[float]:
    """Return how far a move has gone at each frame, from 0 at the first: to 1, or there, to -1 and back.

    It comes back as often as `options.returning` says.
    """
    shares = frame_shares(num_frames)
    returns = draw((0, 1), generator) < options.returning
    return [math.sin(2 * math.pi * share) for share in shares] if returns else shares


def random_path(
    depth: DepthVideo, progress: list[float], options: MaskOptions, generator: torch.Generator
) -> CameraPath:
    """Return a path around the subject, from the source camera to either side and up or down.

    Args:
        depth: of the clip.
        progress: how far it has gone at each frame, -1 to 1.
        options: how far it may go.
        generator: draws where to.

    Raises:
        InvalidInput: no pixel of frame 0 has a depth.
    """
    side = -1 if draw((0, 1), generator) < 0.5 else 1
    yaw, pitch = side * draw(options.angles, generator), draw(options.pitch, generator)
    radius = subject_distance(depth)
    eyes = [orbit_eye(share * yaw, abs(share) * pitch, radius) for share in progress]
    return path_of_eyes(eyes, center=(0.0, 0.0, radius), intrinsics=depth.intrinsics_at(0))


def draw(ends: tuple[float, float], generator: torch.Generator) -> float:
    """Return a random number between two."""
    return ends[0] + (ends[1] - ends[0]) * float(torch.rand(1, generator=generator, dtype=torch.float64))
