"""Camera paths of the nerfstudio viewer and Blender add-on, and the output of `ns-export cameras`.

Paths (nerfstudio: viewer/render_panel.py, cameras/camera_paths.py) have camera-to-world matrices by rows and a vertical
field of view. Keyframes have them by rows, or as a text by columns (scripts/blender/nerfstudio_blender.py). Exports
(scripts/exporter.py) have 3x4 matrices of some frames, in a normalized world.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ex4d_core.bounds import number, numbers, whole
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._names import order_of_names
from ex4d_core.cameras.files._poses import poses_of, positions_of_names
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, one_or_each
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import parse_json
from ex4d_core.types import Intrinsics
from ex4d_core.types.camera import LARGEST_SIDE, Z_UP

WARNING = "is in the normalized world of nerfstudio; use :start=source and :scale=... if it does not fit the scene"


def read_path(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the poses of a path, or its keyframes if it has no poses.

    Raises:
        InvalidInput: it has neither.
    """
    tree = content.facts
    poses, keys = (_objects(tree.get(name, []), name) for name in ("camera_path", "keyframes"))
    if not poses and not keys:
        raise InvalidInput("it has no poses in camera_path and no keyframes")
    if poses:
        matrices = numbers([pose.get("camera_to_world") for pose in poses], "camera_to_world")
    else:
        matrices = np.stack([_key(key.get("matrix")) for key in keys])
    if matrices.shape[1:] not in ((16,), (4, 4)):
        raise InvalidInput("each camera_to_world must be a list of 16 numbers")
    cameras = poses or keys
    times = None if poses or len(keys) == 1 else tuple(np.linspace(0, 1, len(keys)).tolist())
    return CameraFile(
        world_to_camera=poses_of(matrices.reshape(-1, 4, 4), "camera_to_world", "c2w-opengl", world=Z_UP),
        times=times,
        warnings=(WARNING,),
        **_lens(tree, cameras),
    )


def _objects(value: Any, name: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise InvalidInput(f"{name} must be a list of cameras")
    return value


def _key(matrix: Any) -> np.ndarray:
    """Return 16 numbers by rows; texts have them by columns."""
    if not isinstance(matrix, str):
        return numbers(matrix, "matrix").reshape(-1)
    try:
        values = numbers(parse_json(matrix), "matrix")
    except ValueError as error:
        raise InvalidInput("the matrix of a keyframe must be a list of 16 numbers") from error
    if values.shape != (16,):
        raise InvalidInput("the matrix of a keyframe must be a list of 16 numbers")
    return values.reshape(4, 4).T.reshape(-1)


def _lens(tree: Mapping[str, Any], cameras: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the field of `CameraFile` with the intrinsics; the field of view is vertical."""
    default = tree.get("default_fov")
    fields = [camera.get("fov", default) for camera in cameras]
    if any(field is None for field in fields):
        return {}
    angles = [math.radians(number(field, "fov", 1e-3, 179.9, unit="degrees")) for field in fields]
    if not {"render_width", "render_height"} <= set(tree):
        return {"fov": one_or_each(angles, len(angles)), "fov_side": "height"}
    width, height = (whole(tree[name], name, 1, LARGEST_SIDE) for name in ("render_width", "render_height"))
    lenses = [Intrinsics.from_focal(height / 2 / math.tan(angle / 2), width=width, height=height) for angle in angles]
    return {"intrinsics": one_or_each(lenses, len(lenses))}


def read_export(content: Content, reading: ReadOptions) -> CameraFile:
    """Read a list of 3x4 matrices, ordered by the names of their images.

    Raises:
        InvalidInput: an entry has no matrix.
    """
    frames = content.items()
    names = [str(frame.get("file_path", "")) for frame in frames]
    order = order_of_names(names)
    matrices = [frames[at].get("transform") for at in order]
    return CameraFile(
        world_to_camera=poses_of(matrices, "transform", "c2w-opengl", world=Z_UP),
        positions=positions_of_names([names[at] for at in order]),
        warnings=(WARNING,),
    )


def _matches_path(content: Content) -> Match | None:
    found = "camera_path" in content.facts or content.has("keyframes", "render_width")
    return certain("camera_path or keyframes") if found and content.kind == "json" else None


def _matches_export(content: Content) -> Match | None:
    return certain("a list of transform") if content.items() and "transform" in content.items()[0] else None


FORMATS = (
    Format(
        name="nerfstudio-path",
        files="`camera_path.json` of the nerfstudio viewer and Blender add-on",
        kinds=("json",),
        matches=_matches_path,
        read=read_path,
        convention="c2w-opengl",
        world="z up",
        lens="vertical field of view, degrees, can change",
    ),
    Format(
        name="ns-export",
        files="`transforms_train.json` of `ns-export cameras`: a list with `transform`",
        kinds=("json",),
        matches=_matches_export,
        read=read_export,
        convention="c2w-opengl",
        world="z up",
    ),
)
