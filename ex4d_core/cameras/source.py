"""Poses of the source camera from a file of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np

from ex4d_core.cameras.files import CameraFile, ReadOptions, content_hash, filled, named_gaps, naming, read_camera_path
from ex4d_core.cameras.language import FILE, parse_path
from ex4d_core.config.run_config import SOURCE_CAMERA_WORDS, PathOptions, make_options
from ex4d_core.errors import InputNotFound, InvalidConfig, InvalidInput
from ex4d_core.options import option
from ex4d_core.reading import check_path
from ex4d_core.types import CameraPath, DepthVideo, Scene, Video


@attrs.frozen
class SourceCameras:
    """The file with the poses of the source camera, `FILE[:option,...]` as in `--cam`."""

    path: str = option(help="The file, or a COLMAP folder.", affects_output=False)  # its content does
    format: str | None = option(None, help="Name of the format; detected from the content by default.")
    camera: str | None = option(None, help="Camera of a file that has several.")
    convention: str | None = option(None, help="Convention of plain matrices.")
    scale: float = option(1.0, help="Factor of lengths.", above=0, at_most=1e9)
    fill: Literal["interpolate", "none"] | None = option(
        None, help="Frames without a pose: 'interpolate', or 'none' to treat the poses as consecutive."
    )

    @property
    def reading(self) -> ReadOptions:
        """Information that the file may lack."""
        return ReadOptions(camera=self.camera, convention=self.convention)

    def fingerprint(self) -> str:
        """Return a hash of everything that determines the poses.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: it cannot be read.
        """
        content = content_hash(Path(self.path), self.reading, format=self.format)
        changed = (self.scale, self.fill) != (1.0, None)
        return f"{content}:{self.scale}:{self.fill}" if changed else content

    def load(self) -> CameraFile:
        """Return the content of the file, with lengths in units of the depth.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: it has no poses.
        """
        file = read_camera_path(Path(self.path), self.reading, format=self.format)
        file = filled(file) if self.fill == "interpolate" else file
        poses = file.world_to_camera.copy()
        poses[:, :3, 3] *= self.scale
        return attrs.evolve(file, world_to_camera=poses, positions=None if self.fill else file.positions)

    def poses(self, video: Video) -> np.ndarray:
        """Return the world-to-camera matrix of each frame of a video in the world of the file, float64 [T, 4, 4].

        The file has one pose for each frame of the video or of the clip that it was taken from.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: it has no poses, or the wrong number.
        """
        content, origin = self.load(), video.origin
        lengths = (video.num_frames, origin and origin.source_frames)
        if (gaps := named_gaps(content)) and content.num_poses not in lengths:
            raise InvalidInput(
                f"{self.path} has no pose of {gaps}, counted from 0; add :fill=interpolate to interpolate them, "
                f"or write them with ex4d cam convert {self.path} filled.json --fill"
            )
        poses = content.world_to_camera
        if origin is not None and len(poses) == origin.source_frames:
            poses = poses[list(origin.frame_indices)]
        if len(poses) != video.num_frames:
            source = f" of {origin.source_frames} in the clip" if origin is not None and origin.source_frames else ""
            raise InvalidInput(
                f"{self.path} has {len(poses)} source camera poses but the video has {video.num_frames} frames"
                f"{source}; give one pose for each frame of either"
            )
        return poses


def parse_source_cameras(text: str) -> SourceCameras:
    """Return the file and the options in a text.

    Raises:
        InputNotFound: the file does not exist.
        InvalidConfig: an option is unknown or invalid.
    """
    given: dict[str, Any] = {"path": text}
    if ":" in text and not Path(text).exists():
        try:
            segments = parse_path(text)
        except InvalidConfig as error:
            raise InvalidConfig(str(error).replace("--cam", "--source-cameras", 1)) from error
        ((move, *more), *rest) = segments
        if more or rest:
            raise InvalidConfig(f"--source-cameras takes one file, not {len(segments)} moves: {text[:100]}")
        given = {**({} if move.name == FILE else {"path": move.name}), **move.options}
    options = make_options(SourceCameras, given, "path.source_cameras")
    if not options.path or not (Path(options.path).suffix or Path(options.path).exists()):
        words = ", ".join(SOURCE_CAMERA_WORDS)
        raise InputNotFound(f"--source-cameras {text[:100]!r} is not one of {words} or a file; check it")
    check_path(Path(options.path), "camera file")
    return options


def source_cameras_file(options: PathOptions) -> SourceCameras | None:
    """Return the file or COLMAP folder in the options, if any.

    Raises:
        InputNotFound: the file does not exist.
        InvalidConfig: one of its options is unknown or invalid.
    """
    given = options.source_cameras
    return None if given is None or given in SOURCE_CAMERA_WORDS else parse_source_cameras(given)


def source_cameras_inputs(options: PathOptions) -> str | None:
    """Return everything that determines the source cameras besides the depth; None for `auto`.

    Raises:
        InputNotFound: the file does not exist.
        InvalidConfig: one of its options is unknown or invalid.
        InvalidInput: it cannot be read.
    """
    if file := source_cameras_file(options):
        return file.fingerprint()
    return None if options.source_cameras == "auto" else options.source_cameras


def own_cameras(scene: Scene, options: PathOptions, *, estimated: bool) -> tuple[DepthVideo, str]:
    """Return the depth with or without the poses that it came with, and one line that states the choice, or ''.

    Args:
        scene: the clip and its depth.
        options: whose `source_cameras` is not a file.
        estimated: whether the poses are an estimate, which `auto` checks against the frames.

    Raises:
        InvalidInput: poses are required, and the depth has none.
    """
    depth, choice = scene.depth, options.source_cameras or "auto"
    if depth.cameras is None:
        if choice == "estimated" and depth.num_frames > 1:
            raise InvalidInput(
                "the depth has no poses of the source camera; use a depth estimator or file that has them, or "
                "--source-cameras FILE"
            )
        return depth, _hint_at_motion(scene) if choice == "auto" else ""
    still = attrs.evolve(depth, cameras=None)
    if choice == "still":
        return still, ""
    if choice == "estimated" or not estimated:
        return depth, ""
    from ex4d_core.geometry.source_motion import measure_source_motion

    motion = measure_source_motion(scene)
    if motion.is_trusted:
        return depth, f"source camera: the estimated poses are used ({motion})"
    return still, (
        f"source camera: static, because the estimated poses do not predict the frames better ({motion}); "
        "--source-cameras estimated uses them"
    )


def _hint_at_motion(scene: Scene) -> str:
    """Return one line if the source camera seems to move, and the depth has no poses."""
    from ex4d_core.geometry.source_motion import seems_to_move

    if not seems_to_move(scene.video):
        return ""
    return (
        "source camera: it seems to move, but the depth has no poses of it, so that paths drift with it; use a depth "
        "estimator with poses (--depth da3), --source-cameras FILE, or --source-cameras still if it stands still"
    )


def with_source_cameras(depth: DepthVideo, file: SourceCameras, video: Video) -> DepthVideo:
    """Return the depth with the source camera poses of a file.

    The camera of the first frame becomes the world.

    Args:
        depth: of the video.
        file: any camera file, with lengths in units of the depth.
        video: the frames.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it has no poses, or the wrong number.
    """
    import torch

    poses = file.poses(video)
    from_first = torch.from_numpy(poses @ np.linalg.inv(poses[0])).float()
    with naming(file.path):
        cameras = CameraPath(world_to_camera=from_first, intrinsics=depth.intrinsics)
    return attrs.evolve(depth, cameras=cameras)
