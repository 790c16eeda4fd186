"""Animated cameras of Blender as JSON: location and Euler angles XYZ of a camera, in a world with z up.

`camera_animation` has radians and a field of view along the longer side; oscurart/BlenderAddons has degrees, and lens
and sensor in millimeters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ex4d_core.bounds import number, numbers
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._poses import poses_of, positions_of, rigid
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, one_or_each
from ex4d_core.errors import InvalidInput
from ex4d_core.types.camera import Z_UP


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the poses.

    Raises:
        InvalidInput: a frame is malformed.
    """
    facts = content.facts
    if "camera_animation" in facts:
        return _animation(facts["camera_animation"])
    location, angles = (_curve(facts.get(name), name) for name in ("location", "rotation_euler"))
    if len(location) != len(angles) or (location[:, 0] != angles[:, 0]).any():
        raise InvalidInput("location and rotation_euler must have the same frames")
    lens, sensor = (
        number(facts.get(name, default), name, 1e-3, 1e5) for name, default in (("lens", 50), ("sensor_width", 36))
    )
    return _file(location, np.radians(angles[:, 1:]), [2 * math.atan(sensor / 2 / lens)])


def _animation(frames: Any) -> CameraFile:
    needed = ("frame", "location", "rotation_euler")
    if not isinstance(frames, list) or not all(
        isinstance(each, Mapping) and set(needed) <= set(each) for each in frames
    ):
        raise InvalidInput(f"camera_animation must be a list of frames with {', '.join(needed)}")
    location, angles = (numbers([each[name] for each in frames], name) for name in needed[1:])
    if location.shape != angles.shape or location.shape[1:] != (3,):
        raise InvalidInput("each location and rotation_euler must be three numbers")
    stamps = [[number(each["frame"], "frame")] for each in frames]
    degrees = [number(each["fov_degrees"], "fov_degrees", 1e-3, 179.9) for each in frames if "fov_degrees" in each]
    fields = [math.radians(each) for each in degrees] if len(degrees) == len(frames) else None
    return _file(np.concatenate([np.array(stamps), location], axis=1), angles, fields)


def _file(location: np.ndarray, radians: np.ndarray, fields: list[float] | None) -> CameraFile:
    """Return the path of frame numbers and positions [T, 4] and angles [T, 3]."""
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_euler("xyz", radians).as_matrix()
    return CameraFile(
        world_to_camera=poses_of(rigid(turns, location[:, 1:]), "location", "c2w-opengl", world=Z_UP),
        fov=None if fields is None else one_or_each(fields, len(location)),
        fov_side="longer",
        positions=positions_of(location[:, 0]),
    )


def _curve(value: Any, name: str) -> np.ndarray:
    """Return frame numbers and values [T, 4] of an object such as {"1": [1, [0, 0, 0]]}, ordered by frame."""
    pairs = list(value.values()) if isinstance(value, Mapping) else []
    if not pairs or not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], list) for pair in pairs):
        raise InvalidInput(f"{name} must be an object of frames, each with its number and three numbers")
    table = numbers([[pair[0], *pair[1]] for pair in pairs], name)
    if table.shape[1:] != (4,):
        raise InvalidInput(f"{name} must have three numbers for each frame")
    ordered: np.ndarray = table[np.argsort(table[:, 0], kind="stable")]
    return ordered


def _matches(content: Content) -> Match | None:
    if content.kind != "json":
        return None
    found = "camera_animation" in content.facts or content.has("location", "rotation_euler")
    return certain("camera_animation, or location and rotation_euler") if found else None


FORMATS = (
    Format(
        name="blender-animation",
        files="JSON of Blender add-ons: `camera_animation`, or `location` and `rotation_euler`",
        kinds=("json",),
        matches=_matches,
        read=read,
        convention="c2w-opengl",
        world="z up",
        lens="field of view of the longer side",
    ),
)
