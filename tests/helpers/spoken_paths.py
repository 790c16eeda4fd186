"""A small scene, and the paths through it that texts of --cam say."""

from fractions import Fraction

import torch

import ex4d_core as ex4d
from ex4d_core.plugins.registry import Registry
from ex4d_core.roles import TrajectoryGenerator
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Scene, Video

LENS = Intrinsics.from_fov(60, width=32, height=24)
REGISTRY = Registry()


def scene(num_frames=9, depth=None, cameras=None, origin=None) -> Scene:
    """A box two units away, to the right of the middle, before a wall."""
    if depth is None:
        depth = torch.full((num_frames, 24, 32), 6.0)
        depth[:, 8:18, 14:24] = 2.0
    frames = torch.zeros(*depth.shape, 3, dtype=torch.uint8)
    return Scene(
        video=Video(frames=frames, fps=Fraction(25), origin=origin),
        depth=DepthVideo(depth=depth, kind=DepthKind.RELATIVE, intrinsics=LENS, cameras=cameras),
    )


SCENE = scene()


def generator(text) -> TrajectoryGenerator:
    return ex4d.Session(registry=REGISTRY, device="cpu").trajectory(text)


def said(text, num_frames=9, of=SCENE) -> CameraPath:
    return generator(text).path(num_frames, of)


def eyes(path) -> torch.Tensor:
    return torch.linalg.inv(path.world_to_camera.double())[:, :3, 3]
