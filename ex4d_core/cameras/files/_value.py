"""The content of a camera file, independent of its format."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

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
)

WHAT = "camera file"
"""Name of the kind of file in errors."""

MOST_POSES = 100_000
"""Largest number of poses in a file: an hour of video."""

LENS = tuple(field.name for field in attrs.fields(Intrinsics))
"""Names of the intrinsics."""

SOURCE_TOLERANCE = 1e-6
"""Largest difference, in an entry of the matrix, of a first pose from the source camera."""

_Lens = TypeVar("_Lens")
FieldSide = Literal["width", "height", "longer"]


@attrs.frozen(kw_only=True)
class Pinhole:
    """Intrinsics without the size of the images."""

    fx: float
    """Focal length along x, in pixels or, normalized, in widths of the image."""
    fy: float
    """Focal length along y, in pixels or in heights."""
    cx: float
    """Principal point from the left edge, in pixels or in widths."""
    cy: float
    """Principal point from the upper edge, in pixels or in heights."""
    normalized: bool = False
    """Whether lengths are in sides of the image."""

    def __attrs_post_init__(self) -> None:
        for name in ("fx", "fy"):
            number(getattr(self, name), name, SMALLEST_FOCAL, LARGEST_FOCAL)
        for name in ("cx", "cy"):
            number(getattr(self, name), name, -LARGEST_FOCAL, LARGEST_FOCAL)

    def sized(self, width: int, height: int) -> Intrinsics:
        """Return the intrinsics of images of this size."""
        x, y = (width, height) if self.normalized else (1, 1)
        return Intrinsics(fx=self.fx * x, fy=self.fy * y, cx=self.cx * x, cy=self.cy * y, width=width, height=height)


@attrs.frozen(eq=False, kw_only=True)
class CameraFile:
    """The content of a camera file, in OpenCV axes and float64."""

    world_to_camera: np.ndarray
    """float64 [T, 4, 4]."""

    intrinsics: tuple[Intrinsics, ...] | None = None
    """One, or one for each pose; None if the file has none."""

    unsized: tuple[Pinhole, ...] | None = None
    """In place of intrinsics, if the file does not have the size of the images."""

    fov: tuple[float, ...] | None = None
    """One field of view in radians, or one for each pose, if the file has no more than that."""

    fov_side: FieldSide = "width"
    """Side of the image along which the field of view is measured."""

    frames: tuple[int, ...] | None = None
    """Frame of the clip that each pose shows; None: the original timing."""

    times: tuple[float, ...] | None = None
    """Normalized time of each keyframe, 0 to 1 and increasing; None: one pose for each frame."""

    positions: tuple[int, ...] | None = None
    """Frame of each pose, counted from the first and increasing, if poses of some frames are missing."""

    spread: Callable[[int], np.ndarray] | None = None
    """Returns the poses at another number of frames, if the file holds a curve."""

    format: str = ""
    """Name of the format as which the file was read."""

    warnings: tuple[str, ...] = ()
    """Possible problems of the file, each a sentence without its subject, the file."""

    def __attrs_post_init__(self) -> None:
        check_rigid(self.world_to_camera)
        for what, each in (("clip_frames", self.frames), ("times", self.times)):
            if each is not None and len(each) != self.num_poses:
                raise InvalidInput(f"it has {self.num_poses} poses but {len(each)} {what}; give one for each pose")
        if self.frames is not None and min(self.frames) < 0:
            raise InvalidInput(f"clip_frames must be at least 0, not {min(self.frames)}")
        if self.intrinsics is not None:
            check_lenses(self.intrinsics, self.num_poses)
        if self.unsized is not None:
            check_lenses(self.unsized, self.num_poses)
        if self.fov is not None:
            check_lenses(self.fov, self.num_poses)
            for angle in set(self.fov):
                check_angle(angle, "the field of view")
        if self.positions is not None and len(self.positions) != self.num_poses:
            raise InvalidInput(f"it has {self.num_poses} poses but {len(self.positions)} frame numbers")

    @property
    def num_poses(self) -> int:
        """T."""
        return len(self.world_to_camera)


@attrs.frozen(kw_only=True)
class ReadOptions:
    """Information that a camera file may lack."""

    distance: float = attrs.field(default=1.0)
    """Distance to the subject in units of the scene, the unit of length of some formats."""
    camera: str | None = None
    """Name of the camera, if the file has several."""
    convention: str | None = attrs.field(default=None)
    """Convention of bare matrices, such as `c2w-opencv`."""
    elevation: float = attrs.field(default=5.0)
    """Elevation of the source camera in degrees, for ViewCrafter, whose files do not have it."""
    file: Path = Path("FILE")
    """Path of the file, for commands in errors."""

    @distance.validator
    def _check_distance(self, attribute: attrs.Attribute[float], value: float) -> None:
        if not 0 < value <= LARGEST_SHIFT:
            raise InvalidInput(
                f"the distance to the subject must be more than 0 and at most {LARGEST_SHIFT:g}, not {value:g}"
            )

    @elevation.validator
    def _check_elevation(self, attribute: attrs.Attribute[float], value: float) -> None:
        number(value, "the elevation", -89, 89, unit="degrees")

    @convention.validator
    def _check_convention(self, attribute: attrs.Attribute[str | None], value: str | None) -> None:
        if value is not None:
            check_convention(value)


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Prefix errors about the content of a file with its path."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error


def json_of(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read as JSON.
    """
    return read_json(path, WHAT)


def text_of(path: Path) -> str:
    """Read a text file.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read as text.
    """
    return read_text(path, WHAT)


