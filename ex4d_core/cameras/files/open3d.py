"""Camera trajectories of Open3D (cpp/open3d/io/file_format/FileLOG.cpp, camera/PinholeCameraTrajectory.cpp).

JSON has world-to-camera matrices and K by columns; `.log` has camera-to-world matrices below three whole numbers each.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ex4d_core.bounds import numbers
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._poses import order_of, poses_of, positions_of, positions_of_names
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, json_of, lens_of, one_or_each
from ex4d_core.errors import InvalidInput

ONE, SEVERAL = "PinholeCameraParameters", "PinholeCameraTrajectory"


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read a trajectory, one camera, or a folder of cameras, one in each file.

    Raises:
        InvalidInput: a camera has no extrinsics of 16 or intrinsics of 9 numbers.
    """
    positions = None
    if content.kind == "folder":
        files = content.value.matching(r".*\.json")
        cameras = [json_of(file) for file in files]
        positions = positions_of_names([file.name for file in files])
    else:
        cameras = content.items() or content.facts.get("parameters", [content.value])
    if not isinstance(cameras, list) or not all(isinstance(camera, Mapping) for camera in cameras):
        raise InvalidInput("its parameters must be a list of cameras as written by Open3D")
    extrinsics = _columns([camera.get("extrinsic") for camera in cameras], "extrinsic", 4)
    lenses = [_lens(camera["intrinsic"]) for camera in cameras if camera.get("intrinsic") is not None]
    return CameraFile(
        world_to_camera=poses_of(extrinsics, "extrinsic", "w2c-opencv"),
        intrinsics=one_or_each(lenses, len(extrinsics)) if lenses else None,
        positions=positions,
    )


def read_log(content: Content, reading: ReadOptions) -> CameraFile:
    """Read a pose for each five lines.

    Raises:
        InvalidInput: a pose is malformed.
    """
    rows = content.value.rows
    groups = [list(itertools.chain(*rows[at + 1 : at + 5])) for at in range(0, len(rows), 5)]
    if any(len(group) != 16 for group in groups):
        raise InvalidInput("each pose needs a line of three whole numbers and four lines of four numbers")
    try:
        matrices = np.array([[float(word) for word in group] for group in groups])
        numbered = np.array([float(row[0]) for row in rows[::5]])
    except ValueError as error:
        raise InvalidInput("it contains a word that is not a number") from error
    order = order_of(numbered)
    return CameraFile(
        world_to_camera=poses_of(matrices[order].reshape(-1, 4, 4), "the matrices", "c2w-opencv"),
        positions=positions_of(numbered[order]),
    )


def _columns(values: list[Any], name: str, side: int) -> np.ndarray:
    array = numbers(values, name)
    if array.ndim != 2 or array.shape[1] != side**2:
        raise InvalidInput(f"each {name} must be {side**2} numbers, by columns, as written by Open3D")
    return array.reshape(-1, side, side).transpose(0, 2, 1)


def _lens(facts: Any) -> Any:
    facts = facts if isinstance(facts, Mapping) else {}
    if missing := next((name for name in ("width", "height", "intrinsic_matrix") if name not in facts), None):
        raise InvalidInput(f"an intrinsic has no {missing}")
    k = _columns([facts["intrinsic_matrix"]], "intrinsic_matrix", 3)[0].tolist()
    return lens_of({**facts, "fx": k[0][0], "fy": k[1][1], "cx": k[0][2], "cy": k[1][2]})


def _matches(content: Content) -> Match | None:
    tree: Any = {"parameters": content.items()} if content.items() else content.facts
    if content.kind == "folder":
        files = content.value.matching(r".*\.json")
        tree = json_of(files[0]) if files else {}
    tree = tree if isinstance(tree, Mapping) else {}
    if (name := tree.get("class_name")) in (ONE, SEVERAL):
        return certain(f"the class {name}")
    cameras = tree.get("parameters", [tree])
    first = cameras[0] if isinstance(cameras, list) and cameras else None
    if not isinstance(first, Mapping) or not isinstance(first.get("extrinsic"), list) or len(first["extrinsic"]) != 16:
        return None
    if first.get("class_name") == ONE:
        return certain(f"the class {ONE}")
    lens = first.get("intrinsic")
    named = isinstance(lens, Mapping) and "intrinsic_matrix" in lens
    return certain("extrinsic and intrinsic_matrix") if named or content.has("parameters") else None


def _matches_log(content: Content) -> Match | None:
    widths = [len(row) for row in content.value.rows[:5]]
    return certain("three numbers and four lines of four, in turn") if widths == [3, 4, 4, 4, 4] else None


FORMATS = (
    Format(
        name="open3d",
        files="`camera_trajectory.json`, `ScreenCamera_*.json`, or a folder of these",
        kinds=("json", "folder"),
        matches=_matches,
        read=read,
        convention="w2c-opencv",
        lens="pixels, can change",
    ),
    Format(
        name="open3d-log",
        files="`.log` of Open3D: three whole numbers and a matrix for each pose",
        kinds=("text",),
        matches=_matches_log,
        read=read_log,
        convention="c2w-opencv",
    ),
)
