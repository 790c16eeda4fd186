"""Poses of the source camera, as given by the user."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import torch

from ex4d_core.cameras.files import naming, read_camera_path
from ex4d_core.config.run_config import PathOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_path
from ex4d_core.types import CameraPath, DepthVideo, Video


def source_cameras_file(options: PathOptions) -> Path | None:
    """Return the file, or folder of COLMAP's, that the options name, if any.

    Raises:
        InputNotFound: there is no such file.
    """
    if options.source_cameras is None:
        return None
    path = Path(options.source_cameras)
    check_path(path, "camera file")
    return path


def with_source_cameras(depth: DepthVideo, file: Path, video: Video) -> DepthVideo:
    """Return the depth with the poses of its camera from a file.

    A file with as many poses as the video's source follows the frames that were taken of it; one with as many as the
    video is taken as it is. The world becomes the camera of the first frame.

    Args:
        depth: of the video.
        file: any camera file, its lengths in units of the depth.
        video: the frames.

    Raises:
        InputNotFound: there is no such file.
        InvalidInput: it holds no poses, or another number of them.
    """
    poses = read_camera_path(file).world_to_camera
    origin = video.origin
    if origin is not None and len(poses) == origin.source_frames:
        poses = poses[list(origin.frame_indices)]
    if len(poses) != video.num_frames:
        source = f", from a source of {origin.source_frames}" if origin is not None and origin.source_frames else ""
        raise InvalidInput(
            f"{file} has {len(poses)} poses of the source camera but the video has {video.num_frames} frames{source}; "
            "give one for each frame of either"
        )
    from_first = torch.from_numpy(poses @ np.linalg.inv(poses[0])).float()
    with naming(file):
        cameras = CameraPath(world_to_camera=from_first, intrinsics=depth.intrinsics)
    return attrs.evolve(depth, cameras=cameras)
