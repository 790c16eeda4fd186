"""Matrices without a declared convention, in JSON lists, NumPy files, archives and tables; the user declares it.

Numbers cannot tell camera to world from world to camera: both are rigid transforms, and a path is as smooth as its
inverse. Only the name of an array can.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from ex4d_core.bounds import numbers
from ex4d_core.cameras.files._format import Content, Format, Match, Text, likely, possible
from ex4d_core.cameras.files._names import order_of_names
from ex4d_core.cameras.files._poses import (
    MATRICES,
    are_rigid,
    lens_fields,
    order_of,
    positions_of,
    positions_of_names,
    square,
    to_world_to_camera,
)
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
    "extrinsic_matrix",
    "transform_matrix",
    "poses",
    "pose",
    "camera_poses",
    "cam_poses",
    "matrices",
    "matrix",
    "cameras",
    "trajectory",
    "data",
    "arr_0",
)
LENSES = ("intrinsics", "intrinsic", "K", "Ks")
COLUMNS = (12, 16)
TOLERANCE = 0.01
"""Largest deviation of a rotation in a table, with few digits."""

NUMBERS = ("inds", "frame_ids", "frame_indices", "frame_numbers", "indices", "frames", "timestamps", "times")
"""Names of arrays with the number or time of each pose."""

LABELS = ("frame_id", "frame", "frame_index", "index", "id", "file_path", "image_path", "image_name", "name")
"""Names or numbers of frames in a list of objects."""


@attrs.frozen(kw_only=True)
class _Found:
    """Matrices in a file, not yet interpreted."""

    name: str
    """In the file, which can tell their direction."""
    value: Any
    order: list[int] | None = None
    """Their order, if the file names or numbers them."""
    positions: tuple[int, ...] | None = None


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read matrices in the convention of the user.

    Raises:
        InvalidInput: they are not poses, or their convention is unknown.
    """
    found = _matrices(content, reading)
    matrices = square(found.value, found.name)
    matrices = matrices if found.order is None else matrices[found.order]
    direction = DIRECTIONS.get(found.name)
    convention = required_convention(reading, matrices, directions=direction or "c2w or w2c")
    poses = to_world_to_camera(matrices, convention)
    wrong = direction is not None and not convention.startswith(direction)
    warning = f"has an array {found.name}, but its matrices are read as {convention}, as requested"
    return CameraFile(
        world_to_camera=poses,
        positions=found.positions,
        warnings=(warning,) if wrong else (),
        **_lens_fields(content, found.order, len(poses)),
    )


def _lens_fields(content: Content, order: list[int] | None, poses: int) -> dict[str, Any]:
    items = _items(content)
    name = next((each for each in LENSES if content.has(each) or (items and all(each in item for item in items))), None)
    if name is None:
        return {}
    value = content.value[name] if content.has(name) else [item[name] for item in items]
    if isinstance(value, Mapping):
        value = [value[key] for key in value]
    lenses = numbers(value, name)
    if order is not None and len(order) > 1 and lenses.shape[:1] == (poses,):
        lenses = lenses[order]
    return lens_fields(lenses, None, poses, name=name)


def _matrices(content: Content, reading: ReadOptions) -> _Found:
    """Return the matrices; of several arrays, one whose name has the requested direction."""
    if content.kind == "text":
        return _of_table(content.value)
    if items := _items(content):
        name = next((name for name in POSES if all(name in item for item in items)), "")
        label = next((label for label in LABELS if all(_is_label(item.get(label)) for item in items)), None)
        value = [item[name] for item in items] if name else None
        return _Found(name=name, value=value) if label is None else _named(name, [i[label] for i in items], value)
    if content.kind == "npz" or content.facts:
        return _of_facts(content, reading)
    return _Found(name="a camera path", value=content.value)


def _of_table(text: Text) -> _Found:
    """Return the matrices in the lines of a text, after a number or time stamp or not."""
    columns = text.table.shape[1]
    if columns - 1 not in COLUMNS:
        return _Found(name="the table", value=text.table)
    order = order_of(text.stamps)
    return _Found(
        name="the table", value=text.table[:, 1:], order=order.tolist(), positions=positions_of(text.stamps[order])
    )


