"""Contract of `stereo`, tested on true stereo views of a furnished room."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from ex4d_core import write_video
from ex4d_core.testing.contracts import DepthEstimatorContract
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import CameraPath, Scene, Video

BASELINE = 0.3


@cache
def both_eyes(num_frames: int, width: int, height: int) -> tuple[Scene, Video]:
    """Return the left view with exact depth, and the view of a camera 0.3 units to its right."""
    left = room_scene().clip(num_frames=num_frames, width=width, height=height)
    poses = torch.eye(4).repeat(num_frames, 1, 1)
    poses[:, 0, 3] = -BASELINE
    path = CameraPath(world_to_camera=poses, intrinsics=left.depth.intrinsics)
    return left, room_scene().novel_views(path, fps=left.video.fps)


class StereoContract(DepthEstimatorContract):
    """Metric depth from two views."""

    name = "stereo"
    steadiness = 0.01
    accuracy = 0.03

    @pytest.fixture
    def scene(self) -> Scene:
        """The left view."""
        return both_eyes(3, 160, 120)[0]

    @pytest.fixture
    def settings(self, tmp_path: Path) -> dict[str, Any]:
        """The lossless right view and the baseline."""
        write_video(both_eyes(3, 160, 120)[1], tmp_path / "right.mkv")
        return {"right": str(tmp_path / "right.mkv"), "baseline": BASELINE}
