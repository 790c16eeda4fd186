"""The `from_file` trajectory generator: a camera path from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
import torch

from ex4d_core.builtin.path_file_options import PathFileOptions
from ex4d_core.cameras.files import (
    CameraFile,
    FieldSide,
    ReadOptions,
    centered_size,
    filled,
    named_gaps,
    naming,
    read_camera_path,
    share_world,
)
from ex4d_core.cameras.generators import check_num_frames, poses_of, sampled
from ex4d_core.cameras.source import SourceCameras, parse_source_cameras
from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.keyframes import interpolate_linear, interpolate_smooth
from ex4d_core.geometry.motion import Clock, Motion, Timing
from ex4d_core.geometry.paths import normalized_times
from ex4d_core.geometry.rigid import Pose
from ex4d_core.geometry.subject import subject_point
from ex4d_core.types import CameraPath, Intrinsics, Scene

SAME_SHAPE = 0.01
"""Relative difference up to which aspect ratios are equal, since sizes are rounded to pixels."""

OFF_CENTER = 0.1
"""Largest distance of a principal point from the center of its images, in sides of the image."""

MIN_VISIBLE = 0.02
"""Fraction of the points of the scene below which a camera looks away from it."""

MIN_GAIN = 0.3
"""Increase of the visible fraction by inverting the poses from which a warning is given."""

POINTS = 24
"""Tested points of the scene along each side of the image."""

ONE_WORLD = (
    "{path} is read in the world of the source cameras in {source}, which have the same format; "
    "if its world is the source camera of frame 0, add :start=file"
)

MAX_CAMERAS = 500
"""Largest number of tested cameras of a path."""


class PathFile:
    """Reads a camera path or interpolates the keyframes of a file.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it does not contain a path.
    """

    def __init__(self, options: PathFileOptions, *, device: torch.device) -> None:
        self._options = options
        self._load(distance=1.0)  # report unreadable files before depth is estimated, which takes long

    @property
    def num_poses(self) -> int | None:
        """The number of poses that the file prescribes, or None if they are interpolated."""
        file = self._load(distance=1.0)
        is_fixed = file.times is None and file.spread is None and not self._options.resample and not named_gaps(file)
        return file.num_poses if is_fixed else None

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return a pose for each of `num_frames` frames.

        Raises:
            InvalidConfig: `num_frames` is less than 1.
            InvalidInput: the path has another length or aspect ratio.
        """
        check_num_frames(num_frames)
        file, lenses = self._read(scene)
        if file.times is None and file.num_poses == num_frames:
            return _path(file, lenses)
        if file.spread is not None:
            return _path(attrs.evolve(file, world_to_camera=file.spread(num_frames), spread=None), lenses)
        return sampled(self._motion(file, lenses, num_frames, scene), num_frames, scene, lens=lenses[0])

    def motion(self, num_frames: int, scene: Scene, start: Pose) -> Motion:
        """Return the path as a move, relative to the pose at which it starts."""
        file, lenses = self._read(scene)
        motion, longer = self._motion(file, lenses, num_frames, scene), lenses[0].fx / scene.depth.intrinsics_at(0).fx

        def pose(t: float) -> Pose:
            camera = motion.pose(t)
            return attrs.evolve(camera, zoom=camera.zoom * longer)

        return attrs.evolve(motion, pose=pose)

    def warnings(self, scene: Scene) -> list[str]:
        """Return possible problems of the path, one sentence each."""
        file, lenses = self._read(scene)
        return [*file.warnings, *_looks_away(_path(file, lenses), scene, self._options)]

    def notes(self, scene: Scene) -> list[str]:
        """Return how the file is read, where it could be meant otherwise, one sentence each."""
        source = self._source(self._load(distance=1.0), scene)
        return [] if source is None else [ONE_WORLD.format(path=self._options.path, source=source.path)]

    def _read(self, scene: Scene) -> tuple[CameraFile, tuple[Intrinsics, ...]]:
        """Return the file in units of the scene, and its intrinsics for the size of the clip."""
        options = self._options
        distance = float(np.linalg.norm(subject_point(scene, options.look_at)))
        file = self._without_gaps(self._load(distance=distance))
        source = self._source(file, scene)
        scale = options.scale * (distance if options.unit == "subject" else 1.0)
        if source is not None and (options.scale, options.unit) == (1.0, "scene"):
            scale = source.scale
        world = np.eye(4) if source is None else np.linalg.inv(source.poses(scene.video)[0])

        def placed(matrices: np.ndarray) -> np.ndarray:
            poses = matrices.copy()
            poses[:, :3, 3] *= scale
            from_source: np.ndarray = poses @ (np.linalg.inv(poses[0]) if options.start == "source" else world)
            return from_source

        spread = file.spread
        if file.frames is not None and max(file.frames) >= scene.video.num_frames:
            raise InvalidInput(
                f"{options.path} shows frame {max(file.frames)} of the clip, which has {scene.video.num_frames}, "
                "counted from 0; use the clip for which the path was made"
            )
        with naming(options.path):
            file = attrs.evolve(
                file,
                world_to_camera=placed(file.world_to_camera),
                spread=spread and (lambda frames: placed(spread(frames))),
            )
        return file, self._lenses(file, scene)

    def _source(self, file: CameraFile, scene: Scene) -> SourceCameras | None:
        """Return the source cameras if they are in the same world as the file."""
        options = self._options
        if options.start != "auto" or options.source_cameras is None or scene.depth.cameras is None:
            return None
        source = parse_source_cameras(options.source_cameras)
        return source if share_world(file.format, source.load().format) else None

    def _without_gaps(self, file: CameraFile) -> CameraFile:
        """Return a file with a pose for each frame, as the user has chosen."""
        gaps, options = named_gaps(file), self._options
        if not gaps or options.fill == "none":
            return attrs.evolve(file, positions=None)
        if options.fill is None and not options.resample:
            raise InvalidInput(
                f"{options.path} has no pose of {gaps}, counted from 0; add :fill=interpolate to interpolate them, "
                "or :fill=none if its poses are consecutive"
            )
        warning = f"{options.path} has no pose of {gaps}, counted from 0; they are interpolated"
        return attrs.evolve(filled(file), warnings=(*file.warnings, warning))

    def _load(self, *, distance: float) -> CameraFile:
        options = self._options
        reading = ReadOptions(
            distance=distance, camera=options.camera, convention=options.convention, elevation=options.elevation
        )
        return read_camera_path(Path(options.path), reading, format=options.format)

    def _lenses(self, file: CameraFile, scene: Scene) -> tuple[Intrinsics, ...]:
        """Return the intrinsics for the size of the clip."""
        clip = scene.depth.intrinsics_at(0)
        if self._options.lens == "clip":
            return (clip,)
        with naming(self._options.path):
            if file.fov is not None:
                return tuple(_of_field(angle, file.fov_side, clip) for angle in file.fov)
            lenses = file.intrinsics or self._sized(file, clip, scene)
        if lenses is None:
            return (clip,)
        first = lenses[0]
        if not _same_shape(first, clip):
            raise InvalidInput(
                f"the intrinsics in {self._options.path} are for images of {first.width}x{first.height}, "
                f"but the clip is {clip.width}x{clip.height}; add :lens=clip to use the intrinsics of the clip"
            )
        with naming(self._options.path):
            return tuple(lens.scaled_to(width=clip.width, height=clip.height) for lens in lenses)

    def _sized(self, file: CameraFile, clip: Intrinsics, scene: Scene) -> tuple[Intrinsics, ...] | None:
        """Return intrinsics of a file without the size of the images.

        It is twice the principal point if that has the shape of the clip, or else the size of the clip or its source,
        if the principal point is near its center.
        """
        if file.unsized is None:
            return None
        first, origin = file.unsized[0], scene.video.origin
        sizes = [(clip.width, clip.height)]
        if origin is not None:
            sizes.insert(0, (origin.source_width, origin.source_height))
        if (twice := centered_size(first)) and not first.normalized and _same_shape(first.sized(*twice), clip):
            sizes.insert(0, twice)
        for width, height in sizes:
            lens = first.sized(width, height)
            if max(abs(lens.cx / width - 0.5), abs(lens.cy / height - 0.5)) <= OFF_CENTER or first.normalized:
                return tuple(each.sized(width, height) for each in file.unsized)
        raise InvalidInput(
            f"its intrinsics do not say the size of the images, and their principal point, {first.cx:g}, {first.cy:g}, "
            f"is not in the middle of the clip, which is {clip.width}x{clip.height}; "
            "add :lens=clip to use the intrinsics of the clip"
        )

    def _motion(self, file: CameraFile, lenses: Sequence[Intrinsics], num_frames: int, scene: Scene) -> Motion:
        if file.spread is not None:
            file = attrs.evolve(file, world_to_camera=file.spread(num_frames), spread=None)
        poses = poses_of(_path(file, lenses, frames=False))
        if file.times is not None:
            return Motion(pose=interpolate_smooth(poses, file.times), timing=_timing(file, file.times))
        if not self._options.resample and file.num_poses != num_frames:
            raise InvalidInput(
                f"{self._options.path} has {file.num_poses} poses but {num_frames} frames are requested; "
                f"add :resample to interpolate them, or pass --output-frames {file.num_poses}"
            )
        times = normalized_times(file.num_poses)
        return Motion(pose=interpolate_linear(poses, times), timing=_timing(file, times))


