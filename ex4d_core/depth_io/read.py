"""Read depth files of any supported format as a sequence of frames."""

from __future__ import annotations

import math
import stat
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np

from ex4d_core.arrays import Arrays, open_npz, read_npy
from ex4d_core.depth_io.exr import read_exr
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_file, check_path, read_json, reading
from ex4d_core.types import DepthKind
from ex4d_core.types.camera import LARGEST_FOCAL, LARGEST_SHIFT, RIGID_TOLERANCE
from ex4d_core.video_io.images import list_images, read_image
from ex4d_core.video_io.limits import check_pixels
from ex4d_core.video_io.source import first_of, open_video, oriented, raw_frames, read_timing

if TYPE_CHECKING:
    import av

Unit = Literal["integer", "float", "normalized"]
"""Type of the values: integers of a small unit, floats, or 8-bit values normalized to 0..1."""

MILLIMETRE = 0.001
"""Default unit of integer depth, in meters."""

FRAME_SUFFIXES = frozenset({".png", ".exr", ".npy", ".tif", ".tiff"})
"""Suffixes of depth maps in a folder."""

DEPTH_NAMES = ("depth", "depths")
INVERSE_NAMES = ("inverse_depth", "disparity")
INTRINSICS_NAMES = ("intrinsics", "K")
POSES_NAME = "world_to_camera"
FACTS_NAMES = ("valid", "kind", *INTRINSICS_NAMES, POSES_NAME)
"""Names of metadata in an archive."""

_MAX_FACT_BYTES = 2**26
"""Largest metadata array in bytes; poses of an hour of video have a tenth of it."""

FACTS_FILE = "depth.json"
"""Metadata in a folder of depth maps: `kind`, `scale`, and intrinsics and poses as in an archive."""

Read = Callable[[Sequence[int]], Iterator[np.ndarray]]
"""Yields the depth maps [h, w] of ascending indices, which may repeat."""


@attrs.frozen(eq=False, kw_only=True)
class DepthFrames:
    """Depth maps of one file or folder."""

    count: int
    """Number of depth maps."""

    size: tuple[int, int]
    """Their width and height in pixels."""

    read: Read
    """Reads depth maps, in the unit of the file."""

    unit: Unit
    """Type of the values."""

    is_inverse: bool = False
    """Whether the file states that it contains inverse depth."""

    valid_at: Callable[[int], np.ndarray] | None = None
    """Returns the validity of a depth map, bool [h, w], if stated in the file."""

    intrinsics: np.ndarray | None = None
    """float64 [1 or count, 3, 3], K in pixels of the depth maps."""

    kind: DepthKind | None = None
    """Meaning of the values, if stated in the file."""

    scale: float | None = None
    """Depth of one unit of the file, if stated in it."""

    world_to_camera: np.ndarray | None = None
    """float64 [count, 4, 4], poses of the source camera (OpenCV axes), if the file contains them."""


def open_depth(path: Path) -> DepthFrames:
    """Return the depth maps of a file or folder.

    Raises:
        InputNotFound: the path does not exist.
        InvalidInput: it does not contain depth.
    """
    if stat.S_ISDIR(check_path(path, "depth file").st_mode):
        return _open_folder(path)
    check_file(path, "depth file")
    with reading(path, "depth file"):
        if path.suffix.lower() == ".npy":
            array = read_npy(path, "depth file")
            return _from_head(array.shape, array.dtype, lambda: array, path)
        if path.suffix.lower() == ".npz":
            return _open_npz(path)
        if path.suffix.lower() in FRAME_SUFFIXES:
            return _open_images([path])
        return _open_video(path)


def _open_npz(path: Path) -> DepthFrames:
    arrays = open_npz(path, "depth file")
    name = _depth_name(arrays, path)
    shape, dtype = arrays.head(name)
    facts = {fact: arrays[fact] for fact in _small_facts(arrays, path)}
    return attrs.evolve(
        _with_facts(_from_head(shape, dtype, lambda: arrays[name], path), facts, path),
        is_inverse=name in INVERSE_NAMES,
        valid_at=_valid_maps(arrays, shape, path) if "valid" in arrays else None,
    )


def _small_facts(arrays: Arrays, path: Path) -> Iterator[str]:
    """Yield the names of metadata arrays in an archive, after a check of their size."""
    for name in ("kind", *INTRINSICS_NAMES, POSES_NAME):
        if name not in arrays:
            continue
        shape, dtype = arrays.head(name)
        if math.prod(shape) * dtype.itemsize > _MAX_FACT_BYTES:
            raise InvalidInput(f"{path}: {name} has the shape {list(shape)}, which is too large")
        yield name


