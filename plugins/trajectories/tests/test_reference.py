"""With the reference's two rules, the paths are the reference's."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ex4d_core.geometry.subject import nearest_distance
from ex4d_core.types import DepthKind, DepthVideo, Intrinsics, Scene, Video
from ex4d_trajectories.generator import MoveGenerator
from ex4d_trajectories.options import ArcOptions, LoopOptions

DATA = Path(os.environ.get("EX4D_REFERENCE_DATA", "absent"))
RULES = {"look_at": "nearest", "angle_scaling": "reference"}

needs_data = pytest.mark.skipif(
    not (DATA / "golden").is_dir(), reason="EX4D_REFERENCE_DATA names no folder with `golden`"
)


def scene(depth):
    count, height, width = depth.shape
    return Scene(
        video=Video(frames=torch.zeros(count, height, width, 3, dtype=torch.uint8), fps=Fraction(30)),
        depth=DepthVideo(
            depth=torch.from_numpy(depth),
            kind=DepthKind.AFFINE_INVERSE,
            intrinsics=Intrinsics.from_focal(500, width=width, height=height),
        ),
    )


def extrinsics(cam, num_frames, depth):
    options = LoopOptions(**RULES) if cam == "180" else ArcOptions(angle=float(cam), **RULES)
    generator = MoveGenerator(options, device=torch.device("cpu"))
    return generator.path(num_frames, scene(depth)).to_opengl().numpy()


@needs_data
@pytest.mark.parametrize("name", ["box_60", "disc_30", "disc_90", "far_90", "slope_180"])
def test_cameras_equal_the_reference(name):
    with np.load(DATA / "golden" / "recon" / f"{name}.npz") as golden:
        assert golden["path_index"][0] == 0
        assert nearest_distance(scene(golden["depth"]).depth) == pytest.approx(float(golden["radius"]), rel=1e-6)
        ours = extrinsics(str(golden["cam"]), int(golden["path_frames"]), golden["depth"])
        np.testing.assert_allclose(ours, golden["extrinsics"], atol=1e-5, rtol=0)


@needs_data
def test_the_cameras_that_the_reference_published_are_reproduced():
    depth = np.full((1, 8, 8), 2.7401 - 0.15, np.float32)
    with np.load(DATA / "clips" / "flower" / "camera_180.npz") as published:
        np.testing.assert_allclose(extrinsics("180", 49, depth), published["extrinsics"], atol=1e-5, rtol=0)
