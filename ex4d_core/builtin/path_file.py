"""The `from_file` trajectory generator: a camera path from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
import torch

from ex4d_core.builtin.path_file_options import PathFileOptions
from ex4d_core.cameras.files import CameraFile, ReadOptions, naming, read_camera_path
from ex4d_core.cameras.generators import poses_of, refuse_no_frames, sampled
from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.keyframes import smoothly_through, straight_through
from ex4d_core.geometry.motion import Clock, Motion, Timing
from ex4d_core.geometry.paths import frame_shares
from ex4d_core.geometry.rigid import Pose, length
from ex4d_core.geometry.subject import subject_point
from ex4d_core.types import CameraPath, Intrinsics, Scene

SAME_SHAPE = 0.01
"""Ratios of width to height that differ by less than this are the same: sizes are rounded to whole pixels."""

AWAY = 0.02
"""Share of the scene's points that a camera that looks at it sees at least."""

BETTER = 0.3
"""How much more of the scene a path must see the other way round before that is said."""

POINTS = 24
"""Points of the scene along each side of the picture that are looked for."""

MOST_LOOKS = 500
"""Cameras of a path that are asked how much of the scene they see."""


class PathFile:
    """Gives the path of a file: as it is, or along its keyframes.

    Raises:
        InputNotFound: there is no such file.
        InvalidInput: it holds no path.
    """

    def __init__(self, options: PathFileOptions, *, device: torch.device) -> None:
        self._options = options
        self._load(distance=1.0)  # what cannot be read is said before a scene is made, which takes long

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return a pose for each of `num_frames` frames.

        Raises:
            InvalidConfig: `num_frames` is less than 1.
            InvalidInput: the file holds a path of another length, or for another shape of picture.
        """
        refuse_no_frames(num_frames)
        file, lenses = self._read(scene)
        if file.shares is None and file.num_poses == num_frames:
            return _path(file, lenses)
        return sampled(self._motion(file, lenses, num_frames, scene), num_frames, scene, lens=lenses[0])

    def motion(self, num_frames: int, scene: Scene, start: Pose) -> Motion:
        """Return the path as a move, to be joined with others: relative to where those have brought the camera."""
        file, lenses = self._read(scene)
        motion, longer = self._motion(file, lenses, num_frames, scene), lenses[0].fx / scene.depth.intrinsics_at(0).fx

        def pose(share: float) -> Pose:
            where = motion.pose(share)
            return attrs.evolve(where, zoom=where.zoom * longer)

        return attrs.evolve(motion, pose=pose)

    def warnings(self, scene: Scene) -> list[str]:
        """Return what may be wrong with the path, a sentence each."""
        file, lenses = self._read(scene)
        return [*file.warnings, *_looks_away(_path(file, lenses), scene, self._options)]

    def _read(self, scene: Scene) -> tuple[CameraFile, tuple[Intrinsics, ...]]:
        """Return the file in units of the scene, and its lenses for pictures of the clip's size."""
        options = self._options
        distance = length(subject_point(scene, options.look_at))
        file = self._load(distance=distance)
        poses = file.world_to_camera.copy()
        poses[:, :3, 3] *= options.scale * (distance if options.unit == "subject" else 1.0)
        if options.start == "source":
            poses = poses @ np.linalg.inv(poses[0])
        if file.frames is not None and max(file.frames) >= scene.video.num_frames:
            raise InvalidInput(
                f"{options.path} shows frame {max(file.frames)} of the clip, which has {scene.video.num_frames}, "
                "counted from 0; give the clip that it was made for"
            )
        with naming(options.path):
            file = attrs.evolve(file, world_to_camera=poses)
        return file, self._lenses(file, scene)

    def _load(self, *, distance: float) -> CameraFile:
        options = self._options
        reading = ReadOptions(distance=distance, camera=options.camera, convention=options.convention)
        return read_camera_path(Path(options.path), reading, format=options.format)

    def _lenses(self, file: CameraFile, scene: Scene) -> tuple[Intrinsics, ...]:
        clip = scene.depth.intrinsics_at(0)
        if self._options.lens == "clip" or (file.intrinsics is None and file.fov_x is None):
            return (clip,)
        if file.intrinsics is None:
            focal = clip.width / (2 * np.tan((file.fov_x or 0) / 2))
            with naming(self._options.path):
                return (Intrinsics.from_focal(float(focal), width=clip.width, height=clip.height),)
        first = file.intrinsics[0]
        if abs(first.width / first.height * clip.height / clip.width - 1) > SAME_SHAPE:
            raise InvalidInput(
                f"the lens in {self._options.path} is for pictures of {first.width}x{first.height} but the clip is "
                f"{clip.width}x{clip.height}; add :lens=clip to look through the clip's own"
            )
        with naming(self._options.path):
            return tuple(lens.scaled_to(width=clip.width, height=clip.height) for lens in file.intrinsics)

    def _motion(self, file: CameraFile, lenses: Sequence[Intrinsics], num_frames: int, scene: Scene) -> Motion:
        poses = poses_of(_path(file, lenses, frames=False))
        if file.shares is not None:
            return Motion(pose=smoothly_through(poses, file.shares), timing=_timing(file, file.shares))
        if not self._options.resample and file.num_poses != num_frames:
            raise InvalidInput(
                f"{self._options.path} has {file.num_poses} poses but {num_frames} frames are wanted; "
                f"add :resample to spread them, or give --output-frames {file.num_poses}"
            )
        shares = frame_shares(file.num_poses)
        return Motion(pose=straight_through(poses, shares), timing=_timing(file, shares))


