"""Scenes of Kubric-5D (anyview/unified.py, cameras.py): `lowdim/camXX.npz` and `metadata.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
import numpy as np

from ex4d_core.arrays import open_npz
from ex4d_core.bounds import numbers, shown
from ex4d_core.cameras.files._arrays import read_arrays
from ex4d_core.cameras.files._format import Content, Format, Match, certain, folder_of, likely
from ex4d_core.cameras.files._poses import positions_of
from ex4d_core.cameras.files._value import WHAT, CameraFile, ReadOptions, json_of
from ex4d_core.errors import InvalidInput

FOLDER, METADATA = "lowdim", "metadata.json"


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read one camera of a scene.

    Raises:
        InvalidInput: it has no poses, or the folder has several cameras.
    """
    if content.kind == "folder":
        path = _camera(content.path / FOLDER, reading)
        content = Content(path, "npz", open_npz(path, WHAT))
    facts = content.path.parent.parent / METADATA
    tree = json_of(facts) if facts.is_file() else {}
    tree = tree if isinstance(tree, Mapping) else {}
    inner = tree.get("extrinsics")
    transform = inner.get("transform") if isinstance(inner, Mapping) else None
    side = tree.get("resolution")
    size = (side[1], side[0]) if isinstance(side, list) and [type(each) for each in side] == [int, int] else None
    convention = "w2c-opencv" if transform == "world2cam" else "c2w-opencv"
    file = read_arrays(content, "extrinsics", convention, lens="intrinsics", size=size)
    steps = numbers(content.value["timestep"], "timestep") if content.has("timestep") else np.zeros(0)
    return attrs.evolve(file, positions=positions_of(steps) if steps.shape == (file.num_poses,) else None)


def _camera(folder: Path, reading: ReadOptions) -> Path:
    files = {file.stem: file for file in folder_of(folder).matching(r".*\.npz")}
    if reading.camera is None and len(files) == 1:
        return next(iter(files.values()))
    if reading.camera not in files:
        problem = f"has no camera {shown(reading.camera)}" if reading.camera else "has several cameras"
        raise InvalidInput(
            f"it {problem}; select one with {reading.file.name}:camera=NAME, out of {', '.join(list(files)[:10])}"
        )
    return files[reading.camera]


def _matches(content: Content) -> Match | None:
    if content.kind == "folder":
        return certain(f"{FOLDER} and {METADATA}") if {FOLDER, METADATA} <= set(content.value.names) else None
    return likely("extrinsics and timestep") if content.has("extrinsics", "timestep") else None


FORMATS = (
    Format(
        name="kubric5d",
        files="scene folder or `lowdim/*.npz` of Kubric-5D: `extrinsics`, `intrinsics`, `timestep`",
        kinds=("folder", "npz"),
        matches=_matches,
        read=read,
        convention="c2w-opencv",
        lens="pixels, can change",
    ),
)
