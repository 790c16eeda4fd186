"""Elementary camera poses of moves.

Poses are relative to the camera where a move starts. Angles are in degrees, positive to the right and up.
"""

from __future__ import annotations

import numpy as np

from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.motion import Start
from ex4d_core.geometry.rigid import Pose, Vector, look_rotation, rotation, rotation_about, unit

Eye = tuple[float, float, float]
"""x, y, z of a camera center, in units of the scene."""


def arc_eye(angle: float, radius: float) -> Eye:
    """Return the eye at `angle` degrees on EX-4D's arc: right for a positive angle, slightly up, and inwards.

    The subject is at (0, 0, radius). With a = |angle|: x = r sin a, y = 0.2 r (|cos a| - 1), z = r (1 - |cos a|);
    a negative angle mirrors x (EX-4D, arXiv 2506.05554, the paths of its `--cam 30 | 60 | 90`).
    """
    a = np.radians(angle)
    lift = 1 - abs(np.cos(a))
    return float(radius * np.sin(a)), float(-0.2 * radius * lift), float(radius * lift)


def loop_eye(angle: float, radius: float) -> Eye:
    """Return the eye at `angle` degrees on EX-4D's loop, which is closed at 360 degrees.

    x = r sin a, y = 0.2 r (cos a - 1), z = 0 (EX-4D, the path of its `--cam 180`): it moves right, up
    through the middle, left and back, and sees the subject from 45 degrees at either side.
    """
    a = np.radians(angle)
    return float(radius * np.sin(a)), float(0.2 * radius * (np.cos(a) - 1)), 0.0


def orbit_eye(yaw: float, pitch: float, radius: float) -> Eye:
    """Return the eye on the sphere around a subject at (0, 0, radius)."""
    right, up = np.radians(yaw), np.radians(pitch)
    return (
        float(radius * np.sin(right) * np.cos(up)),
        float(-radius * np.sin(up)),
        float(radius * (1 - np.cos(right) * np.cos(up))),
    )


def aimed_from(eye: Vector | Eye, start: Start) -> Pose:
    """Return the camera at an eye, rotated so that the subject stays at its image position.

    Args:
        eye: in axes at the start of the move whose z points to the subject and whose x is level.
        start: of the move.

    Raises:
        InvalidConfig: the subject is at the start of the move.
    """
    if start.distance < 1e-9:
        raise InvalidConfig("the camera is at the subject, so it cannot look at it; move less far or set look_at")
    to_subject = look_rotation(start.subject, up=start.up)
    gaze = look_rotation(np.array([0.0, 0.0, start.distance]) - eye)
    return Pose(rotation=to_subject @ gaze @ to_subject.T, position=to_subject @ eye)


def level_turn(yaw: float, pitch: float, start: Start) -> np.ndarray:
    """Return the rotation matrix of `pitch` about the level x axis, then of `yaw` about the vertical.

    Both axes are those at the start of the move, so the camera stays level.
    """
    turn: np.ndarray = rotation_about(-start.up, -yaw) @ rotation_about(level_right(start), -pitch)
    return turn


def orbited(yaw: float, pitch: float, start: Start) -> Pose:
    """Return the camera rotated rigidly about the subject, which stays at its image position."""
    return rotation(level_turn(yaw, pitch, start), about=start.subject)


def level_right(start: Start) -> Vector:
    """Return the horizontal right of the camera, of length 1; its x axis if it looks straight up or down."""
    across = np.cross([0.0, 0.0, 1.0], start.up)
    return unit(across) if np.linalg.norm(across) > 1e-6 else np.array([1.0, 0.0, 0.0])


def subject_depth(start: Start) -> float:
    """Return the depth of the subject along z; negative behind the camera."""
    return float(start.subject[2])


def normalized_times(num_frames: int) -> list[float]:
    """Return the normalized time of each frame: equal steps from 0 to 1; a single frame is at 0."""
    return [frame / max(num_frames - 1, 1) for frame in range(num_frames)]


def reference_angle_scale(num_frames: int) -> float:
    """Return max(49 / n, n / 49), the factor of EX-4D for angles: 1 at 49 frames, larger at any other number."""
    return max(49 / num_frames, num_frames / 49)
