"""Poses of the source camera from a file of the user."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import torch

from ex4d_core.cameras.files import named_gaps, naming, read_camera_path
from ex4d_core.config.run_config import PathOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_path
from ex4d_core.types import CameraPath, DepthVideo, Video


def source_cameras_file(options: PathOptions) -> Path | None:
    """Return the file or COLMAP folder in the options, if any.

    Raises:
        InputNotFound: the file does not exist.
    """
    if options.source_cameras is None:
        return None
    path = Path(options.source_cameras)
    check_path(path, "camera file")
    return path


def with_source_cameras(depth: DepthVideo, file: Path, video: Video) -> DepthVideo:
    """Return the depth with the source camera poses of a file.

    The file has one pose for each frame of the video or of the clip that it was taken from. The camera of the first
    frame becomes the world.

    Args:
        depth: of the video.
        file: any camera file, with lengths in units of the depth.
        video: the frames.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it has no poses, or the wrong number.
    """
    content = read_camera_path(file)
    lengths = (video.num_frames, video.origin and video.origin.source_frames)
    if (gaps := named_gaps(content)) and content.num_poses not in lengths:
        raise InvalidInput(
            f"{file} has no pose of {gaps}, counted from 0; "
            f"interpolate them with ex4d cam convert {file} filled.json --fill"
        )
    poses, origin = content.world_to_camera, video.origin
    if origin is not None and len(poses) == origin.source_frames:
        poses = poses[list(origin.frame_indices)]
    if len(poses) != video.num_frames:
        source = f" of {origin.source_frames} in the clip" if origin is not None and origin.source_frames else ""
        raise InvalidInput(
            f"{file} has {len(poses)} source camera poses but the video has {video.num_frames} frames{source}; "
            "give one pose for each frame of either"
        )
    from_first = torch.from_numpy(poses @ np.linalg.inv(poses[0])).float()
    with naming(file):
        cameras = CameraPath(world_to_camera=from_first, intrinsics=depth.intrinsics)
    return attrs.evolve(depth, cameras=cameras)