def check_rigid(matrices: np.ndarray) -> None:
    """Validate that matrices are rigid transforms.

    Raises:
        InvalidInput: one is not, which the message names with the reason; or there are none or too many.
    """
    if matrices.ndim != 3 or matrices.shape[1:] != (4, 4) or not len(matrices):
        raise InvalidInput(f"a camera path needs matrices of [T, 4, 4], not {list(matrices.shape)[:5]}")
    check_count(len(matrices))
    rotation = matrices[:, :3, :3]
    with np.errstate(all="ignore"):  # from values that are not finite
        square = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
        bottom = np.abs(matrices[:, 3] - np.array([0, 0, 0, 1])).max(axis=1)
        far = np.abs(matrices[:, :3, 3]).max(axis=1)
        fine = (square <= RIGID_TOLERANCE) & (bottom <= RIGID_TOLERANCE) & (far <= LARGEST_SHIFT)
        fine &= np.linalg.det(rotation) > 0
    for index in np.flatnonzero(~fine)[:1]:
        raise InvalidInput(f"pose {index} is not a rotation and translation: {_why_not_rigid(matrices[index])}")


def check_count(count: int) -> None:
    """Validate the number of poses.

    Raises:
        InvalidInput: there are more than `MOST_POSES`.
    """
    if count > MOST_POSES:
        raise InvalidInput(f"it has {count:,} poses; the maximum is {MOST_POSES:,}")


def _why_not_rigid(matrix: np.ndarray) -> str:
    if not np.isfinite(matrix).all():
        return "it has values that are not finite"
    bottom = np.array([0, 0, 0, 1])
    if np.abs(matrix[3] - bottom).max() > RIGID_TOLERANCE:
        if np.abs(matrix[:, 3] - bottom).max() <= RIGID_TOLERANCE:
            return "its translation is in the last row, so rows and columns are swapped"
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


def check_convention(convention: str) -> tuple[str, str]:
    """Return direction and axes of a convention such as `c2w-opencv`.

    Raises:
        InvalidInput: the convention is unknown.
    """
    direction, _, axes = convention.partition("-")
    if direction not in ("c2w", "w2c") or axes not in ("opencv", "opengl"):
        raise InvalidInput(
            f"the convention {shown(convention)} must be c2w-opencv, w2c-opencv, c2w-opengl or w2c-opengl: "
            "camera to world or world to camera, and the axes of the camera"
        )
    return direction, axes


def required_convention(reading: ReadOptions, matrices: np.ndarray, *, directions: str = "c2w or w2c") -> str:
    """Return the convention of bare matrices; a camera that never leaves the origin is the same in all.

    Raises:
        InvalidInput: the convention is unknown.
    """
    if reading.convention is not None:
        return reading.convention
    if matrices.ndim == 3 and matrices.shape[1:] == (4, 4) and np.array_equal(matrices, matrices * 0 + np.eye(4)):
        return "w2c-opencv"
    first = directions.split()[0]
    raise InvalidInput(
        "the convention of its matrices is unknown; add it to the name, "
        f"{reading.file.name}:convention={first}-opencv ({directions}, opencv or opengl), "
        f"or convert the file: ex4d cam convert {reading.file} converted.json --convention {first}-opencv"
    )


def refuse_start_elsewhere(file: CameraFile, tool: str) -> None:
    """Validate a path for a format whose poses are relative to the first one.

    Raises:
        InvalidInput: it does not start at the source camera.
    """
    if np.abs(file.world_to_camera[0] - np.eye(4)).max() > SOURCE_TOLERANCE:
        raise InvalidInput(
            f"{tool} stores poses relative to the first one, which must be the source camera; "
            "save the path in another format"
        )


def check_angle(value: object, name: str) -> float:
    """Return a field of view in radians.

    Raises:
        InvalidInput: it is not one.
    """
    angle = number(value, name)
    if not 0 < angle < math.pi:
        raise InvalidInput(f"{name} must be between 0 and pi radians, not {angle:g}; is it in degrees?")
    return angle


def lens_of(facts: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Intrinsics:
    """Return the intrinsics from the numbers in a file.

    Args:
        facts: by the names of `Intrinsics`.
        names: names in the file, for errors, where they differ.

    Raises:
        InvalidInput: a value is out of range.
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


def check_lenses(lenses: Sequence[object], poses: int) -> None:
    """Validate that there is one lens, or one for each pose.

    Raises:
        InvalidInput: there is another number.
    """
    if len(lenses) not in (1, poses):
        raise InvalidInput(f"it has {poses} poses but {len(lenses)} intrinsics; give one, or one for each pose")


def frames_of(values: object, name: str) -> tuple[int, ...]:
    """Return the frame of the clip that each pose shows.

    Raises:
        InvalidInput: it is not a list of whole numbers.
    """
    if not isinstance(values, list):
        raise InvalidInput(f"{name} must be a list of whole numbers, not {shown(values)}")
    return tuple(whole(value, name) for value in values)


def natural_order(names: Sequence[str]) -> list[int]:
    """Return the indices that sort names by the numbers in them: frame_2 before frame_10."""
    return sorted(range(len(names)), key=lambda index: natural_key(names[index]))


def one_or_each(intrinsics: Sequence[_Lens], poses: int) -> tuple[_Lens, ...]:
    """Return a single lens if all are equal.

    Raises:
        InvalidInput: the number is neither 1 nor that of the poses.
    """
    check_lenses(intrinsics, poses)
    return tuple(intrinsics[:1]) if len(set(intrinsics)) == 1 else tuple(intrinsics)
