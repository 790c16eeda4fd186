"""The content of a camera file, independent of its format."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np

from ex4d_core.bounds import number, shown, whole
from ex4d_core.errors import InvalidInput
from ex4d_core.names import natural_key
from ex4d_core.reading import read_json, read_text
from ex4d_core.types import Intrinsics
from ex4d_core.types.camera import (
    LARGEST_FOCAL,
    LARGEST_SHIFT,
    LARGEST_SIDE,
    RIGID_TOLERANCE,
    SMALLEST_FOCAL,
    from_camera_axes,
)

WHAT = "camera file"
"""As errors call a file."""

MOST_POSES = 100_000
"""Of a file: an hour of video has as many."""

LENS = tuple(field.name for field in attrs.fields(Intrinsics))
"""The numbers of a lens."""

SOURCE_TOLERANCE = 1e-6
"""How far, as an entry of the matrix, a first pose may be from the source camera's."""

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

    warnings: tuple[str, ...] = ()
    """What may be wrong with the file, a sentence each, of which the file is the subject."""

    def __attrs_post_init__(self) -> None:
        check_rigid(self.world_to_camera)
        for what, each in (("clip_frames", self.frames), ("shares", self.shares)):
            if each is not None and len(each) != self.num_poses:
                raise InvalidInput(f"there are {self.num_poses} poses and {len(each)} {what}; give one for each pose")
        if self.frames is not None and min(self.frames) < 0:
            raise InvalidInput(f"clip_frames count from 0, and {min(self.frames)} is less")
        if self.intrinsics is not None:
            check_lenses(self.intrinsics, self.num_poses)
        if self.fov_x is not None:
            check_angle(self.fov_x, "the field of view")

    @property
    def num_poses(self) -> int:
        """T."""
        return len(self.world_to_camera)


@attrs.frozen(kw_only=True)
class ReadOptions:
    """What a reader may be told that its file does not say."""

    distance: float = attrs.field(default=1.0)
    """To the subject, for formats that count in it, in units of the scene."""
    camera: str | None = None
    """Which of several cameras."""
    convention: str | None = attrs.field(default=None)
    """`c2w-opencv`, `w2c-opengl` and so on, for bare matrices."""
    file: Path = Path("FILE")
    """Its name, for errors that show what to type."""

    @distance.validator
    def _check_distance(self, attribute: attrs.Attribute[float], value: float) -> None:
        if not 0 < value <= LARGEST_SHIFT:
            raise InvalidInput(
                f"the distance to the subject must be more than 0 and at most {LARGEST_SHIFT:g}, not {value:g}"
            )

    @convention.validator
    def _check_convention(self, attribute: attrs.Attribute[str | None], value: str | None) -> None:
        if value is not None:
            check_convention(value)


@attrs.frozen(kw_only=True)
class Format:
    """A kind of camera file."""

    name: str
    """As `--to` takes it."""
    suffix: str
    """Of its files; "" for a folder."""
    says: frozenset[Says]
    """What it can say beside poses: the lens, a lens that changes, which frame of the clip is shown."""
    content: Callable[[Path], Any]
    """Returns what is in a file, not understood yet; its errors name the file."""
    read: Callable[[Any, ReadOptions], CameraFile]
    """Returns the poses in the content; its errors are about the file and do not name it."""
    write: Callable[[CameraFile, Path, float], None]
    """Called as `write(file, path, distance)`."""


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file in errors about what was read from it."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error


def json_of(path: Path) -> Any:
    """Return what is in a JSON file.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read as JSON.
    """
    return read_json(path, WHAT)


def text_of(path: Path) -> str:
    """Return what is in a text file.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read as text.
    """
    return read_text(path, WHAT)


def check_rigid(matrices: np.ndarray) -> None:
    """Refuse matrices that are no rotation and translation, and say which and why.

    Raises:
        InvalidInput: there is one, or there are none or too many.
    """
    if matrices.ndim != 3 or matrices.shape[1:] != (4, 4) or not len(matrices):
        raise InvalidInput(f"a camera path needs matrices of [T, 4, 4], not {list(matrices.shape)[:5]}")
    check_count(len(matrices))
    rotation = matrices[:, :3, :3]
    with np.errstate(all="ignore"):  # of those that are not finite
        square = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
        bottom = np.abs(matrices[:, 3] - np.array([0, 0, 0, 1])).max(axis=1)
        far = np.abs(matrices[:, :3, 3]).max(axis=1)
        fine = (square <= RIGID_TOLERANCE) & (bottom <= RIGID_TOLERANCE) & (far <= LARGEST_SHIFT)
        fine &= np.linalg.det(rotation) > 0
    for index in np.flatnonzero(~fine)[:1]:
        raise InvalidInput(f"pose {index} is not a rotation and translation: {_why_not_rigid(matrices[index])}")