def _path(file: CameraFile, lenses: Sequence[Intrinsics], *, frames: bool = True) -> CameraPath:
    return CameraPath(
        world_to_camera=torch.from_numpy(file.world_to_camera).float(),
        intrinsics=tuple(lenses),
        frames=file.frames if frames else None,
    )


def _timing(file: CameraFile, shares: Sequence[float]) -> Timing | None:
    shown = file.frames
    if shown is None:
        return None

    def time(share: float, clock: Clock) -> float:
        return float(np.interp(share, shares, shown)) / max(clock.frames - 1, 1)

    return time


def _looks_away(path: CameraPath, scene: Scene, options: PathFileOptions) -> list[str]:
    """Return in what way a path does not look at the scene, if it does not."""
    points = _points(scene)
    poses = path.world_to_camera[:: -(-path.num_frames // MOST_LOOKS)]
    seen = _seen(poses, path.intrinsics_at(0), points)
    turned_round = _seen(torch.linalg.inv(poses.double()).float(), path.intrinsics_at(0), points)
    if turned_round.mean() > seen.mean() + BETTER:
        return [
            f"{options.path} sees {seen.mean():.0%} of the scene, and would see {turned_round.mean():.0%} the other "
            "way round; are its matrices camera to world where world to camera is meant, or the reverse?"
        ]
    if seen[0] < AWAY:
        return [
            f"{options.path} starts looking away from the scene; if its world is not that of the source camera of "
            "frame 0, add :start=source"
        ]
    return []


def _points(scene: Scene) -> torch.Tensor:
    """Return some points of frame 0, float32 [N, 4], homogeneous."""
    depth, lens = scene.depth.depth[0], scene.depth.intrinsics_at(0)
    rows = torch.linspace(0, depth.shape[0] - 1, POINTS).round().long()
    columns = torch.linspace(0, depth.shape[1] - 1, POINTS).round().long()
    i, j = torch.meshgrid(rows, columns, indexing="ij")
    known = scene.depth.valid_at(0)[i, j]
    z, x, y = depth[i, j][known], (j[known] + 0.5 - lens.cx) / lens.fx, (i[known] + 0.5 - lens.cy) / lens.fy
    return torch.stack([x * z, y * z, z, torch.ones_like(z)], dim=1)


def _seen(world_to_camera: torch.Tensor, lens: Intrinsics, points: torch.Tensor) -> torch.Tensor:
    """Return which share of the points is in the picture of each camera, float32 [T]."""
    x, y, z, _ = (points @ world_to_camera.mT).unbind(dim=2)
    u, v = x / z * lens.fx + lens.cx, y / z * lens.fy + lens.cy
    inside = (z > 0) & (u >= 0) & (u <= lens.width) & (v >= 0) & (v <= lens.height)
    return inside.float().mean(dim=1)
