"""Where a moving camera is: eye positions in world coordinates, in plain floats.

World = source camera of frame 0 (x right, y down, z forward); a subject at distance `radius` is at (0, 0, radius).
"""

from __future__ import annotations

import math

Eye = tuple[float, float, float]
"""x, y, z of a camera in world coordinates, in units of the scene."""


def arc_eye(angle: float, radius: float) -> Eye:
    """Return the eye at `angle` degrees on EX-4D's arc: right for a positive angle, slightly up, and inwards.

    With t = |angle|: x = r sin t, y = 0.2 r (|cos t| - 1), z = r (1 - |cos t|); a negative angle mirrors x
    (EX-4D, arXiv 2506.05554, the paths of its `--cam 30 | 60 | 90`).
    """
    turn = math.radians(angle)
    lift = 1 - abs(math.cos(turn))
    return radius * math.sin(turn), -0.2 * radius * lift, radius * lift


def loop_eye(angle: float, radius: float) -> Eye:
    """Return the eye at `angle` degrees on EX-4D's loop, which 360 degrees close.

    x = r sin t, y = 0.2 r (cos t - 1), z = 0 (EX-4D, the path of its `--cam 180`): it goes right, up
    through the middle, left and back, and sees the subject from 45 degrees at either side.
    """
    turn = math.radians(angle)
    return radius * math.sin(turn), 0.2 * radius * (math.cos(turn) - 1), 0.0


def orbit_eye(yaw: float, pitch: float, radius: float) -> Eye:
    """Return the eye on the sphere around the subject: `yaw` degrees to the right and `pitch` degrees up."""
    right, up = math.radians(yaw), math.radians(pitch)
    return (
        radius * math.sin(right) * math.cos(up),
        -radius * math.sin(up),
        radius * (1 - math.cos(right) * math.cos(up)),
    )


def frame_shares(num_frames: int) -> list[float]:
    """Return how much of a move is done at each frame: from 0 to 1 in equal steps; one frame is at 0."""
    return [frame / max(num_frames - 1, 1) for frame in range(num_frames)]


def reference_pace(num_frames: int) -> float:
    """Return k = max(49 / n, n / 49), by which EX-4D multiplies its angles: 1 at 49 frames and more at any other."""
    return max(49 / num_frames, num_frames / 49)
