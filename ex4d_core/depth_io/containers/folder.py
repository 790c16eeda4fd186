"""Folders with a depth map for each frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ex4d_core.arrays import read_npy
from ex4d_core.depth_io.containers.arrays import open_archive, three_axes
from ex4d_core.depth_io.containers.beside import with_cameras_beside
from ex4d_core.depth_io.containers.maps import open_map
from ex4d_core.depth_io.containers.series import FRAME_SUFFIXES, depth_series
from ex4d_core.depth_io.containers.zips import open_zip
from ex4d_core.depth_io.facts import FACTS_FILE, with_folder_facts
from ex4d_core.depth_io.falsecolor import Colors
from ex4d_core.depth_io.frames import DepthFrames, Unit
from ex4d_core.depth_io.meaning import file_says_inverse
from ex4d_core.depth_io.tools import ARCHIVES
from ex4d_core.errors import InvalidInput
from ex4d_core.names import natural_key
from ex4d_core.reading import check_folder, check_has_content, read_json, reading
from ex4d_core.types import DepthKind

_SUBFOLDERS = ("depth", "depths", "depth_npy", "disparity", "disp")
"""Folders of depth beside other outputs of the same tool."""


def open_folder(path: Path, *, layer: str | None, colors: Colors) -> DepthFrames:
    """Return the maps of a folder.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it has no depth maps, or several series of them.
    """
    check_folder(path, "folder")
    with reading(path, "folder"):
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        files = [entry for entry in entries if entry.is_file()]
        folders = sorted((entry for entry in entries if entry.is_dir()), key=lambda entry: natural_key(entry.name))
    if not any(file.suffix.lower() in FRAME_SUFFIXES for file in files):
        if maps := [folder / "depth.exr" for folder in folders if (folder / "depth.exr").is_file()]:
            return _moge(open_files(maps, layer=layer, colors=colors), maps)
        archives = [file for file in files if file.suffix.lower() == ".zip"]
        if len(archives) == 1:
            return with_cameras_beside(open_zip(archives[0], layer=layer, colors=colors), archives[0], [])
        if inner := next((folder for folder in folders if folder.name.lower() in _SUBFOLDERS), None):
            return open_folder(inner, layer=layer, colors=colors)
    if {"depth.exr", "fov.json"} <= {file.name for file in files}:
        return open_moge(path / "depth.exr", layer=layer, colors=colors)
    series = [Path(file) for file in depth_series(files, path)]
    frames = open_files(series, layer=layer, colors=colors)
    if (path / FACTS_FILE).is_file():
        return with_folder_facts(frames, path / FACTS_FILE)
    return with_cameras_beside(_named(frames, path, series), path, series)


def open_moge(path: Path, *, layer: str | None, colors: Colors) -> DepthFrames:
    """Return the map of one picture by MoGe, with the field of view beside it.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read.
    """
    return _moge(open_files([path], layer=layer, colors=colors), [path])


def open_files(files: Sequence[Path], *, layer: str | None, colors: Colors) -> DepthFrames:
    """Return the maps of files with one map each, or of a single file with several.

    Raises:
        InputNotFound: a file does not exist.
        InvalidInput: a file cannot be read, or is not one depth map.
    """

    def open_one(file: Path) -> DepthFrames:
        return _open_one(file, layer=layer, colors=colors)

    first = open_one(files[0])
    if len(files) == 1:
        return first
    if first.count != 1:
        raise InvalidInput(
            f"{files[0]} has {first.count} depth maps; pass the file, or a folder of files with one each"
        )

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        for index in indices:
            frames = open_one(files[index])
            if (frames.size, frames.unit, frames.count) != (first.size, first.unit, 1):
                raise InvalidInput(f"{files[index]} has another size or type than {files[0].name}; they must be equal")
            yield next(frames.read([0]))

    lens = poses = None
    if first.intrinsics is not None or first.world_to_camera is not None:
        opened = [open_one(file) for file in files]
        lens = _joined([one.intrinsics for one in opened])
        poses = _joined([one.world_to_camera for one in opened])
    valid_at = None if first.valid_at is None else _valid(files, open_one)
    return attrs.evolve(first, count=len(files), read=read, intrinsics=lens, valid_at=valid_at, world_to_camera=poses)


def _joined(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return the arrays of all files, or None if one has none."""
    found = [array for array in arrays if array is not None]
    return np.concatenate(found) if len(found) == len(arrays) else None


def _valid(files: Sequence[Path], open_one: Callable[[Path], DepthFrames]) -> Callable[[int], np.ndarray]:
    def valid_at(index: int) -> np.ndarray:
        frames = open_one(files[index])
        return np.ones(frames.size[::-1], bool) if frames.valid_at is None else frames.valid_at(0)

    return valid_at


def _open_one(file: Path, *, layer: str | None, colors: Colors) -> DepthFrames:
    check_has_content(file, "depth map")
    suffix = file.suffix.lower()
    if suffix == ".npz":
        return open_archive(file, layer)
    if suffix == ".npy":
        return _array_map(file)
    return open_map(file, layer=layer, colors=colors)


def _array_map(file: Path) -> DepthFrames:
    array = np.squeeze(read_npy(file, "depth map"))
    if array.dtype.kind not in "uif":
        raise InvalidInput(f"{file} contains {array.dtype} values; depth must be numbers")
    if array.ndim == 3 and array.shape[2] == 3:
        array = three_axes(array, file)[0]
    if array.ndim != 2 or 0 in array.shape:
        raise InvalidInput(f"{file} is an array of shape {list(array.shape)}, not a depth map")
    height, width = array.shape
    unit: Unit = "float" if array.dtype.kind == "f" else "integer"
    return DepthFrames(
        count=1,
        size=(width, height),
        read=lambda indices: (array for _ in indices),
        unit=unit,
        is_inverse=file_says_inverse(file),
    )


def _named(frames: DepthFrames, folder: Path, files: Sequence[Path]) -> DepthFrames:
    """Return the frames with what the names of the files and the folder state."""
    first = files[0].stem.lower()
    if first.endswith("_raw_depth_meter"):  # metric_depth/run.py
        return attrs.evolve(frames, tool="Depth Anything V2", kind=DepthKind.METRIC, scale=1.0)
    if folder.name.lower().endswith("_depths_exr"):  # run.py
        (tool,) = (tool for tool in ARCHIVES if tool.name == "Video Depth Anything")
        return attrs.evolve(frames, tool=tool.name, doubt=tool.doubt)
    return frames


def _moge(frames: DepthFrames, files: Sequence[Path]) -> DepthFrames:
    """Return maps of MoGe with the fields of view in `fov.json` beside each (moge/scripts/infer.py)."""
    frames = attrs.evolve(frames, tool="MoGe", kind=DepthKind.METRIC)
    width, height = frames.size
    matrices = []
    for file in (file.parent / "fov.json" for file in files):
        facts = read_json(file, "field of view") if file.is_file() else None
        fov: list[Any] = [facts.get(name) for name in ("fov_x", "fov_y")] if isinstance(facts, dict) else []
        if not (len(fov) == 2 and all(isinstance(angle, int | float) and 0 < angle < 179 for angle in fov)):
            return frames
        x, y = (side / 2 / math.tan(math.radians(angle) / 2) for side, angle in zip((width, height), fov, strict=True))
        matrices.append([[x, 0, width / 2], [0, y, height / 2], [0, 0, 1]])
    return attrs.evolve(frames, intrinsics=np.array(matrices), notes=(*frames.notes, "lens of fov.json"))
