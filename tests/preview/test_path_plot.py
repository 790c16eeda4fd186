"""The plot of camera paths."""

import attrs
import cv2
import pytest
import torch

from ex4d_core.preview.path_plot import DrawnPath, write_plot
from ex4d_core.testing.filming import filmed
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import Intrinsics


@pytest.mark.slow
def test_the_path_of_a_source_camera_that_moves_is_drawn(tmp_path):
    lens = Intrinsics.from_fov(width=32, height=24)
    moving = room_scene().clip(cameras=filmed("orbit", num_frames=3, intrinsics=lens))
    still = attrs.evolve(moving, depth=attrs.evolve(moving.depth, cameras=None))
    path = attrs.evolve(moving.depth.cameras, world_to_camera=torch.eye(4).repeat(3, 1, 1))
    drawn = {"static": DrawnPath(path=path, visible=torch.ones(3), frames=range(3))}
    black = []
    for scene in (still, moving):
        write_plot(drawn, scene, tmp_path / "path.png", subject=4.0)
        black.append((cv2.imread(str(tmp_path / "path.png")).max(axis=-1) < 40).sum())
    assert black[1] > black[0] + 100
