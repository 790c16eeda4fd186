"""Elementary camera moves, in plain floats.

Poses are as the camera where a move starts sees them; angles are degrees, positive to the right and up.
"""

from __future__ import annotations

import math

from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.motion import Start
from ex4d_core.geometry.rigid import (
    Pose,
    Rotation,
    Vector,
    added,
    cross,
    dot,
    length,
    looking_along,
    product,
    rotated,
    rotation_about,
    scaled,
    transpose,
    turned,
    unit,
)

Eye = Vector
"""x, y, z of a camera in world coordinates, in units of the scene."""


def arc_eye(angle: float, radius: float) -> Eye:
    """Return the eye at `angle` degrees on EX-4D's arc: right for a positive angle, slightly up, and inwards.

    The subject is at (0, 0, radius). With t = |angle|: x = r sin t, y = 0.2 r (|cos t| - 1), z = r (1 - |cos t|);
    a negative angle mirrors x (EX-4D, arXiv 2506.05554, the paths of its `--cam 30 | 60 | 90`).
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
    """Return the eye on the sphere around a subject at (0, 0, radius)."""
    right, up = math.radians(yaw), math.radians(pitch)
    return (
        radius * math.sin(right) * math.cos(up),
        -radius * math.sin(up),
        radius * (1 - math.cos(right) * math.cos(up)),
    )


def aimed_from(eye: Eye, start: Start) -> Pose:
    """Return the camera at an eye, turned so that the subject stays where it is in the picture.

    Args:
        eye: in axes whose z goes to the subject and whose x is level; (0, 0, 0) is where the move starts.
        start: where that is.

    Raises:
        InvalidConfig: the subject is where the move starts.
    """
    if start.distance < 1e-9:
        raise InvalidConfig("the camera stands where what it should look at is; stop before it, or look at another")
    to_subject = looking_along(start.subject, up=start.up)
    gaze = looking_along(added((0.0, 0.0, start.distance), scaled(eye, -1)))
    rotation = product(product(to_subject, gaze), transpose(to_subject))
    return Pose(rotation=rotation, position=turned(to_subject, eye))


def level_turn(yaw: float, pitch: float, start: Start) -> Rotation:
    """Return the rotation of a camera that goes `pitch` up and then `yaw` to the right around something, kept level.

    It is about the camera's level right and about up, which both stay what they are where the move starts.
    """
    right = level_right(start)
    about_up = rotation_about(scaled(start.up, -1), -yaw)
    return product(about_up, rotation_about(right, -pitch))


def orbited(yaw: float, pitch: float, start: Start) -> Pose:
    """Return the camera, turned rigidly about the subject, which so stays where it is in the picture."""
    return rotated(level_turn(yaw, pitch, start), about=start.subject)


def level_right(start: Start) -> Vector:
    """Return the camera's right, of length 1, made level; its own where it looks straight up or down."""
    across = cross((0.0, 0.0, 1.0), start.up)
    return unit(across) if length(across) > 1e-6 else (1.0, 0.0, 0.0)


def before(start: Start) -> float:
    """Return how far before the camera, along z, the subject is; not above 0 where it is behind."""
    return dot(start.subject, (0.0, 0.0, 1.0))


def frame_shares(num_frames: int) -> list[float]:
    """Return how much of a move is done at each frame: from 0 to 1 in equal steps; one frame is at 0."""
    return [frame / max(num_frames - 1, 1) for frame in range(num_frames)]


def reference_pace(num_frames: int) -> float:
    """Return k = max(49 / n, n / 49), by which EX-4D multiplies its angles: 1 at 49 frames and more at any other."""
    return max(49 / num_frames, num_frames / 49)
