"""Camera intrinsics and poses; the axis conventions are defined here.

Axes are those of OpenCV: x right, y down, z forward. The world is the source camera of frame 0.
Image coordinates are in pixels with (0, 0) at the upper left CORNER of the image, so cx = W / 2 is the center.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from ex4d_core.bounds import Bounds, numbers, shown
from ex4d_core.errors import InvalidInput
from ex4d_core.field_help import with_fields
from ex4d_core.types._arrays import shaped

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

DEFAULT_FOV = math.degrees(2 * math.atan(0.512))
"""Field of view along the longer side in degrees: 54.2, from the focal length of EX-4D, 500 px at 512 px."""

NARROWEST_FOV, WIDEST_FOV = 0.01, 179.9
"""Limits of the field of view along the longer side, in degrees."""

SMALLEST_FOCAL, LARGEST_FOCAL = 1e-3, 1e8
"""Limits of focal lengths in pixels; longer ones are a parallel projection in float32."""

LARGEST_SIDE = 2**20
"""Largest image side in pixels."""

LARGEST_SHIFT = 1e9
"""Largest distance of a pose from the source camera in scene units, limited by the precision of float64."""


def _whole(value: Any) -> Any:
    """Convert an integer of any type to int; leave other values to the validator."""
    if isinstance(value, bool | float):
        return value
    try:
        return operator.index(value)
    except TypeError:
        return value


def _real(value: Any) -> Any:
    """Convert a number of any type to float; leave other values to the validator."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return value


def _in_range(low: float, high: float, kind: Any) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        fits: bool = isinstance(value, kind) and low <= value <= high  # NaN does not
        if not fits:
            what = "a whole number " if kind is int else ""
            raise InvalidInput(
                f"{attribute.name} must be {what}between {low:.12g} and {high:.12g} pixels, not {shown(value)}"
            )

    return check


_focal = _in_range(SMALLEST_FOCAL, LARGEST_FOCAL, float)
_point = _in_range(-LARGEST_FOCAL, LARGEST_FOCAL, float)
_side = _in_range(1, LARGEST_SIDE, int)


@with_fields
@attrs.frozen(kw_only=True)
class Intrinsics:
    """A pinhole camera without distortion."""

    fx: float = attrs.field(converter=_real, validator=_focal)
    """Focal length along x in pixels."""
    fy: float = attrs.field(converter=_real, validator=_focal)
    """Focal length along y in pixels."""
    cx: float = attrs.field(converter=_real, validator=_point)
    """Principal point from the left edge of the image in pixels."""
    cy: float = attrs.field(converter=_real, validator=_point)
    """Principal point from the upper edge of the image in pixels."""
    width: int = attrs.field(converter=_whole, validator=_side)
    """Image width in pixels."""
    height: int = attrs.field(converter=_whole, validator=_side)
    """Image height in pixels."""

    @classmethod
    def from_focal(cls, focal: float, *, width: int, height: int) -> Intrinsics:
        """Return intrinsics with equal focal lengths in pixels and a centered principal point.

        Raises:
            InvalidInput: a value is not a number, or out of range.
        """
        _check_size(width, height)
        return cls(fx=focal, fy=focal, cx=width / 2, cy=height / 2, width=width, height=height)

    @classmethod
    def from_fov(cls, fov: float = DEFAULT_FOV, *, width: int, height: int) -> Intrinsics:
        """Return intrinsics with a field of view in degrees along the longer side.

        Raises:
            InvalidInput: the field of view is not between `NARROWEST_FOV` and `WIDEST_FOV`, or a side is not a number.
        """
        limits = Bounds(at_least=NARROWEST_FOV, at_most=WIDEST_FOV)
        if fault := limits.fault("the field of view", fov, "degrees"):
            raise InvalidInput(fault)
        _check_size(width, height)
        focal = max(width, height) / (2 * math.tan(math.radians(fov) / 2))
        return cls.from_focal(focal, width=width, height=height)

    def scaled_to(self, *, width: int, height: int) -> Intrinsics:
        """Return the intrinsics of the resized image."""
        return self.windowed(left=0, top=0, width=self.width, height=self.height, to_width=width, to_height=height)

    def windowed(
        self, *, left: float, top: float, width: float, height: float, to_width: int, to_height: int
    ) -> Intrinsics:
        """Return the intrinsics of a window of the image (in pixels; may exceed the image) resized to another size."""
        x, y = to_width / width, to_height / height
        return Intrinsics(
            fx=self.fx * x,
            fy=self.fy * y,
            cx=(self.cx - left) * x,
            cy=(self.cy - top) * y,
            width=to_width,
            height=to_height,
        )

    def matrix(self) -> np.ndarray:
        """Return K, float64 [3, 3]."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])


def _check_size(width: Any, height: Any) -> None:
    for name, side in (("width", width), ("height", height)):
        if fault := Bounds(at_least=1, at_most=LARGEST_SIDE).fault(name, _whole(side), "pixels"):
            raise InvalidInput(fault)


_OPENCV_TO_OPENGL = np.diag(np.array([1.0, -1.0, -1.0, 1.0], np.float32))
"""Flips the y and z axes of the camera; its own inverse."""

CAMERA_AXES: Mapping[str, np.ndarray] = {
    "opencv": np.diag([1.0, 1.0, 1.0]),  # x right, y down, z forward
    "opengl": np.diag([1.0, -1.0, -1.0]),  # x right, y up, z backward
    "unreal": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]),  # x forward, y right, z up; left-handed
}
"""The x, y and z axes of each camera axis system, as columns in OpenCV axes."""

Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""From world axes x right, y down, z forward to x right, y forward, z up."""


