"""Generate camera paths: from eye positions, from fixed poses, or from several moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from typing import Protocol, runtime_checkable

import attrs
import numpy as np
import torch

from ex4d_core.bounds import Bounds, shown
from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.geometry.keyframes import interpolate_linear
from ex4d_core.geometry.motion import Motion, compose, concatenate, eased, frames_shown
from ex4d_core.geometry.paths import Eye, arc_eye, normalized_times
from ex4d_core.geometry.projective import look_at
from ex4d_core.geometry.rigid import Pose
from ex4d_core.roles import TrajectoryGenerator
from ex4d_core.types import CameraPath, Intrinsics, Scene
from ex4d_core.types.camera import LARGEST_SHIFT

DENSE = 121
"""Number of samples of a path that has no method `motion`, to combine it with others."""


@runtime_checkable
class Moving(Protocol):
    """A trajectory generator whose path is a function of normalized time. The method is optional."""

    def motion(self, num_frames: int, scene: Scene, start: Pose) -> Motion:
        """Return the move that starts at a camera pose, such as the end of another move.

        Args:
            num_frames: length of the whole path, for rules that depend on it.
            scene: the clip and its depth.
            start: the pose in world coordinates, the axes of the source camera of frame 0.
        """
        ...


@attrs.frozen(kw_only=True)
class Move:
    """One move of a path and its ease."""

    generator: TrajectoryGenerator
    ease: str = "linear"


@attrs.frozen(kw_only=True)
class Segment:
    """Simultaneous moves, and the fraction of the path that they take."""

    moves: tuple[Move, ...]
    weight: float = 1.0


class JoinedPath:
    """A trajectory generator that combines moves: segments one after the other, each of simultaneous moves."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return a pose for each of `num_frames` frames; world = source camera of frame 0.

        Raises:
            InvalidConfig: `num_frames` is less than 1.
            InvalidInput: the subject of a move cannot be located.
        """
        return sampled(self.motion(num_frames, scene, Pose.identity()), num_frames, scene)

    def warnings(self, scene: Scene) -> list[str]:
        """Return the warnings of its moves."""
        return self._texts("warnings", scene)

    def notes(self, scene: Scene) -> list[str]:
        """Return the notes of its moves."""
        return self._texts("notes", scene)

    def _texts(self, name: str, scene: Scene) -> list[str]:
        generators = [move.generator for segment in self._segments for move in segment.moves]
        return [text for generator in generators for text in getattr(generator, name, _no_texts)(scene)]

    def motion(self, num_frames: int, scene: Scene, start: Pose) -> Motion:
        """Return the whole path as one move."""
        check_num_frames(num_frames)
        segments: list[Callable[[Pose], Motion]] = [
            partial(_segment_from, segment, num_frames, scene, start) for segment in self._segments
        ]
        return concatenate(segments, [segment.weight for segment in self._segments])


def sampled(motion: Motion, num_frames: int, scene: Scene, *, lens: Intrinsics | None = None) -> CameraPath:
    """Sample a move at equal time steps; the intrinsics are `lens`, by default those of frame 0, times the zoom."""
    times = normalized_times(num_frames)
    poses = [motion.pose(t) for t in times]
    frames = frames_shown(motion, times, scene.video.num_frames)
    lens = lens or scene.depth.intrinsics_at(0)
    lenses = tuple(attrs.evolve(lens, fx=lens.fx * pose.zoom, fy=lens.fy * pose.zoom) for pose in poses)
    same_length = num_frames == scene.video.num_frames
    original_timing = same_length and (motion.timing is None or frames == list(range(num_frames)))
    matrices = torch.from_numpy(np.stack([pose.inverse().matrix() for pose in poses]))
    return CameraPath(
        world_to_camera=matrices.float(),
        intrinsics=lenses if len(set(lenses)) > 1 else lenses[:1],
        frames=None if original_timing else tuple(frames),
    )


def check_num_frames(num_frames: int) -> None:
    """Validate the length of a path.

    Raises:
        InvalidConfig: it is less than 1.
    """
    if num_frames < 1:
        raise InvalidConfig(f"a camera path needs at least 1 frame, not {num_frames}")


def path_of_eyes(eyes: Sequence[Eye], *, center: Eye, intrinsics: Intrinsics) -> CameraPath:
    """Return the path of a camera at each of `eyes` that looks at `center`, in world coordinates."""
    positions = torch.tensor(eyes, dtype=torch.float64).reshape(-1, 3)
    poses = look_at(positions, torch.tensor(center, dtype=torch.float64))
    return CameraPath(world_to_camera=poses, intrinsics=intrinsics)


def poses_of(path: CameraPath) -> list[Pose]:
    """Return the poses of a path in world coordinates; their zoom is relative to the first frame."""
    focal = path.intrinsics_at(0).fx
    matrices = torch.linalg.inv(path.world_to_camera.double()).numpy()
    return [
        Pose(rotation=matrix[:3, :3], position=matrix[:3, 3], zoom=path.intrinsics_at(frame).fx / focal)
        for frame, matrix in enumerate(matrices)
    ]


class GivenPath:
    """A trajectory generator that returns a fixed path."""

    def __init__(self, path: CameraPath) -> None:
        self._path = path

    @property
    def num_poses(self) -> int:
        """The only number of poses that is possible."""
        return self._path.num_frames

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return the path.

        Raises:
            InvalidInput: it does not have `num_frames` poses.
        """
        if self._path.num_frames != num_frames:
            raise InvalidInput(
                f"the camera path has {self._path.num_frames} poses but the clip has {num_frames} frames; "
                f"use a path with {num_frames} poses or a clip of {self._path.num_frames} frames"
            )
        return self._path


