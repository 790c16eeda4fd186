"""Cameras of ComfyUI's 3D nodes (comfy_extras: LOAD3D_CAMERA, CreateCameraInfo), as in three.js.

Position and quaternion of a camera with OpenGL axes in a world with y up; without quaternion it looks at `target`. The
field of view is vertical.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ex4d_core.bounds import number
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._poses import Y_UP, poses_of, rigid, rotations_of
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, one_or_each
from ex4d_core.errors import InvalidInput

DEFAULT_FOV = 35.0
"""Of CreateCameraInfo, in degrees."""

NEAREST = 1e-9
"""Smallest distance at which a camera can look at a point."""


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read one camera, or a list.

    Raises:
        InvalidInput: a camera is malformed.
    """
    cameras = content.items() or [content.facts]
    position = np.array([_numbers(camera.get("position"), "xyz", "position") for camera in cameras])
    turns = np.stack([_rotation(camera, at) for camera, at in zip(cameras, position, strict=True)])
    return CameraFile(
        world_to_camera=poses_of(rigid(turns, position), "position", "c2w-opengl", world=Y_UP),
        fov=one_or_each([_field(camera) for camera in cameras], len(cameras)),
        fov_side="height",
    )


def _numbers(value: Any, names: str, name: str) -> list[float]:
    if not isinstance(value, Mapping) or not set(names) <= set(value):
        raise InvalidInput(f"{name} must be an object with {', '.join(names)}")
    return [number(value[each], f"{name}.{each}") for each in names]


def _rotation(camera: Mapping[str, Any], position: np.ndarray) -> np.ndarray:
    if camera.get("quaternion") is not None:
        turn: np.ndarray = rotations_of(np.array([_numbers(camera["quaternion"], "xyzw", "quaternion")]))[0]
        return turn
    back = position - np.array(_numbers(camera.get("target"), "xyz", "target"))
    right = np.cross([0.0, 1.0, 0.0], back)
    if min(np.linalg.norm(back), np.linalg.norm(right)) < NEAREST:
        raise InvalidInput("a camera is at its target, or straight above or below it")
    x, z = right / np.linalg.norm(right), back / np.linalg.norm(back)
    return np.stack([x, np.cross(z, x), z], axis=1)


def _field(camera: Mapping[str, Any]) -> float:
    angle = math.radians(number(camera.get("fov", DEFAULT_FOV), "fov", 1e-3, 179.9, unit="degrees"))
    zoom = number(camera.get("zoom", 1.0), "zoom", 1e-3, 1e3)
    return 2 * math.atan(math.tan(angle / 2) / zoom)


def _matches(content: Content) -> Match | None:
    if content.kind != "json":
        return None
    first = content.items()[0] if content.items() else content.facts
    found = isinstance(first.get("position"), Mapping) and {"target", "quaternion"} & set(first)
    return certain("position, and target or quaternion") if found else None


FORMATS = (
    Format(
        name="comfyui",
        files="camera JSON of ComfyUI: `position`, `quaternion` or `target`, `fov`",
        kinds=("json",),
        matches=_matches,
        read=read,
        convention="c2w-opengl",
        world="y up",
        lens="vertical field of view, degrees",
    ),
)