def to_camera_axes(camera_to_world: np.ndarray, axes: str, *, world: np.ndarray | None = None) -> np.ndarray:
    """Convert camera-to-world float64 [T, 4, 4] from OpenCV axes to other camera axes.

    Args:
        camera_to_world: float64 [T, 4, 4].
        axes: a name in `CAMERA_AXES`.
        world: [3, 3], rotation to other world axes; None keeps the world.
    """
    outer = _homogeneous(np.eye(3) if world is None else world)
    result: np.ndarray = outer @ camera_to_world @ _homogeneous(CAMERA_AXES[axes])
    return result


def from_camera_axes(camera_to_world: np.ndarray, axes: str, *, world: np.ndarray | None = None) -> np.ndarray:
    """Convert camera-to-world float64 [T, 4, 4] to OpenCV axes; the inverse of `to_camera_axes`."""
    outer = _homogeneous(np.eye(3) if world is None else world)
    result: np.ndarray = outer.T @ camera_to_world @ _homogeneous(CAMERA_AXES[axes]).T
    return result


def _homogeneous(rotation: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    return matrix


RIGID_TOLERANCE = 1e-3
"""Largest deviation of a rotation from orthonormal."""


def intrinsics_tuple(value: Intrinsics | tuple[Intrinsics, ...]) -> tuple[Intrinsics, ...]:
    """Return one or several intrinsics as a tuple.

    Raises:
        InvalidInput: the value has another type.
    """
    lenses = (value,) if isinstance(value, Intrinsics) else value
    if not (isinstance(lenses, tuple | list) and all(isinstance(lens, Intrinsics) for lens in lenses)):
        raise InvalidInput(f"intrinsics must be one Intrinsics or several, not {shown(value)}")
    return tuple(lenses)


def _tuple_of(frames: Sequence[int] | None) -> tuple[int, ...] | None:
    if frames is None:
        return None
    try:
        return tuple(map(operator.index, frames))
    except TypeError as error:
        raise InvalidInput(f"CameraPath.frames must be whole numbers, not {shown(frames)}") from error


def _shortly(frames: tuple[int, ...] | None) -> str:
    return "None" if frames is None else f"<{len(frames)} frames>"


@with_fields
@attrs.frozen(eq=False, kw_only=True)
class CameraPath:
    """A pose and intrinsics for each frame."""

    world_to_camera: Tensor = shaped("T 4 4", "float32")
    """float32 [T, 4, 4], OpenCV axes (x right, y down, z forward), world = source camera of frame 0."""

    intrinsics: tuple[Intrinsics, ...] = attrs.field(converter=intrinsics_tuple)
    """One for the path, or one for each frame, so that a path can zoom."""

    frames: tuple[int, ...] | None = attrs.field(default=None, converter=_tuple_of, repr=_shortly)
    """Index of the clip frame that each pose shows, from 0, if the path changes time; None: in order."""

    def __attrs_post_init__(self) -> None:
        if self.frames is not None and (len(self.frames) != self.num_frames or min(self.frames, default=0) < 0):
            raise InvalidInput(
                f"CameraPath has {self.num_frames} poses and {len(self.frames)} frames of the clip; "
                "pass one index from 0 for each pose"
            )
        if len(self.intrinsics) not in (1, self.num_frames):
            raise InvalidInput(
                f"CameraPath has {self.num_frames} poses and {len(self.intrinsics)} intrinsics; pass 1 or one per pose"
            )
        if fault := _not_rigid(self.world_to_camera):
            raise InvalidInput(f"CameraPath.world_to_camera has a pose that is not a rotation and translation: {fault}")

    def numpy(self) -> np.ndarray:
        """Return the poses, world to camera in OpenCV axes, float32 [T, 4, 4]."""
        return self.world_to_camera.numpy(force=True)

    @property
    def num_frames(self) -> int:
        """T."""
        return self.world_to_camera.shape[0]

    def intrinsics_at(self, frame: int) -> Intrinsics:
        """Return the intrinsics at a frame."""
        return self.intrinsics[frame if len(self.intrinsics) > 1 else 0]

    def frame_shown(self, frame: int) -> int:
        """Return the index of the clip frame that a pose shows."""
        return frame if self.frames is None else self.frames[frame]

    def taken_at(self, frames: Sequence[int]) -> CameraPath:
        """Return the poses of some frames, in the given order."""
        lenses = self.intrinsics if len(self.intrinsics) == 1 else tuple(self.intrinsics[frame] for frame in frames)
        return CameraPath(world_to_camera=self.world_to_camera[list(frames)], intrinsics=lenses)

    def to_opengl(self) -> Tensor:
        """Return world-to-camera float32 [T, 4, 4] with OpenGL camera axes (x right, y up, z backward)."""
        return _flipped(self.world_to_camera)

    @classmethod
    def from_opengl(
        cls, world_to_camera: Tensor | np.ndarray, intrinsics: Intrinsics | tuple[Intrinsics, ...]
    ) -> CameraPath:
        """Return the path of world-to-camera matrices [T, 4, 4] with OpenGL camera axes.

        Raises:
            InvalidInput: the matrices are not rigid, or have another shape.
        """
        import torch

        if not isinstance(world_to_camera, torch.Tensor):
            world_to_camera = torch.from_numpy(numbers(world_to_camera, "world_to_camera"))
        return cls(world_to_camera=_flipped(world_to_camera.float()), intrinsics=intrinsics)

    def to_ex4d_npz(self, *, exact: bool = False) -> dict[str, np.ndarray]:
        """Return the arrays of EX-4D's `camera_*.npz`: `extrinsics` [T, 4, 4] in OpenGL axes, `intrinsics` [3, 3].

        Intrinsics that change are [T, 3, 3]. `size` (width, height) and, if the path changes time, `clip_frames`, are
        additions of ex4d.

        Args:
            exact: write intrinsics as float64, so that they are read back exactly, in place of float32 as EX-4D.
        """
        matrices = np.stack([camera.matrix() for camera in self.intrinsics])
        matrices = matrices if exact else matrices.astype(np.float32)
        arrays = {
            "extrinsics": self.to_opengl().numpy(),
            "intrinsics": matrices[0] if len(matrices) == 1 else matrices,
            "size": np.array([self.intrinsics[0].width, self.intrinsics[0].height]),
        }
        return arrays if self.frames is None else {**arrays, "clip_frames": np.array(self.frames)}

    @classmethod
    def from_ex4d_npz(cls, arrays: Mapping[str, Any]) -> CameraPath:
        """Return the path of a `camera_*.npz` of EX-4D or ex4d.

        Without `size`, the image size is twice the principal point, as in EX-4D.

        Raises:
            InvalidInput: an array is missing or is not a camera.
        """
        if missing := {"extrinsics", "intrinsics"} - set(arrays):
            raise InvalidInput(f"the camera file lacks the arrays {' and '.join(sorted(missing))}")
        matrices, poses = (numbers(arrays[name], name) for name in ("intrinsics", "extrinsics"))
        if matrices.shape[-2:] != (3, 3) or matrices.ndim > 3 or poses.ndim != 3 or poses.shape[1:] != (4, 4):
            raise InvalidInput(
                f"intrinsics are {list(matrices.shape)} and extrinsics {list(poses.shape)}; they must be [3, 3] or "
                "[T, 3, 3], and [T, 4, 4]"
            )
        matrices = matrices.reshape(-1, 3, 3)
        if not len(matrices):
            raise InvalidInput("intrinsics are empty; they must be [3, 3] or [T, 3, 3]")
        size = numbers(arrays["size"], "size") if "size" in arrays else 2 * matrices[0, :2, 2]
        if size.shape != (2,):
            raise InvalidInput(f"size is {list(size.shape)}; it must be the two numbers width and height")
        width, height = (round(float(side)) for side in size)
        intrinsics = tuple(
            Intrinsics(fx=k[0, 0], fy=k[1, 1], cx=k[0, 2], cy=k[1, 2], width=width, height=height) for k in matrices
        )
        path = cls.from_opengl(poses.astype(np.float32), intrinsics)
        frames = _frame_numbers(arrays["clip_frames"]) if "clip_frames" in arrays else None
        return path if frames is None else attrs.evolve(path, frames=frames)


def _flipped(world_to_camera: Tensor) -> Tensor:
    """Convert world-to-camera float32 [T, 4, 4] between OpenCV and OpenGL camera axes."""
    import torch

    return torch.from_numpy(_OPENCV_TO_OPENGL) @ world_to_camera


def _not_rigid(world_to_camera: Tensor) -> str:
    """Return why a pose is not a rotation and translation, or '' if all are."""
    import torch

    rotation, shift = world_to_camera[:, :3, :3], world_to_camera[:, :3, 3]
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], device=world_to_camera.device)
    # Each comparison is False for NaN too.
    checks = {
        "its axes are not orthonormal": (
            (rotation @ rotation.mT - torch.eye(3, device=rotation.device)).abs().amax(dim=(1, 2)) < RIGID_TOLERANCE
        ),
        "it is a reflection": torch.linalg.det(rotation) >= 0,
        "its last row is not 0 0 0 1": (world_to_camera[:, 3] - bottom).abs().amax(dim=1) < RIGID_TOLERANCE,
        f"its translation is not within {LARGEST_SHIFT:g}": shift.abs().amax(dim=1) <= LARGEST_SHIFT,
    }
    return next((fault for fault, holds in checks.items() if not holds.all()), "")


def _frame_numbers(array: Any) -> tuple[int, ...]:
    frames = np.asarray(array)
    if frames.dtype.kind not in "ui" or frames.ndim != 1:
        raise InvalidInput("clip_frames must be whole numbers, one for each pose")
    return tuple(frames.tolist())
