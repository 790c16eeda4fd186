"""The components of the core keep their contracts."""

import numpy as np
import pytest

from ex4d_core.camera_files import save
from ex4d_core.testing.contracts import (
    BackboneContract,
    DepthEstimatorContract,
    MeshBuilderContract,
    RendererContract,
    TrajectoryContract,
)
from ex4d_core.trajectory import generate_camera_trajectory


class TestFile(DepthEstimatorContract):
    name = "file"
    steadiness = 1e-6
    accuracy = 1e-6

    @pytest.fixture
    def settings(self, scene, tmp_path):
        np.save(tmp_path / "depth.npy", scene.depth.depth.numpy())
        return {"path": str(tmp_path / "depth.npy")}


class TestFromFile(TrajectoryContract):
    name = "from_file"
    starts_at_source = True

    @pytest.fixture
    def settings(self, tmp_path):
        path = generate_camera_trajectory(start_angle=0, end_angle=40, num_frames=5)
        save(path, tmp_path / "path.json")
        return {"path": str(tmp_path / "path.json"), "resample": True, "unit": "subject", "lens": "clip"}


class TestWatertight(MeshBuilderContract):
    name = "watertight"
    closed = True


class TestZBuffer(RendererContract):
    name = "zbuffer"
    twin = "raycast"


class TestRaycast(RendererContract):
    name = "raycast"


class TestTorch(RendererContract):
    name = "torch"


@pytest.mark.gpu
class TestTorchOnGpu(RendererContract):
    name = "torch"
    device = "cuda"


class TestInpaint(BackboneContract):
    name = "inpaint"
    keeps_known = 100.0
