"""Conversion of poses and intrinsics in files to those of ex4d."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ex4d_core.bounds import numbers
from ex4d_core.cameras.files._value import (
    MOST_POSES,
    CameraFile,
    Pinhole,
    check_convention,
    check_count,
    check_rigid,
    one_or_each,
)
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Intrinsics
from ex4d_core.types.camera import LARGEST_SIDE, RIGID_TOLERANCE, from_camera_axes

Y_UP = np.diag([1.0, -1.0, -1.0])
"""From world axes x right, y down, z forward to x right, y up, z backward."""

WORLDS = {"z up": "x right, y forward, z up", "y up": "x right, y up, z backward"}
"""Axes of the worlds in the documentation."""

GAP = 1.5
"""Steps between two poses from which frames are missing between them; time stamps vary by a third."""

UNEVEN = 1.8
"""Ratio of the longest to the shortest step below which no frame is missing."""

MATRICES = ((4, 4), (3, 4))
"""Shapes of a pose."""

LONGEST_NUMBER = 30
"""Largest number of digits of a frame number or time stamp in a name."""

NAMED_GAPS = 8
"""Largest number of missing frames in a message."""

_CHOSEN: ContextVar[tuple[str, list[str]] | None] = ContextVar("_CHOSEN", default=None)
"""The convention of the user, and those in whose place it was used."""


@contextmanager
def convention_of_user(convention: str | None) -> Iterator[list[str]]:
    """Read matrices in a convention; return the conventions of formats and files in whose place it was used."""
    own: list[str] = []
    token = _CHOSEN.set(None if convention is None else (convention, own))
    try:
        yield own
    finally:
        _CHOSEN.reset(token)


def to_world_to_camera(matrices: np.ndarray, convention: str, *, world: np.ndarray | None = None) -> np.ndarray:
    """Return world-to-camera matrices, float64 [T, 4, 4], in OpenCV axes.

    Args:
        matrices: [T, 4, 4].
        convention: direction and axes of the camera, such as `c2w-opencv`; that of `convention_of_user` replaces it.
        world: [3, 3], rotation from the world of ex4d to that of the file; None: the same.

    Raises:
        InvalidInput: the convention is unknown, or a matrix is not a rigid transform.
    """
    if (chosen := _CHOSEN.get()) is not None:
        chosen[1].append(convention)
        convention = chosen[0]
    direction, axes = check_convention(convention)
    check_rigid(matrices)
    to_world = np.linalg.inv(matrices) if direction == "w2c" else matrices
    if direction == "w2c" and axes == "opencv" and world is None:
        return matrices  # exactly
    inverse: np.ndarray = np.linalg.inv(from_camera_axes(to_world, axes, world=world))
    return inverse


def square(value: Any, name: str) -> np.ndarray:
    """Return matrices float64 [T, 4, 4] of poses.

    Args:
        value: [T, 4, 4], [T, 3, 4], [T, 16], [T, 12], a batch of 1, [4, 4, T], [3, 4, T], or one matrix.
        name: in the file, for errors.

    Raises:
        InvalidInput: they are not such matrices.
    """
    array = numbers(value, name)
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    array = _frames_first(array)
    if array.ndim == 2 and array.shape[1] in (12, 16):
        array = array.reshape(len(array), -1, 4)
    if array.shape in ((4, 4), (3, 4)):
        array = array[None]
    if array.ndim == 3 and array.shape[1:] == (3, 4):
        check_count(len(array))
        bottom = np.broadcast_to([0.0, 0.0, 0.0, 1.0], (len(array), 1, 4))
        return np.concatenate([array, bottom], axis=1)
    return array


def _frames_first(array: np.ndarray) -> np.ndarray:
    """Return matrices [4, 4, T] or [3, 4, T] with the frames along the first axis."""
    if array.ndim != 3 or array.shape[:2] not in MATRICES:
        return array
    turned: np.ndarray = np.moveaxis(array, 2, 0)
    if array.shape[1:] not in MATRICES:
        return turned
    return turned if are_rigid(turned) and not are_rigid(array) else array


def are_rigid(matrices: np.ndarray, *, tolerance: float = RIGID_TOLERANCE) -> bool:
    """Return whether matrices [T, 4, 4] or [T, 3, 4] have rotations, and 0 0 0 1 as last row."""
    rotation, bottom = matrices[:, :3, :3], matrices[:, 3:]
    with np.errstate(all="ignore"):  # from values that are not finite
        turned = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max(initial=0)
    return bool(turned <= tolerance and np.abs(bottom - [0, 0, 0, 1]).max(initial=0) <= tolerance)


def poses_of(value: Any, name: str, convention: str, *, world: np.ndarray | None = None) -> np.ndarray:
    """Return world-to-camera float64 [T, 4, 4] in OpenCV axes of the matrices in a file.

    Raises:
        InvalidInput: they are not poses.
    """
    return to_world_to_camera(square(value, name), convention, world=world)


def rigid(rotation: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return matrices [T, 4, 4] of rotations [T, 3, 3] and translations [T, 3]."""
    matrices: np.ndarray = np.tile(np.eye(4), (len(rotation), 1, 1))
    matrices[:, :3, :3], matrices[:, :3, 3] = rotation, shift
    return matrices