def _with_facts(frames: DepthFrames, facts: Mapping[str, Any], path: Path) -> DepthFrames:
    """Return the frames with the kind, intrinsics and poses of the metadata."""
    kinds = [kind.value for kind in DepthKind]
    if "kind" in facts and str(facts["kind"]) not in kinds:
        raise InvalidInput(f"{path}: the kind is {str(facts['kind'])[:40]!r}; it must be one of {', '.join(kinds)}")
    matrices = next((facts[key] for key in INTRINSICS_NAMES if key in facts), None)
    return attrs.evolve(
        frames,
        kind=DepthKind(str(facts["kind"])) if "kind" in facts else None,
        intrinsics=None if matrices is None else _matrices(matrices, frames.count, path),
        world_to_camera=_poses(facts[POSES_NAME], frames.count, path) if POSES_NAME in facts else None,
    )


def _depth_name(arrays: Mapping[str, np.ndarray], path: Path) -> str:
    for name in (*DEPTH_NAMES, *INVERSE_NAMES):
        if name in arrays:
            return name
    others = [name for name in arrays if name not in FACTS_NAMES]
    if len(others) != 1:
        valid_names = ", ".join((*DEPTH_NAMES, *INVERSE_NAMES))
        found = textwrap.shorten(", ".join(arrays), 200, placeholder=" ...") or "none"
        raise InvalidInput(f"{path} has the arrays {found}; name the array of depth one of {valid_names}")
    return others[0]


def _maps(array: np.ndarray, path: Path) -> np.ndarray:
    """Return an array as [T, H, W]."""
    shape = array.shape
    if array.ndim == 4 and 1 in (shape[1], shape[3]):
        array = array[:, 0] if shape[1] == 1 else array[..., 0]
    elif array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or 0 in array.shape:
        raise InvalidInput(f"{path} contains an array of shape {list(shape)}; depth must be [T, H, W]")
    return array


def _from_head(
    shape: tuple[int, ...], dtype: np.dtype[np.generic], array: Callable[[], np.ndarray], path: Path
) -> DepthFrames:
    """Return the maps of an array that is decoded on the first read, after its size has been checked."""
    if dtype.kind not in "uif":
        raise InvalidInput(f"{path} contains {dtype} values; depth must be numbers")
    count, height, width = _maps(np.broadcast_to(np.zeros((), bool), shape), path).shape
    check_pixels(width, height, path)

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        maps = _maps(array(), path)
        return (np.asarray(maps[index]) for index in indices)

    unit: Unit = "float" if dtype.kind == "f" else "integer"
    return DepthFrames(count=count, size=(width, height), read=read, unit=unit)


def _valid_maps(arrays: Arrays, depth: tuple[int, ...], path: Path) -> Callable[[int], np.ndarray]:
    shape, dtype = arrays.head("valid")
    if dtype.kind not in "buif":
        raise InvalidInput(f"{path}: valid contains {dtype} values; it must be true or false for each pixel")
    if shape != depth:
        raise InvalidInput(f"{path}: valid is {list(shape)} but the depth is {list(depth)}")
    return lambda index: _maps(arrays["valid"], path)[index].astype(bool)


def _matrices(matrices: np.ndarray, count: int, path: Path) -> np.ndarray:
    if matrices.shape not in ((3, 3), (1, 3, 3), (count, 3, 3)):
        raise InvalidInput(f"{path}: intrinsics are {list(matrices.shape)}; they must be [3, 3] or [{count}, 3, 3]")
    _check_numbers(matrices, "intrinsics", path, most=LARGEST_FOCAL)
    if not (matrices[..., (0, 1), (0, 1)] > 1).all():
        raise InvalidInput(f"{path}: intrinsics must be in pixels of the depth maps, with focal lengths above 1")
    return matrices.reshape(-1, 3, 3).astype(np.float64)


def _poses(poses: np.ndarray, count: int, path: Path) -> np.ndarray:
    if poses.shape != (count, 4, 4):
        raise InvalidInput(f"{path}: {POSES_NAME} must be [{count}, 4, 4], not {list(poses.shape)}")
    _check_numbers(poses, POSES_NAME, path, most=LARGEST_SHIFT)
    rotation = poses[:, :3, :3].astype(np.float64)
    if np.abs(rotation @ rotation.mT - np.eye(3)).max() > RIGID_TOLERANCE or (np.linalg.det(rotation) < 0).any():
        raise InvalidInput(f"{path}: {POSES_NAME} has a pose that is not a rotation and a translation")
    return poses.astype(np.float64)


def _check_numbers(array: np.ndarray, name: str, path: Path, *, most: float) -> None:
    if array.dtype.kind not in "uif":
        raise InvalidInput(f"{path}: {name} contains {array.dtype} values; they must be numbers")
    if not (
        np.abs(array.astype(np.float64)) <= most
    ).all():  # also refuses NaN; float64 avoids the overflow of the smallest int64
        raise InvalidInput(f"{path}: {name} has a value that is not finite or is beyond {most:g}")


