"""Matrices without a declared convention, in JSON lists, NumPy files, archives and tables; the user declares it.

Numbers cannot tell camera to world from world to camera: both are rigid transforms, and a path is as smooth as its
inverse. Only the name of an array can.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ex4d_core.cameras.files._format import Content, Format, Match, likely, possible
from ex4d_core.cameras.files._poses import lens_fields, square, to_world_to_camera
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, required_convention
from ex4d_core.errors import InvalidInput

DIRECTIONS = {
    **dict.fromkeys(("c2w", "c2ws", "cam_c2w", "cam2world", "camera_to_world", "camtoworlds", "T_wc"), "c2w"),
    **dict.fromkeys(("w2c", "w2cs", "world2cam", "world_to_camera", "viewmats", "extrinsics_w2c"), "w2c"),
}
"""Direction of matrices by their name."""

POSES = (
    *DIRECTIONS,
    "extrinsics",
    "extrinsic",
    "poses",
    "pose",
    "camera_poses",
    "cam_poses",
    "matrices",
    "cameras",
    "trajectory",
    "data",
    "arr_0",
)
LENSES = ("intrinsics", "intrinsic", "K", "Ks")
COLUMNS = (12, 16)


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read matrices in the convention of the user.

    Raises:
        InvalidInput: they are not poses, or their convention is unknown.
    """
    name, value = _matrices(content, reading)
    matrices = square(value, name)
    direction = DIRECTIONS.get(name)
    convention = required_convention(reading, matrices, directions=direction or "c2w or w2c")
    poses = to_world_to_camera(matrices, convention)
    lens = next((each for each in LENSES if content.has(each)), None)
    fields = {} if lens is None else lens_fields(content.value[lens], None, len(poses), name=lens)
    if direction is not None and not convention.startswith(direction):
        warning = f"has an array {name}, but its matrices are read as {convention}, as requested"
        return CameraFile(world_to_camera=poses, warnings=(warning,), **fields)
    return CameraFile(world_to_camera=poses, **fields)


def _matrices(content: Content, reading: ReadOptions) -> tuple[str, Any]:
    """Return the name and the value of the matrices; of several arrays, one whose name has the requested direction."""
    if content.kind == "text":
        return "the table", content.value.table
    if items := _items(content):
        name = next((name for name in POSES if all(name in item for item in items)), "")
        return name, [item[name] for item in items] if name else None
    if content.kind == "npz" or content.facts:
        found = [name for name in POSES if content.has(name)]
        if not found:
            raise InvalidInput(f"it has no matrices; they can be named {', '.join(POSES[:10])}")
        wanted = (reading.convention or "")[:3]
        found.sort(key=lambda name: DIRECTIONS.get(name, wanted) != wanted)
        return found[0], content.value[found[0]]
    return "a camera path", content.value


def _items(content: Content) -> list[Mapping[str, Any]]:
    """Return the objects of a list in JSON, which can be named frames."""
    frames = content.facts.get("frames") if content.kind == "json" else None
    if isinstance(frames, list) and frames and all(isinstance(each, Mapping) for each in frames):
        return frames
    return content.items()


def _matches(content: Content) -> Match | None:
    if content.kind == "text":
        table = content.value.table
        return possible(f"a table of {table.shape[1]} columns") if table.shape[1] in COLUMNS else None
    if content.has("frames") and (items := _items(content)):
        return likely("frames with matrices") if any(name in items[0] for name in POSES) else None
    if content.facts:
        found = next((name for name in POSES if _is_path(content.shape(name))), None)
        return possible(f"an array {found} of matrices") if found else None
    if content.kind == "npy":
        return possible("an array of matrices") if _is_path(np.shape(content.value)) else None
    if items := content.items():
        return possible("a list of matrices") if any(name in items[0] for name in POSES) else None
    return possible("a list") if isinstance(content.value, list) else None


def _is_path(shape: tuple[int, ...]) -> bool:
    shape = shape[1:] if len(shape) == 4 and shape[0] == 1 else shape
    return (shape[-2:] in ((4, 4), (3, 4)) and len(shape) in (2, 3)) or (len(shape) == 2 and shape[1] in COLUMNS)


FORMATS = (
    Format(
        name="matrices",
        files="JSON, `.npy`, `.npz` and tables of 4x4 or 3x4 matrices; `convention=` is required",
        kinds=("json", "npy", "npz", "text"),
        matches=_matches,
        read=read,
        lens="pixels (`intrinsics`, `K`)",
    ),
)