def rotations_of(quaternions: np.ndarray, *, scalar_first: bool = False) -> np.ndarray:
    """Return rotations [T, 3, 3] of quaternions [T, 4].

    Raises:
        InvalidInput: one is 0.
    """
    from scipy.spatial.transform import Rotation

    lengths = np.linalg.norm(quaternions, axis=1)
    for index in np.flatnonzero(~(lengths > 1e-9))[:1]:
        raise InvalidInput(f"pose {index} has the quaternion 0 0 0 0, which is not a rotation")
    matrices: np.ndarray = Rotation.from_quat(quaternions, scalar_first=scalar_first).as_matrix()
    return matrices


def lens_fields(value: Any, size: tuple[int, int] | None, poses: int, *, name: str = "intrinsics") -> dict[str, Any]:
    """Return the field of `CameraFile` with the intrinsics in a file.

    Args:
        value: matrices [3, 3] or [T, 3, 3], or fx, fy, cx, cy as [4] or [T, 4], in pixels; or a batch of 1 of these.
        size: width and height of the images, if known.
        poses: their number.
        name: in the file, for errors.

    Raises:
        InvalidInput: they are not intrinsics, or their number is not that of the poses.
    """
    array = numbers(value, name)
    if array.shape[:1] == (1,) and array.ndim == (4 if array.shape[-2:] == (3, 3) else 3):
        array = array[0]
    if array.ndim == 3 and array.shape[:2] == (3, 3) != array.shape[1:]:
        array = np.moveaxis(array, 2, 0)
    if array.shape[-2:] == (3, 3) and array.ndim in (2, 3):
        k = array.reshape(-1, 3, 3)
        array = np.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2]], axis=1)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] != 4 or not len(array):
        raise InvalidInput(f"{name} has the shape {list(np.shape(value))[:5]}; it needs [T, 3, 3], or 4 numbers a pose")
    check_count(len(array))
    lenses = [Pinhole(fx=fx, fy=fy, cx=cx, cy=cy) for fx, fy, cx, cy in array.tolist()]
    if size is None:
        return {"unsized": one_or_each(lenses, poses)}
    return {"intrinsics": one_or_each([lens.sized(*size) for lens in lenses], poses)}


def centered_size(lens: Pinhole) -> tuple[int, int] | None:
    """Return twice the principal point as size of the images, if it is a whole number of pixels."""
    sides = (2 * lens.cx, 2 * lens.cy)
    if any(abs(side - round(side)) > 0.01 or not 1 <= side <= LARGEST_SIDE for side in sides):
        return None
    return round(sides[0]), round(sides[1])


def assumed_size(file: CameraFile, path: Path) -> CameraFile:
    """Return a file with sized intrinsics, twice the principal point, or without any, and a warning about it."""
    if file.unsized is None:
        if file.fov is None or file.intrinsics is not None:
            return file
        warning = f"{path} has a field of view without the size of the images, which is left out"
        return attrs.evolve(file, warnings=(*file.warnings, warning))
    size = None if file.unsized[0].normalized else centered_size(file.unsized[0])
    if size is None:
        warning = f"{path} has intrinsics without the size of the images, which are left out"
        return attrs.evolve(file, unsized=None, warnings=(*file.warnings, warning))
    lenses = tuple(lens.sized(*size) for lens in file.unsized)
    warning = f"{path} does not have the size of the images; {size[0]}x{size[1]}, twice the principal point, is assumed"
    return attrs.evolve(file, unsized=None, intrinsics=lenses, warnings=(*file.warnings, warning))


def order_of(stamps: np.ndarray) -> np.ndarray:
    """Return the indices that sort poses by their time; as they are if all have the same.

    Raises:
        InvalidInput: two poses have the same time.
    """
    if (stamps == stamps[0]).all():
        return np.arange(len(stamps))
    order: np.ndarray = np.argsort(stamps, kind="stable")
    for index in np.flatnonzero(np.diff(stamps[order]) == 0)[:1]:
        raise InvalidInput(f"poses {order[index]} and {order[index + 1]} have the same time; each needs its own")
    return order