def _open_folder(path: Path) -> DepthFrames:
    files = list_images(path, FRAME_SUFFIXES)
    suffixes = sorted({file.suffix.lower() for file in files})
    if len(suffixes) > 1:
        raise InvalidInput(f"the folder {path} mixes {' and '.join(suffixes)} files; keep one depth map for each frame")
    frames, facts = _open_images(files), path / FACTS_FILE
    return _with_folder_facts(frames, facts) if facts.is_file() else frames


def _with_folder_facts(frames: DepthFrames, path: Path) -> DepthFrames:
    facts = read_json(path, "description of depth maps")
    if not isinstance(facts, dict):
        raise InvalidInput(f"{path} is not a JSON object; delete it, and use options instead")
    with reading(path, "description of depth maps"):
        arrays = {key: np.asarray(facts[key]) for key in (*INTRINSICS_NAMES, POSES_NAME) if key in facts}
    scale = _scale(facts["scale"], path) if "scale" in facts else None
    if scale is not None and frames.unit == "normalized":
        raise InvalidInput(f"{path}: the images beside it have 8 bits; save them with 16 bits")
    return attrs.evolve(_with_facts(frames, {**facts, **arrays}, path), scale=scale)


def _scale(scale: Any, path: Path) -> float:
    if isinstance(scale, bool) or not isinstance(scale, int | float):
        raise InvalidInput(f"{path}: the scale must be a number; delete it, and use --set depth.scale instead")
    with reading(path, "description of depth maps"):
        factor = float(scale)
    if not 0 < factor < np.inf:
        raise InvalidInput(f"{path}: the scale is {factor:g}; it must be above 0")
    return factor


def _open_images(files: Sequence[Path]) -> DepthFrames:
    first, unit = read_map(files[0])

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        for index in indices:
            depth, found = read_map(files[index])
            if depth.shape != first.shape or found != unit:
                raise InvalidInput(f"{files[index]} has another size or type than {files[0].name}; they must be equal")
            yield depth

    return DepthFrames(count=len(files), size=(first.shape[1], first.shape[0]), read=read, unit=unit)


def read_map(path: Path) -> tuple[np.ndarray, Unit]:
    """Return one depth map [h, w] and the type of its values.

    Raises:
        InvalidInput: it cannot be read, or is a color image.
    """
    import cv2

    if path.suffix.lower() == ".npy":
        depth = read_npy(path, "depth map")
    elif path.suffix.lower() == ".exr":
        depth = read_exr(path)
    else:
        depth = read_image(path, cv2.IMREAD_UNCHANGED)
    depth = np.squeeze(depth)
    if depth.dtype.kind not in "uif":
        raise InvalidInput(f"{path} contains {depth.dtype} values; depth must be numbers")
    if depth.ndim != 2 or 0 in depth.shape:
        content = "a color image" if depth.ndim == 3 else f"an array of shape {list(depth.shape)}"
        raise InvalidInput(f"{path} is {content}, not a depth map")
    if depth.dtype == np.uint8:
        return depth.astype(np.float32) / 255, "normalized"
    return depth, "float" if depth.dtype.kind == "f" else "integer"


def _open_video(path: Path) -> DepthFrames:
    timing = read_timing(path)
    if timing.is_cut_off:
        raise InvalidInput(f"{path} is cut off after {timing.source_frames} frames; copy it again")
    with open_video(path) as (container, stream):
        first = first_of(raw_frames(container, stream, path), path)
        unit, (height, width) = _frame_unit(first), oriented(_plane(first), first).shape

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        remaining = list(indices)
        with open_video(path) as (container, stream):
            for index, frame in enumerate(raw_frames(container, stream, path)):
                while remaining and remaining[0] == index:
                    yield oriented(_plane(frame), frame)
                    remaining.pop(0)
                if not remaining:
                    return
        raise InvalidInput(f"{path} ends before frame {remaining[0]}")

    return DepthFrames(count=timing.source_frames, size=(width, height), read=read, unit=unit)


def _frame_unit(frame: av.VideoFrame) -> Unit:
    if frame.format.name.startswith("grayf32"):
        return "float"
    deep_gray = frame.format.name.startswith("gray") and frame.format.components[0].bits > 8
    return "integer" if deep_gray else "normalized"


def _plane(frame: av.VideoFrame) -> np.ndarray:
    """Return the plane of a gray frame unchanged, or the luma of other formats as float32 0..1."""
    unit = _frame_unit(frame)
    plane: Any = frame
    if unit == "normalized":
        plane = frame.reformat(format="gray16le", dst_color_range="JPEG")
    order = ">" if plane.format.name.endswith("be") else "<"
    dtype = np.dtype(order + ("f4" if unit == "float" else "u2"))
    values = np.frombuffer(plane.planes[0], dtype).reshape(plane.height, -1)[:, : plane.width]
    return values.astype(np.float32) / 65535 if unit == "normalized" else values.astype(dtype.newbyteorder("="))