def _of_facts(content: Content, reading: ReadOptions) -> _Found:
    """Return the matrices of an archive, or of an object with matrices by name."""
    if _is_named(content.facts):
        return _named("a camera path", list(content.facts), list(content.facts.values()))
    found = [name for name in POSES if content.has(name)]
    if not found:
        raise InvalidInput(f"it has no matrices; they can be named {', '.join(POSES[:10])}")
    wanted = (reading.convention or "")[:3]
    found.sort(key=lambda name: DIRECTIONS.get(name, wanted) != wanted)
    value = content.value[found[0]]
    if not isinstance(value, Mapping):
        return _numbered(content, found[0], value)
    return _named(found[0], list(value), list(value.values()))


def _numbered(content: Content, name: str, value: Any) -> _Found:
    """Return matrices in the order of an array with the number or time of each."""
    for each in NUMBERS:
        if content.shape(each) != (len(square(value, name)),):
            continue
        stamps = numbers(content.value[each], each)
        if len(set(stamps.tolist())) == len(stamps):
            order = order_of(stamps)
            return _Found(name=name, value=value, order=order.tolist(), positions=positions_of(stamps[order]))
    return _Found(name=name, value=value)


def _named(name: str, labels: Sequence[object], values: Any) -> _Found:
    """Return matrices in the order of their names or numbers."""
    names = [str(label) for label in labels]
    if len(set(names)) < len(names):
        return _Found(name=name, value=values)
    order = order_of_names(names)
    return _Found(name=name, value=values, order=order, positions=positions_of_names([names[at] for at in order]))


def _is_label(value: object) -> bool:
    return isinstance(value, str | int) and re.search("[0-9]", str(value)) is not None


def _is_named(value: object) -> bool:
    """Return whether a value in JSON is an object with a matrix for each name, which has a number."""
    if not isinstance(value, Mapping) or not value or not all(re.search("[0-9]", name) for name in value):
        return False
    try:
        shapes = {np.shape(each) for each in value.values() if isinstance(each, list)}
    except ValueError:  # lists of several lengths
        return False
    return (
        len(shapes) == 1
        and all(isinstance(each, list) for each in value.values())
        and shapes <= {*MATRICES, (12,), (16,)}
    )


def _items(content: Content) -> list[Mapping[str, Any]]:
    """Return the objects of a list in JSON, which can be named frames, or those of an object with names or numbers."""
    if content.kind != "json":
        return []
    frames = content.facts.get("frames", content.facts)
    if isinstance(frames, list) and frames and all(isinstance(each, Mapping) for each in frames):
        return frames
    named = isinstance(frames, Mapping) and all(_is_label(name) for name in frames)
    if named and frames and all(isinstance(each, Mapping) for each in frames.values()):
        return [{**each, LABELS[0]: name} for name, each in frames.items()]
    return content.items()


def _matches(content: Content) -> Match | None:
    if content.kind == "text":
        return _matches_text(content.value)
    if content.facts and (items := _items(content)):
        return likely("frames with matrices") if any(name in items[0] for name in POSES) else None
    if content.facts:
        if content.kind == "json" and _is_named(content.facts):
            return likely("matrices by name")
        found = next((name for name in POSES if _is_path(content.shape(name)) or _has_named(content, name)), None)
        return possible(f"an array {found} of matrices") if found else None
    if content.kind == "npy":
        return possible("an array of matrices") if _is_path(np.shape(content.value)) else None
    if items := content.items():
        return possible("a list of matrices") if any(name in items[0] for name in POSES) else None
    return possible("a list") if isinstance(content.value, list) else None


def _has_named(content: Content, name: str) -> bool:
    return content.kind == "json" and _is_named(content.facts.get(name))


def _matches_text(text: Text) -> Match | None:
    columns = text.table.shape[1]
    if columns - 1 in COLUMNS:
        matrices = text.table[:, 1:].reshape(len(text.table), -1, 4)
        fits = are_rigid(matrices, tolerance=TOLERANCE)
        return possible(f"a number and a matrix of {columns - 1} numbers in each line") if fits else None
    return possible(f"a table of {columns} columns") if columns in COLUMNS else None


def _is_path(shape: tuple[int, ...]) -> bool:
    shape = shape[1:] if len(shape) == 4 and shape[0] == 1 else shape
    if len(shape) == 3 and shape[:2] in MATRICES:
        return True
    return (shape[-2:] in MATRICES and len(shape) in (2, 3)) or (len(shape) == 2 and shape[1] in COLUMNS)


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
