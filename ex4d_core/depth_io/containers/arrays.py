"""Depth in `.npy` and `.npz` files."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from ex4d_core.arrays import Arrays, open_npz, read_npy
from ex4d_core.depth_io.containers.array_facts import with_doubt, with_tool_facts
from ex4d_core.depth_io.facts import FACTS_NAMES, POSES_NAME, with_facts
from ex4d_core.depth_io.frames import DepthFrames, Unit
from ex4d_core.depth_io.meaning import file_says_inverse, says_inverse
from ex4d_core.depth_io.tools import (
    GENERIC_DEPTH,
    GENERIC_INVERSE,
    GENERIC_LENS,
    GENERIC_MASK,
    GENERIC_POSES,
    GENERIC_VALID,
    PICTURES,
    Tool,
    tool_of,
)
from ex4d_core.errors import InvalidInput
from ex4d_core.names import natural_key
from ex4d_core.video_io.limits import check_pixels

_NOT_DEPTH = {*FACTS_NAMES, *GENERIC_LENS, *GENERIC_POSES, *GENERIC_VALID, *GENERIC_MASK, *PICTURES}
"""Names of other arrays beside depth."""

MAX_FACT_BYTES = 2**26
"""Largest metadata array in bytes; poses of an hour of video have a tenth of it."""

_FEWEST_ROWS = 16
"""Smallest height of [H, W, 3]: a smaller array may be [T, H, W] of three columns."""


def open_npy(path: Path) -> DepthFrames:
    """Return the maps of an array file.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it does not contain depth.
    """
    array = read_npy(path, "depth file")
    frames = from_head(array.shape, array.dtype, lambda: array, path)
    return attrs.evolve(frames, is_inverse=file_says_inverse(path))


def open_archive(path: Path, name: str | None = None) -> DepthFrames:
    """Return the maps of an archive, with the intrinsics and poses in it.

    Args:
        path: the archive.
        name: the array of depth; None: found by its name.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it does not contain depth, or something in it is not valid.
    """
    arrays = open_npz(path, "depth file")
    if not arrays:
        raise InvalidInput(f"{path} has no arrays; save depth [T, H, W] with numpy.savez")
    if name is None and (series := _series(arrays)):
        return _open_series(arrays, series, path)
    tool = None if name is not None else tool_of(arrays)
    key = tool.depth if tool else _depth_name(arrays, path, name)
    heads = {fact: _fact(arrays, fact, path) for fact in ("kind", *GENERIC_LENS, *GENERIC_POSES) if fact in arrays}
    own = {fact: heads[fact]() for fact in FACTS_NAMES if fact in heads}
    frames = _maps_of(arrays, key, tool, path)
    names_depth = key in GENERIC_DEPTH or tool is not None
    frames = attrs.evolve(frames, is_inverse=says_inverse(key) or (not names_depth and file_says_inverse(path)))
    if not (tool and tool.valid):
        frames = _with_valid(frames, arrays, key, path)
    if tool is None and own.keys() & {"kind", "world_to_camera"}:
        frames = with_facts(frames, own, path)  # written by ex4d
        poses = frames.world_to_camera
        return frames if poses is None else with_doubt(frames, poses, POSES_NAME, "w2c")
    frames = with_tool_facts(frames, arrays, key, tool, path)
    return frames if tool else _with_ignored_maps(frames, arrays, key)


def _with_ignored_maps(frames: DepthFrames, arrays: Arrays, key: str) -> DepthFrames:
    """Return the maps with a note about arrays of the same shape that are not used."""
    used = {key, *GENERIC_VALID} | {name for name in GENERIC_MASK if f"validity of {name}" in frames.notes}
    shape = _sides(arrays.head(key)[0])
    ignored = [name for name in arrays if name not in used and _sides(arrays.head(name)[0]) == shape]
    if not ignored:
        return frames
    return attrs.evolve(frames, notes=(*frames.notes, f"ignores {textwrap.shorten(', '.join(ignored), 100)}"))


def _series(arrays: Arrays) -> list[str]:
    """Return the names of arrays that differ only in their numbers and are all there is, a map each; else none."""
    names = sorted(arrays, key=natural_key)
    patterns = {re.sub(r"\d+", "#", name) for name in names}
    return names if len(names) > 1 and len(patterns) == 1 and "#" in patterns.pop() else []


def _open_series(arrays: Arrays, names: Sequence[str], path: Path) -> DepthFrames:
    """Return the maps of an archive with an array for each frame."""
    shape, dtype = arrays.head(names[0])
    first = from_head(shape, dtype, lambda: arrays[names[0]], path)
    if first.count != 1:
        raise InvalidInput(f"{path} has {len(names)} arrays of {first.count} maps each; save one array [T, H, W]")

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        for index in indices:
            if arrays.head(names[index]) != (shape, dtype):
                raise InvalidInput(f"{path}: {names[index]} has another size or type than {names[0]}")
            yield three_axes(arrays[names[index]], path)[0]

    return attrs.evolve(first, count=len(names), read=read, is_inverse=says_inverse(names[0]))


def _maps_of(arrays: Arrays, key: str, tool: Tool | None, path: Path) -> DepthFrames:
    shape, dtype = arrays.head(key)
    if tool is None or not (tool.world_points or key == "point_map"):
        frames = from_head(shape, dtype, lambda: arrays[key], path)
    else:
        if len(shape) != 4 or shape[-1] != 3:
            raise InvalidInput(f"{path}: {key} has the shape {list(shape)}; points must be [T, H, W, 3]")
        frames = from_head(shape[:3], dtype, lambda: arrays[key][..., 2], path)
    if tool is None:
        return frames
    valid = None
    if tool.valid and tool.valid in arrays:
        valid = _valid_maps(arrays, tool.valid, (frames.count, frames.size[1], frames.size[0]), path)
    return attrs.evolve(frames, tool=tool.name, kind=tool.kind, doubt=tool.doubt, valid_at=valid)


def _fact(arrays: Arrays, name: str, path: Path) -> Callable[[], np.ndarray]:
    """Return an access to a metadata array, after a check of its size."""
    shape, dtype = arrays.head(name)
    if math.prod(shape) * dtype.itemsize > MAX_FACT_BYTES:
        raise InvalidInput(f"{path}: {name} has the shape {list(shape)}, which is too large")
    return lambda: arrays[name]


def _depth_name(arrays: Mapping[str, np.ndarray], path: Path, wanted: str | None) -> str:
    found = textwrap.shorten(", ".join(arrays), 200, placeholder=" ...")
    if wanted is not None:
        if wanted in arrays:
            return wanted
        raise InvalidInput(f"{path} has no array {wanted[:40]!r}; it has the arrays {found}")
    for name in (*GENERIC_DEPTH, *GENERIC_INVERSE):
        if name in arrays:
            return name
    named = [name for name in arrays if says_inverse(name)]
    if len(named) == 1:
        return named[0]
    others = [name for name in arrays if name not in _NOT_DEPTH]
    if len(others) != 1:
        raise InvalidInput(
            f"{path} has the arrays {found}; name the array of depth one of depth, depths, inverse_depth, disparity, "
            "or give its name with --set depth.layer=NAME"
        )
    return others[0]


def three_axes(array: np.ndarray, path: Path) -> np.ndarray:
    """Return an array as [T, H, W]: axes of length 1 are removed, and of equal channels one is taken.

    Raises:
        InvalidInput: it has another shape, or channels that differ.
    """
    shape = array.shape
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):
        array = array[:, 0] if array.shape[1] == 1 else array[..., 0]
    elif array.ndim == 2:
        array = array[None]
    if array.ndim == 3 and array.shape[2] == 3 and array.shape[1] >= _FEWEST_ROWS:
        array = array[None]
    if array.ndim == 4 and array.shape[3] == 3:
        array = _one_channel(array, path)
    if array.ndim != 3 or 0 in array.shape:
        raise InvalidInput(f"{path} contains an array of shape {list(shape)}; depth must be [T, H, W]")
    return array


def _one_channel(array: np.ndarray, path: Path) -> np.ndarray:
    """Return one of three equal channels."""
    if array.strides == (0,) * array.ndim:  # only the shape is of interest
        return array[..., 0]
    sample = np.asarray(array[:: max(1, len(array) // 4)], np.float64)
    if np.array_equal(sample[..., 0], sample[..., 1], equal_nan=True) and np.array_equal(
        sample[..., 0], sample[..., 2], equal_nan=True
    ):
        return array[..., 0]
    with np.errstate(all="ignore"):
        length = np.linalg.norm(sample, axis=-1)
    content = "a map of normals" if np.nanmean(np.abs(length - 1) < 0.05) > 0.9 else "colors or a map of points"
    raise InvalidInput(f"{path} has three channels that differ, {content}, not depth; use a depth map")


def from_head(
    shape: tuple[int, ...], dtype: np.dtype[np.generic], array: Callable[[], np.ndarray], path: Path
) -> DepthFrames:
    """Return the maps of an array that is decoded on the first read, after its size has been checked.

    Raises:
        InvalidInput: it does not contain numbers, has another shape, or too many pixels.
    """
    if dtype.kind not in "uif":
        raise InvalidInput(f"{path} contains {dtype} values; depth must be numbers")
    count, height, width = three_axes(np.broadcast_to(np.zeros((), bool), shape), path).shape
    check_pixels(width, height, path)

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        maps = three_axes(array(), path)
        return (_normalized(np.asarray(maps[index])) for index in indices)

    unit: Unit = "float" if dtype.kind == "f" else "normalized" if dtype == np.uint8 else "integer"
    return DepthFrames(count=count, size=(width, height), read=read, unit=unit)


def _normalized(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) / 255 if values.dtype == np.uint8 else values


def _with_valid(frames: DepthFrames, arrays: Arrays, key: str, path: Path) -> DepthFrames:
    """Return the maps with the validity in an archive: by its name or, of a mask, by the values outside it."""
    shape = arrays.head(key)[0]
    named = next((name for name in GENERIC_VALID if name in arrays), "")
    if named:
        return attrs.evolve(frames, valid_at=_valid_maps(arrays, named, shape, path))
    for name in GENERIC_MASK:
        if name in arrays and _sides(arrays.head(name)[0]) == _sides(shape):
            valid_at = _valid_maps(arrays, name, shape, path)
            outside = next(frames.read([0]))[~valid_at(0)]
            if outside.size and (not (outside > 0).any() or not np.isfinite(outside).any() or np.ptp(outside) == 0):
                return attrs.evolve(frames, valid_at=valid_at, notes=(*frames.notes, f"validity of {name}"))
    return frames


def _sides(shape: Sequence[int]) -> list[int]:
    return [side for side in shape if side != 1]


def _valid_maps(arrays: Arrays, name: str, depth: tuple[int, ...], path: Path) -> Callable[[int], np.ndarray]:
    shape, dtype = arrays.head(name)
    if dtype.kind not in "buif":
        raise InvalidInput(f"{path}: {name} contains {dtype} values; it must be true or false for each pixel")
    if _sides(depth) != _sides(shape):
        raise InvalidInput(f"{path}: {name} is {list(shape)} but the depth is {list(depth)}")
    return lambda index: three_axes(arrays[name], path)[index] > 0