def _path(file: CameraFile, lenses: Sequence[Intrinsics], *, frames: bool = True) -> CameraPath:
    return CameraPath(
        world_to_camera=torch.from_numpy(file.world_to_camera).float(),
        intrinsics=tuple(lenses),
        frames=file.frames if frames else None,
    )


def _same_shape(lens: Intrinsics, clip: Intrinsics) -> bool:
    return abs(lens.width / lens.height * clip.height / clip.width - 1) <= SAME_SHAPE


def _of_field(angle: float, side: FieldSide, clip: Intrinsics) -> Intrinsics:
    """Return the intrinsics of a field of view in radians along a side of the clip."""
    sides = {"width": clip.width, "height": clip.height, "longer": max(clip.width, clip.height)}
    focal = sides[side] / (2 * np.tan(angle / 2))
    return Intrinsics.from_focal(float(focal), width=clip.width, height=clip.height)


def _timing(file: CameraFile, times: Sequence[float]) -> Timing | None:
    shown = file.frames
    if shown is None:
        return None

    def time(t: float, clock: Clock) -> float:
        return float(np.interp(t, times, shown)) / max(clock.frames - 1, 1)

    return time


def _looks_away(path: CameraPath, scene: Scene, options: PathFileOptions) -> list[str]:
    """Return a warning if a path does not look at the scene."""
    points = _points(scene)
    poses = path.world_to_camera[:: -(-path.num_frames // MAX_CAMERAS)]
    seen = _seen(poses, path.intrinsics_at(0), points)
    inverted = _seen(torch.linalg.inv(poses.double()).float(), path.intrinsics_at(0), points)
    if inverted.mean() > seen.mean() + MIN_GAIN:
        return [
            f"{options.path} sees {seen.mean():.0%} of the scene, and would see {inverted.mean():.0%} with inverted "
            "matrices; check whether they are camera to world or world to camera"
        ]
    if seen[0] < MIN_VISIBLE:
        return [
            f"{options.path} does not look at the scene at its start; if its world is not the source camera of "
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
    """Return the fraction of the points that is in the image of each camera, float32 [T]."""
    x, y, z, _ = (points @ world_to_camera.mT).unbind(dim=2)
    u, v = x / z * lens.fx + lens.cx, y / z * lens.fy + lens.cy
    inside = (z > 0) & (u >= 0) & (u <= lens.width) & (v >= 0) & (v <= lens.height)
    return inside.float().mean(dim=1)
