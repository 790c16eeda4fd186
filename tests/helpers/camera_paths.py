"""Camera paths for tests: an orbit, and paths read from files along a wall."""

from fractions import Fraction

import numpy as np
import torch

from ex4d_core.builtin.path_file import PathFile
from ex4d_core.builtin.path_file_options import PathFileOptions
from ex4d_core.geometry.motion import Start
from ex4d_core.geometry.paths import orbited
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Scene, Video

LENS = Intrinsics.from_fov(60, width=64, height=48)
SUBJECT = Start(subject=(0.3, -0.2, 2.0))
CPU = torch.device("cpu")


def path_through(*cameras, lens=LENS, frames=None) -> CameraPath:
    matrices = torch.from_numpy(np.stack([camera.inverse().matrix() for camera in cameras])).float()
    return CameraPath(world_to_camera=matrices, intrinsics=lens, frames=frames)


def to_the_right(num_frames=5, yaw=40.0) -> CameraPath:
    return path_through(*(orbited(yaw * k / max(num_frames - 1, 1), 0.0, SUBJECT) for k in range(num_frames)))


def scene(num_frames=5) -> Scene:
    """A wall two units away."""
    return Scene(
        video=Video(frames=torch.zeros(num_frames, 48, 64, 3, dtype=torch.uint8), fps=Fraction(25)),
        depth=DepthVideo(depth=torch.full((num_frames, 48, 64), 2.0), kind=DepthKind.METRIC, intrinsics=LENS),
    )


def from_file(path, num_frames=5, **options) -> CameraPath:
    return PathFile(PathFileOptions(path=str(path), **options), device=CPU).path(num_frames, scene(num_frames))
