"""What a camera file holds, whatever its format."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np

from ex4d_core import reading
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Intrinsics
from ex4d_core.types.camera import LARGEST_SHIFT, RIGID_TOLERANCE, from_camera_axes

SOURCE_TOLERANCE = 1e-6
"""How far, as an entry of the matrix, a first pose may be from the source camera's."""

MOST_FRAMES = 2**31 - 1
"""Of a clip that a camera file can be for."""

Says = Literal["lens", "zoom", "time"]


@attrs.frozen(eq=False, kw_only=True)
class CameraFile:
    """Poses as a file has them, in OpenCV's axes, with all their digits."""

    world_to_camera: np.ndarray
    """float64 [T, 4, 4]."""

    intrinsics: tuple[Intrinsics, ...] | None = None
    """One, or one for each pose; None where the file says nothing of the lens."""

    fov_x: float | None = None
    """Field of view along x in radians, where the file says that and not for which size."""

    frames: tuple[int, ...] | None = None
    """Which frame of the clip each pose shows, where time is changed."""

    shares: tuple[float, ...] | None = None
    """How much of the path is done at each pose, 0 to 1 and rising, where they are keyframes; None: one a frame."""

    doubts: tuple[str, ...] = ()
    """What may be wrong with the file, a sentence each."""

    def __attrs_post_init__(self) -> None:
        check_rigid(self.world_to_camera)
        for what, each in (("clip_frames", self.frames), ("shares", self.shares)):
            if each is not None and len(each) != self.num_poses:
                raise InvalidInput(f"there are {self.num_poses} poses and {len(each)} {what}; give one for each pose")
        if self.frames is not None and not 0 <= min(self.frames) <= max(self.frames) <= MOST_FRAMES:
            raise InvalidInput(f"clip_frames must be from 0 to {MOST_FRAMES:,}, counted from 0")
        if self.intrinsics is not None and len(self.intrinsics) not in (1, self.num_poses):
            raise InvalidInput(
                f"there are {self.num_poses} poses and {len(self.intrinsics)} intrinsics; "
                "give one, or one for each pose"
            )

    @property
    def num_poses(self) -> int:
        """T."""
        return len(self.world_to_camera)


@attrs.frozen(kw_only=True)
class Reading:
    """What a reader may be told that its file does not say."""

    distance: float = attrs.field(default=1.0)
    """To the subject, for formats that count in it, in units of the scene."""
    camera: str | None = None
    """Which of several cameras."""
    convention: str | None = None
    """`c2w-opencv`, `w2c-opengl` and so on, for bare matrices."""

    @distance.validator
    def _check_distance(self, attribute: attrs.Attribute[float], value: float) -> None:
        if not 0 < value < math.inf:
            raise InvalidInput(f"the distance to the subject must be more than 0, not {value:g}")


@attrs.frozen(kw_only=True)
class Format:
    """A kind of camera file."""

    name: str
    """As `--to` takes it."""
    suffix: str
    """Of its files; "" for a folder."""
    says: frozenset[Says]
    """What it can say beside poses: the lens, a lens that changes, which frame of the clip is shown."""
    read: Callable[[Path, Reading], CameraFile]
    write: Callable[[CameraFile, Path, float], None]
    """Called as `write(file, path, distance)`."""


def check_rigid(matrices: np.ndarray) -> None:
    """Refuse matrices that are no rotation and translation, and say which and why.

    Raises:
        InvalidInput: there is one.
    """
    if matrices.ndim != 3 or matrices.shape[1:] != (4, 4) or not len(matrices):
        raise InvalidInput(f"a camera path needs matrices of [T, 4, 4], not {list(matrices.shape)}")
    for index, matrix in enumerate(matrices):
        if reason := _why_not_rigid(matrix):
            raise InvalidInput(f"pose {index} is no rotation and translation: {reason}")


