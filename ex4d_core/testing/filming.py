"""Paths of a source camera that moves while it films a synthetic scene, with true poses.

camera = filmed("walk", num_frames=49, intrinsics=Intrinsics.from_fov(width=320, height=240))
clip = room_scene().clip(cameras=camera)
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ex4d_core.types import CameraPath, Intrinsics

Array = NDArray[np.float64]

Filming = Literal["orbit", "walk", "hand-held"]
FILMING: tuple[Filming, ...] = get_args(Filming)
"""Ways to move the camera: 20 degrees around a point 5 units ahead; 1.2 units ahead with the steps of a person; at one
place in shaking hands."""

SHAKE, SHAKE_DEGREES = 0.02, 0.4
"""Standard deviation of a hand-held camera in units and degrees, about each axis."""


def filmed(filming: Filming, *, num_frames: int, intrinsics: Intrinsics, seed: int = 0) -> CameraPath:
    """Return the path of a source camera; the world is its first frame.

    Args:
        filming: how the camera moves.
        num_frames: length of the clip.
        intrinsics: the lens.
        seed: of the shaking hands.
    """
    time = np.linspace(0, 1, num_frames)
    eyes, degrees = np.zeros((num_frames, 3)), np.zeros((num_frames, 3))
    if filming == "orbit":
        angle = np.radians(20) * time
        eyes[:, 0], eyes[:, 2] = 5 * np.sin(angle), 5 - 5 * np.cos(angle)
        degrees[:, 1] = -np.degrees(angle)
    elif filming == "walk":
        eyes = np.stack([0.1 * np.sin(12 * time), 0.03 * np.sin(24 * time), 1.2 * time], axis=1)
        degrees[:, 2] = np.sin(12 * time)
    else:
        rng = np.random.default_rng(seed)
        eyes, degrees = SHAKE * _shake(rng, num_frames), SHAKE_DEGREES * _shake(rng, num_frames)
    rotation = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix().transpose(0, 2, 1)
    poses = np.tile(np.eye(4), (num_frames, 1, 1))
    poses[:, :3, :3] = rotation
    poses[:, :3, 3] = -np.einsum("nij,nj->ni", rotation, eyes)
    poses = poses @ np.linalg.inv(poses[0])
    return CameraPath(world_to_camera=torch.from_numpy(poses).float(), intrinsics=intrinsics)


def _shake(rng: np.random.Generator, num_frames: int) -> Array:
    """Return smooth random motion of standard deviation 1, [T, 3]."""
    window = np.hanning(9)[1:-1]
    raw = rng.standard_normal((num_frames + len(window) - 1, 3))
    return np.stack([np.convolve(raw[:, axis], window, "valid") for axis in range(3)], axis=1) / np.linalg.norm(window)