def check_count(count: int) -> None:
    """Refuse more poses than a clip may have frames.

    Raises:
        InvalidInput: there are more.
    """
    if count > MOST_POSES:
        raise InvalidInput(f"it holds {count:,} poses; at most {MOST_POSES:,} are read")


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
        return "it mirrors, as left-handed axes do"
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
    direction, axes = check_convention(convention)
    check_rigid(matrices)
    to_world = np.linalg.inv(matrices) if direction == "w2c" else matrices
    if direction == "w2c" and axes == "opencv":
        return matrices  # to the last digit
    inverse: np.ndarray = np.linalg.inv(from_camera_axes(to_world, axes))
    return inverse


def check_convention(convention: str) -> tuple[str, str]:
    """Return direction and axes of a convention such as `c2w-opencv`.

    Raises:
        InvalidInput: there is no such convention.
    """
    direction, _, axes = convention.partition("-")
    if direction not in ("c2w", "w2c") or axes not in ("opencv", "opengl"):
        raise InvalidInput(
            f"the convention {shown(convention)} must be c2w-opencv, w2c-opencv, c2w-opengl or w2c-opengl: "
            "camera to world or world to camera, and the axes of the camera"
        )
    return direction, axes


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


def check_angle(value: object, name: str) -> float:
    """Return a field of view in radians.

    Raises:
        InvalidInput: it is not one.
    """
    angle = number(value, name)
    if not 0 < angle < math.pi:
        raise InvalidInput(f"{name} of {angle:g} radians is not possible for a lens; is it in degrees?")
    return angle


def lens_of(facts: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Intrinsics:
    """Return a lens of the numbers that a file has for it.

    Args:
        facts: by our names.
        names: of the file, by ours, where they differ, for errors.

    Raises:
        InvalidInput: there is a value that no lens has.
    """
    names = names or {}

    def pixels(name: str, low: float, high: float) -> float:
        return number(facts[name], names.get(name, name), low, high, unit="pixels")

    def side(name: str) -> int:
        return whole(facts[name], names.get(name, name), 1, LARGEST_SIDE, unit="pixels")

    focal, point = (SMALLEST_FOCAL, LARGEST_FOCAL), (-LARGEST_FOCAL, LARGEST_FOCAL)
    return Intrinsics(
        fx=pixels("fx", *focal),
        fy=pixels("fy", *focal),
        cx=pixels("cx", *point),
        cy=pixels("cy", *point),
        width=side("width"),
        height=side("height"),
    )


def check_lenses(lenses: Sequence[Intrinsics], poses: int) -> None:
    """Refuse another number of lenses than one, or one for each pose.

    Raises:
        InvalidInput: there is another.
    """
    if len(lenses) not in (1, poses):
        raise InvalidInput(f"there are {poses} poses and {len(lenses)} intrinsics; give one, or one for each pose")


def frames_of(values: object, name: str) -> tuple[int, ...]:
    """Return which frame of the clip each pose shows.

    Raises:
        InvalidInput: it is not a list of whole numbers.
    """
    if not isinstance(values, list):
        raise InvalidInput(f"{name} must be a list of whole numbers, not {shown(values)}")
    return tuple(whole(value, name) for value in values)


def natural_order(names: Sequence[str]) -> list[int]:
    """Return the order that sorts names by the numbers in them: frame_2 before frame_10."""
    return sorted(range(len(names)), key=lambda index: natural_key(names[index]))


def one_or_each(intrinsics: Sequence[Intrinsics], poses: int) -> tuple[Intrinsics, ...]:
    """Return one lens where all are the same.

    Raises:
        InvalidInput: there is neither one, nor one for each pose.
    """
    check_lenses(intrinsics, poses)
    return tuple(intrinsics[:1]) if len(set(intrinsics)) == 1 else tuple(intrinsics)