def _why_not_rigid(matrix: np.ndarray) -> str:
    if not np.isfinite(matrix).all():
        return "it has values that are not finite"
    bottom = np.array([0, 0, 0, 1])
    if np.abs(matrix[3] - bottom).max() > RIGID_TOLERANCE:
        if np.abs(matrix[:, 3] - bottom).max() <= RIGID_TOLERANCE:
            return "its translation stands in the last row, so rows and columns are swapped"
        return "its last row is not 0 0 0 1"
    if np.abs(matrix[:3, 3]).max() > LARGEST_SHIFT:
        return f"its translation is beyond {LARGEST_SHIFT:g}"
    rotation = matrix[:3, :3]
    square = rotation @ rotation.T
    if np.abs(square - np.eye(3)).max() <= RIGID_TOLERANCE:
        return "" if np.linalg.det(rotation) > 0 else "it mirrors, as left-handed axes do"
    size = np.sqrt(np.trace(square) / 3)
    if np.abs(square - np.eye(3) * size**2).max() <= RIGID_TOLERANCE * size**2:
        return f"its axes are {size:g} long instead of 1, so it also scales"
    return "its axes are not at right angles or not 1 long"


def camera_to_world_of(file: CameraFile) -> np.ndarray:
    """Return the inverse poses, float64 [T, 4, 4]."""
    inverse: np.ndarray = np.linalg.inv(file.world_to_camera)
    return inverse


def to_world_to_camera(matrices: np.ndarray, convention: str) -> np.ndarray:
    """Return world-to-camera float64 [T, 4, 4] in OpenCV's axes.

    Args:
        matrices: [T, 4, 4].
        convention: direction and axes of the camera, such as `c2w-opencv`.

    Raises:
        InvalidInput: there is no such convention, or a matrix is no pose.
    """
    direction, _, axes = convention.partition("-")
    if direction not in ("c2w", "w2c") or axes not in ("opencv", "opengl"):
        raise InvalidInput(
            f"the convention {convention!r} must be c2w-opencv, w2c-opencv, c2w-opengl or w2c-opengl: "
            "camera to world or world to camera, and the axes of the camera"
        )
    check_rigid(matrices)
    to_world = np.linalg.inv(matrices) if direction == "w2c" else matrices
    if direction == "w2c" and axes == "opencv":
        return matrices  # to the last digit
    inverse: np.ndarray = np.linalg.inv(from_camera_axes(to_world, axes))
    return inverse


def refuse_start_elsewhere(file: CameraFile, tool: str) -> None:
    """Refuse a path for a format that counts poses from its first one.

    Raises:
        InvalidInput: it does not start at the source camera.
    """
    if np.abs(file.world_to_camera[0] - np.eye(4)).max() > SOURCE_TOLERANCE:
        raise InvalidInput(
            f"{tool} counts poses from the first one, so where a path starts that is not at the source camera "
            "would be lost; save it in another format"
        )


def numbers(value: Any, name: str) -> np.ndarray:
    """Return numbers, or nested lists of them, as float64; a text is not a number.

    Raises:
        InvalidInput: there is something else among them, or the lists are uneven.
    """
    try:
        array = np.asarray(value)
        found = array.astype(np.float64) if array.dtype.kind in "uif" else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise InvalidInput(f"{name} must be numbers, in lists of one length")
    return found


def whole_numbers(value: Any, name: str) -> tuple[int, ...]:
    """Return a list of whole numbers as a tuple.

    Raises:
        InvalidInput: it is not such a list.
    """
    if not isinstance(value, list | tuple) or not all(type(number) is int for number in value):
        raise InvalidInput(f"{name} must be a list of whole numbers")
    return tuple(value)


def read_json(path: Path) -> Any:
    """Return what is in a JSON file.

    Raises:
        InvalidInput: it is none.
    """
    return reading.read_json(path, "camera file")


def natural_order(names: Sequence[str]) -> list[int]:
    """Return the order that sorts names as people do: frame_2 before frame_10."""

    def key(index: int) -> list[tuple[int, str]]:
        parts = re.split(r"(\d+)", names[index])
        return [(int(part), "") if part.isdecimal() and len(part) < 20 else (-1, part) for part in parts]

    return sorted(range(len(names)), key=key)


def one_or_each(intrinsics: Sequence[Intrinsics], poses: int) -> tuple[Intrinsics, ...]:
    """Return one lens where all are the same.

    Raises:
        InvalidInput: there is neither one, nor one for each pose.
    """
    if len(intrinsics) not in (1, poses):
        raise InvalidInput(f"there are {poses} poses and {len(intrinsics)} intrinsics; give one, or one for each pose")
    return tuple(intrinsics[:1]) if len(set(intrinsics)) == 1 else tuple(intrinsics)