def positions_of(stamps: Sequence[float] | np.ndarray) -> tuple[int, ...] | None:
    """Return the frame of each pose by its number or time stamp, counted from the first; None if none is missing.

    One frame is first taken for the lower quartile of the differences, then for the mean over the counted frames.
    """
    steps = np.diff(np.asarray(stamps, dtype=np.float64))
    if len(steps) < 2 or not (steps > 0).all() or steps.max() < UNEVEN * steps.min():
        return None
    step = float(np.quantile(steps, 0.25, method="lower"))
    for _ in range(2):
        counts = np.maximum(np.ceil(steps / step - (GAP - 1)), 1)
        step = float(steps.sum() / counts.sum())
    if (counts == 1).all():
        return None
    at = np.concatenate([[0], np.cumsum(counts)])
    return tuple(int(position) for position in at) if at[-1] < MOST_POSES else None


def positions_of_numbers(frames: Sequence[int]) -> tuple[int, ...] | None:
    """Return the frame of each pose by its number, counted from the first; None if none is missing.

    Of two poses, frames are missing between numbers that do not follow each other.
    """
    if len(frames) == 2 and 1 < frames[1] - frames[0] < MOST_POSES:
        return 0, frames[1] - frames[0]
    return positions_of([float(frame - frames[0]) for frame in frames])


def positions_of_names(names: Sequence[str]) -> tuple[int, ...] | None:
    """Return the frame of each pose by the number in its name; None if none is missing or it does not tell.

    It is the last number that varies, unlike the size of the images or a version.
    """
    found = [re.findall("[0-9]+", re.sub(r"\.[A-Za-z]\w{0,7}$", "", name)) for name in names]
    if not found or not all(found):
        return None
    if len({len(each) for each in found}) == 1:
        columns = list(zip(*found, strict=True))
        numbered = next((column for column in reversed(columns) if len(set(column)) > 1), columns[-1])
    else:
        numbered = tuple(each[-1] for each in found)
    if any(len(number) > LONGEST_NUMBER for number in numbered):
        return None
    return positions_of_numbers([int(number) for number in numbered])


def missing_frames(file: CameraFile) -> list[int]:
    """Return the frames without a pose, counted from 0."""
    present = set(file.positions or ())
    return [frame for frame in range(max(present, default=0)) if frame not in present]


def named_gaps(file: CameraFile) -> str:
    """Return the frames without a pose in words, such as "frames 2 and 5"; '' if there are none."""
    missing = [str(frame) for frame in missing_frames(file)]
    if not missing:
        return ""
    if len(missing) == 1:
        return f"frame {missing[0]}"
    if len(missing) > NAMED_GAPS:
        return f"{len(missing)} frames ({', '.join(missing[:NAMED_GAPS])}, ...)"
    return f"frames {', '.join(missing[:-1])} and {missing[-1]}"


def filled(file: CameraFile) -> CameraFile:
    """Return a file with interpolated poses and intrinsics for missing frames."""
    from scipy.spatial.transform import Rotation, Slerp

    if file.positions is None:
        return file
    at, frames = np.asarray(file.positions, dtype=float), np.arange(file.positions[-1] + 1, dtype=float)
    to_world = np.linalg.inv(file.world_to_camera)
    turns = Slerp(at, Rotation.from_matrix(to_world[:, :3, :3]))(frames).as_matrix()
    centers = np.stack([np.interp(frames, at, column) for column in to_world[:, :3, 3].T], axis=1)
    poses = np.linalg.inv(rigid(turns, centers))
    poses[list(file.positions)] = file.world_to_camera
    nearest = [int(np.argmin(np.abs(at - frame))) for frame in frames]

    def each(values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return values if values is None or len(values) == 1 else tuple(values[index] for index in nearest)

    return attrs.evolve(
        file,
        world_to_camera=poses,
        intrinsics=_between(file.intrinsics, at, frames) or each(file.intrinsics),
        unsized=each(file.unsized),
        fov=each(file.fov),
        frames=each(file.frames),
        positions=None,
    )


def _between(
    lenses: tuple[Intrinsics, ...] | None, at: np.ndarray, frames: np.ndarray
) -> tuple[Intrinsics, ...] | None:
    """Return interpolated intrinsics, if they change and are for images of one size."""
    if lenses is None or len(lenses) == 1 or len({(lens.width, lens.height) for lens in lenses}) > 1:
        return None
    columns = [
        np.interp(frames, at, [getattr(lens, name) for lens in lenses]).tolist() for name in ("fx", "fy", "cx", "cy")
    ]
    return tuple(attrs.evolve(lenses[0], fx=fx, fy=fy, cx=cx, cy=cy) for fx, fy, cx, cy in zip(*columns, strict=True))
