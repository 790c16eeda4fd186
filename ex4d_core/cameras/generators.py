"""Generate camera paths: from eye positions, from given poses, or from several moves joined in one path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import attrs
import torch

from ex4d_core.bounds import Bounds
from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.geometry.keyframes import straight_through
from ex4d_core.geometry.motion import Motion, eased, frames_shown, joined, together
from ex4d_core.geometry.paths import Eye, arc_eye, frame_shares
from ex4d_core.geometry.projective import look_at
from ex4d_core.geometry.rigid import HERE, Pose
from ex4d_core.roles import TrajectoryGenerator
from ex4d_core.types import CameraPath, Intrinsics, Scene
from ex4d_core.types.camera import LARGEST_SHIFT

DENSE = 121
"""Poses that stand for a path that is no function of time, where it is joined with others."""


@runtime_checkable
class Moving(Protocol):
    """A trajectory generator whose path is a function of how much of it is done; the method is optional."""

    def motion(self, num_frames: int, scene: Scene, start: Pose) -> Motion:
        """Return the move from where another has brought the camera.

        Args:
            num_frames: of the whole path, for rules that depend on it.
            scene: the clip and its depth.
            start: the camera there, in the world: the axes of the source camera of frame 0.
        """
        ...


@attrs.frozen(kw_only=True)
class Piece:
    """A move of a path, and how its speed goes."""

    generator: TrajectoryGenerator
    ease: str = "linear"


@attrs.frozen(kw_only=True)
class Step:
    """Moves at the same time, and the share of the path that they take."""

    pieces: tuple[Piece, ...]
    share: float = 1.0


class JoinedPath:
    """The trajectory generator of several moves, one after the other and at the same time."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return a pose for each of `num_frames` frames; world = source camera of frame 0.

        Raises:
            InvalidConfig: `num_frames` is less than 1.
            InvalidInput: a move has nothing to move around.
        """
        return sampled(self.motion(num_frames, scene, HERE), num_frames, scene)

    def warnings(self, scene: Scene) -> list[str]:
        """Return what its moves say may be wrong."""
        generators = [piece.generator for step in self._steps for piece in step.pieces]
        return [text for generator in generators for text in getattr(generator, "warnings", _no_warnings)(scene)]

    def motion(self, num_frames: int, scene: Scene, start: Pose) -> Motion:
        """Return the whole as one move."""
        refuse_no_frames(num_frames)
        steps: list[Callable[[Pose], Motion]] = [
            partial(_step_from, step, num_frames, scene, start) for step in self._steps
        ]
        return joined(steps, [step.share for step in self._steps])


def sampled(motion: Motion, num_frames: int, scene: Scene, *, lens: Intrinsics | None = None) -> CameraPath:
    """Return a move as a path: at equal steps of its share, through a lens, by default that of frame 0."""
    shares = frame_shares(num_frames)
    poses = [motion.pose(share) for share in shares]
    frames = frames_shown(motion, shares, scene.video.num_frames)
    lens = lens or scene.depth.intrinsics_at(0)
    lenses = tuple(attrs.evolve(lens, fx=lens.fx * pose.zoom, fy=lens.fy * pose.zoom) for pose in poses)
    as_filmed = num_frames == scene.video.num_frames and frames == list(range(num_frames))
    unchanged = motion.timing is None and num_frames == scene.video.num_frames
    matrices = torch.tensor([pose.inverse().matrix() for pose in poses], dtype=torch.float64)
    return CameraPath(
        world_to_camera=matrices.float(),
        intrinsics=lenses if len(set(lenses)) > 1 else lenses[:1],
        frames=None if as_filmed or unchanged else tuple(frames),
    )


def refuse_no_frames(num_frames: int) -> None:
    """Refuse a path of no frames.

    Raises:
        InvalidConfig: it has none.
    """
    if num_frames < 1:
        raise InvalidConfig(f"a camera path needs at least 1 frame, not {num_frames}")


def path_of_eyes(eyes: Sequence[Eye], *, center: Eye, intrinsics: Intrinsics) -> CameraPath:
    """Return the path of a camera that is at each of `eyes` in turn and looks at `center` (world coordinates)."""
    positions = torch.tensor(eyes, dtype=torch.float64).reshape(-1, 3)
    poses = look_at(positions, torch.tensor(center, dtype=torch.float64))
    return CameraPath(world_to_camera=poses, intrinsics=intrinsics)


def poses_of(path: CameraPath) -> list[Pose]:
    """Return the cameras of a path in the world; their zoom counts from the lens of its first frame."""
    first = path.intrinsics_at(0)
    matrices = torch.linalg.inv(path.world_to_camera.double()).tolist()
    poses = []
    for frame, matrix in enumerate(matrices):
        (a, b, c, x), (d, e, f, y), (g, h, i, z) = matrix[:3]
        zoom = path.intrinsics_at(frame).fx / first.fx
        poses.append(Pose(rotation=((a, b, c), (d, e, f), (g, h, i)), position=(x, y, z), zoom=zoom))
    return poses


class GivenPath:
    """The trajectory generator that always gives one path."""

    def __init__(self, path: CameraPath) -> None:
        self._path = path

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return the path.

        Raises:
            InvalidInput: it has another length than is wanted.
        """
        if self._path.num_frames != num_frames:
            raise InvalidInput(
                f"the camera path has {self._path.num_frames} poses but the clip has {num_frames} frames; "
                f"make the path with {num_frames} or give a clip of {self._path.num_frames}"
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
    """Return a sweep along EX-4D's arc around a subject, for those who want a path without a scene.

    Args:
        start_angle: of the first frame in degrees, -90 (left) to 90 (right); 0 is the source camera.
        end_angle: of the last frame in degrees, -90 to 90.
        num_frames: length of the path.
        radius: distance from the source camera to the subject it looks at, in the units of the scene's depth;
            multiplying it scales the path.
        intrinsics: of the camera; None means 512x512 with the default field of view.

    Raises:
        InvalidConfig: an angle, the length or the radius is out of range.
    """
    quarter = Bounds(at_least=-90, at_most=90)
    faults = (
        quarter.fault("start_angle", start_angle, "degrees"),
        quarter.fault("end_angle", end_angle, "degrees"),
        Bounds(at_least=1).fault("num_frames", num_frames),
        Bounds(above=0, at_most=LARGEST_SHIFT).fault("radius", radius),
    )
    if fault := next(filter(None, faults), None):
        raise InvalidConfig(fault)
    angles = [start_angle + share * (end_angle - start_angle) for share in frame_shares(num_frames)]
    return path_of_eyes(
        [arc_eye(angle, radius) for angle in angles],
        center=(0.0, 0.0, radius),
        intrinsics=intrinsics or Intrinsics.from_fov(width=512, height=512),
    )


def _no_warnings(scene: Scene) -> list[str]:
    return []


def _step_from(step: Step, num_frames: int, scene: Scene, outer: Pose, base: Pose) -> Motion:
    """Return a step from a camera `base`, as the one where the whole path starts sees it; that one is at `outer`."""
    here = outer @ base
    return together([eased(_motion_of(piece.generator, num_frames, scene, here), piece.ease) for piece in step.pieces])


def _motion_of(generator: TrajectoryGenerator, num_frames: int, scene: Scene, start: Pose) -> Motion:
    if isinstance(generator, Moving):
        return generator.motion(num_frames, scene, start)
    return Motion(pose=straight_through(poses_of(generator.path(DENSE, scene)), frame_shares(DENSE)))
