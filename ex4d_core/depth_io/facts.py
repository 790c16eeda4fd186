"""Metadata beside depth maps: kind, scale, intrinsics and poses, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ex4d_core.depth_io.frames import DepthFrames
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import read_json, reading
from ex4d_core.types import DepthKind
from ex4d_core.types.camera import LARGEST_FOCAL, LARGEST_SHIFT, RIGID_TOLERANCE

INTRINSICS_NAMES = ("intrinsics", "K")
POSES_NAME = "world_to_camera"
FACTS_NAMES = ("valid", "kind", *INTRINSICS_NAMES, POSES_NAME)
"""Names of metadata in an archive of ex4d."""

FACTS_FILE = "depth.json"
"""Metadata in a folder of depth maps: `kind`, `scale`, and intrinsics and poses as in an archive."""

_NORMALIZED = 20
"""Largest focal length of intrinsics in parts of the picture: a field of view of 3 degrees."""

_OTHER_SIZE = 0.2
"""Relative shift of the principal point from the center, equal in x and y, from which K belongs to another size."""


def with_facts(frames: DepthFrames, facts: Mapping[str, Any], path: Path) -> DepthFrames:
    """Return the frames with the kind, intrinsics and poses of metadata in the names of ex4d.

    Raises:
        InvalidInput: a value is not valid.
    """
    kinds = [kind.value for kind in DepthKind]
    if "kind" in facts and str(facts["kind"]) not in kinds:
        raise InvalidInput(f"{path}: the kind is {str(facts['kind'])[:40]!r}; it must be one of {', '.join(kinds)}")
    matrices = next((facts[key] for key in INTRINSICS_NAMES if key in facts), None)
    poses = facts.get(POSES_NAME)
    return attrs.evolve(
        frames,
        kind=DepthKind(str(facts["kind"])) if "kind" in facts else frames.kind,
        intrinsics=frames.intrinsics if matrices is None else checked_lens(matrices, frames, path),
        world_to_camera=frames.world_to_camera if poses is None else checked_poses(poses, frames.count, path),
    )


def with_folder_facts(frames: DepthFrames, path: Path) -> DepthFrames:
    """Return the frames with the metadata of a `depth.json`.

    Raises:
        InvalidInput: it cannot be read, or a value is not valid.
    """
    facts = read_json(path, "description of depth maps")
    if not isinstance(facts, dict):
        raise InvalidInput(f"{path} is not a JSON object; delete it, and use options instead")
    with reading(path, "description of depth maps"):
        arrays = {key: np.asarray(facts[key]) for key in (*INTRINSICS_NAMES, POSES_NAME) if key in facts}
    scale = _scale(facts["scale"], path) if "scale" in facts else None
    if scale is not None and frames.unit == "normalized":
        raise InvalidInput(f"{path}: the images beside it have 8 bits; save them with 16 bits")
    return attrs.evolve(with_facts(frames, {**facts, **arrays}, path), scale=scale)


def _scale(scale: Any, path: Path) -> float:
    if isinstance(scale, bool) or not isinstance(scale, int | float):
        raise InvalidInput(f"{path}: the scale must be a number; delete it, and use --set depth.scale instead")
    with reading(path, "description of depth maps"):
        factor = float(scale)
    if not 0 < factor < np.inf:
        raise InvalidInput(f"{path}: the scale is {factor:g}; it must be above 0")
    return factor


def checked_lens(matrices: np.ndarray, frames: DepthFrames, path: Path) -> np.ndarray:
    """Return intrinsics as K in pixels of the maps, float64 [1 or count, 3, 3].

    `fx fy cx cy` in a row, a batch axis, and matrices in parts of the picture (as MoGe returns them) are understood.

    Raises:
        InvalidInput: the shape or a number is not that of intrinsics.
    """
    count = frames.count
    rows = matrices[0] if matrices.ndim == 4 and len(matrices) == 1 else matrices
    if rows.shape in ((4,), (1, 4), (count, 4)) and rows.dtype.kind in "uif":
        rows = _from_rows(rows.reshape(-1, 4))
    if rows.shape not in ((3, 3), (1, 3, 3), (count, 3, 3)):
        raise InvalidInput(f"{path}: intrinsics are {list(matrices.shape)}; they must be [3, 3] or [{count}, 3, 3]")
    _check_numbers(rows, "intrinsics", path, most=LARGEST_FOCAL)
    found = rows.reshape(-1, 3, 3).astype(np.float64)
    width, height = frames.size
    points, focal = found[:, (0, 1), 2], found[:, (0, 1), (0, 1)]
    if (np.abs(points - 0.5) < 0.3).all() and (focal > 0).all() and (focal < _NORMALIZED).all():
        return np.array([[width], [height], [1.0]]) * found
    if not (focal > 1).all():
        raise InvalidInput(f"{path}: intrinsics must be in pixels of the depth maps, with focal lengths above 1")
    return found


def _from_rows(rows: np.ndarray) -> np.ndarray:
    matrices = np.zeros((len(rows), 3, 3))
    matrices[:, (0, 1, 0, 1), (0, 1, 2, 2)] = rows
    matrices[:, 2, 2] = 1
    return matrices


def lens_of_another_size(matrices: np.ndarray, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the size (width, height) of the pictures that K was made for, if it is not that of the maps.

    The principal point lies near the middle of a picture, so a shift by one factor in x and y shows another size.
    """
    x, y = np.median(2 * matrices[:, (0, 1), 2], axis=0) / size
    if abs(x / y - 1) > 0.05 or abs(x - 1) < _OTHER_SIZE or x <= 0:
        return None
    return round(x * size[0]), round(y * size[1])


def checked_poses(poses: np.ndarray, count: int, path: Path, name: str = POSES_NAME) -> np.ndarray:
    """Return poses as float64 [count, 4, 4] in the direction of the file.

    Raises:
        InvalidInput: the shape is not [count, 4, 4] or, in the names of other tools, [count, 3, 4]; or a pose is not
            a rotation and a translation.
    """
    found = poses[0] if poses.ndim == 4 and len(poses) == 1 else poses
    if count == 1 and found.ndim == 2:
        found = found[None]
    if name != POSES_NAME and found.shape == (count, 3, 4) and found.dtype.kind in "uif":
        found = np.concatenate([found, np.tile(np.eye(4)[3:], (count, 1, 1))], axis=1)
    if found.shape != (count, 4, 4):
        raise InvalidInput(f"{path}: {name} must be [{count}, 4, 4], not {list(poses.shape)}")
    _check_numbers(found, name, path, most=LARGEST_SHIFT)
    rotation = found[:, :3, :3].astype(np.float64)
    if np.abs(rotation @ rotation.mT - np.eye(3)).max() > RIGID_TOLERANCE or (np.linalg.det(rotation) < 0).any():
        raise InvalidInput(f"{path}: {name} has a pose that is not a rotation and a translation")
    return found.astype(np.float64)


def _check_numbers(array: np.ndarray, name: str, path: Path, *, most: float) -> None:
    if array.dtype.kind not in "uif":
        raise InvalidInput(f"{path}: {name} contains {array.dtype} values; they must be numbers")
    if not (
        np.abs(array.astype(np.float64)) <= most
    ).all():  # also refuses NaN; float64 avoids the overflow of the smallest int64
        raise InvalidInput(f"{path}: {name} has a value that is not finite or is beyond {most:g}")