def generate_camera_trajectory(
    start_angle: float = -90,
    end_angle: float = 90,
    num_frames: int = 49,
    *,
    radius: float = 1.0,
    intrinsics: Intrinsics | None = None,
) -> CameraPath:
    """Return a sweep along the arc of EX-4D around a subject; no scene is needed.

    Args:
        start_angle: of the first frame in degrees, -90 (left) to 90 (right); 0 is the source camera.
        end_angle: of the last frame in degrees, -90 to 90.
        num_frames: number of poses.
        radius: distance from the source camera to the subject, in the units of the depth; it scales the path.
        intrinsics: of the camera; None: 512x512 with the default field of view.

    Raises:
        InvalidConfig: an angle, the length or the radius is out of range.
    """
    quarter = Bounds(at_least=-90, at_most=90)
    faults = (
        quarter.fault("start_angle", start_angle, "degrees"),
        quarter.fault("end_angle", end_angle, "degrees"),
        "" if isinstance(num_frames, Integral) else f"num_frames must be a whole number, not {shown(num_frames)}",
        Bounds(at_least=1).fault("num_frames", num_frames),
        Bounds(above=0, at_most=LARGEST_SHIFT).fault("radius", radius),
    )
    if fault := next(filter(None, faults), None):
        raise InvalidConfig(fault)
    angles = [start_angle + t * (end_angle - start_angle) for t in normalized_times(num_frames)]
    return path_of_eyes(
        [arc_eye(angle, radius) for angle in angles],
        center=(0.0, 0.0, radius),
        intrinsics=intrinsics or Intrinsics.from_fov(width=512, height=512),
    )


def _no_texts(scene: Scene) -> list[str]:
    return []


def _segment_from(segment: Segment, num_frames: int, scene: Scene, path_start: Pose, pose: Pose) -> Motion:
    """Return a segment that starts at `pose`, relative to the start of the path."""
    start = path_start @ pose
    return compose([eased(_motion_of(move.generator, num_frames, scene, start), move.ease) for move in segment.moves])


def _motion_of(generator: TrajectoryGenerator, num_frames: int, scene: Scene, start: Pose) -> Motion:
    if isinstance(generator, Moving):
        return generator.motion(num_frames, scene, start)
    return Motion(pose=interpolate_linear(poses_of(generator.path(DENSE, scene)), normalized_times(DENSE)))
