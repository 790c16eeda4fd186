"""Sample random extreme camera paths."""

from __future__ import annotations

import math

import torch

from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.geometry.paths import normalized_times, orbit_eye
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.masks.options import MaskOptions
from ex4d_core.types import CameraPath, DepthVideo


def random_progress(num_frames: int, options: MaskOptions, generator: torch.Generator) -> list[float]:
    """Return the progress of a random move at each frame: from 0 to 1, or from 0 to 1, to -1 and back to 0.

    The probability of the latter is `options.return_probability`.
    """
    times = normalized_times(num_frames)
    returns = draw((0, 1), generator) < options.return_probability
    return [math.sin(2 * math.pi * t) for t in times] if returns else times


def random_path(
    depth: DepthVideo, progress: list[float], options: MaskOptions, generator: torch.Generator
) -> CameraPath:
    """Return a random orbit around the subject, from the source camera to either side and up or down.

    Args:
        depth: of the clip.
        progress: progress of the move at each frame, -1 to 1.
        options: ranges of the angles.
        generator: source of randomness.

    Raises:
        InvalidInput: no pixel of frame 0 has a depth.
    """
    side = -1 if draw((0, 1), generator) < 0.5 else 1
    yaw, pitch = side * draw(options.angles, generator), draw(options.pitch, generator)
    radius = subject_distance(depth)
    eyes = [orbit_eye(part * yaw, abs(part) * pitch, radius) for part in progress]
    return path_of_eyes(eyes, center=(0.0, 0.0, radius), intrinsics=depth.intrinsics_at(0))


def draw(interval: tuple[float, float], generator: torch.Generator) -> float:
    """Return a uniform random number in an interval."""
    return interval[0] + (interval[1] - interval[0]) * float(torch.rand(1, generator=generator, dtype=torch.float64))
