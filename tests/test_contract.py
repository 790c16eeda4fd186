"""The components of the core keep their contracts."""

import numpy as np
import pytest

from ex4d_core.testing.contracts import (
    BackboneContract,
    DepthEstimatorContract,
    MeshBuilderContract,
    RendererContract,
)


class TestFile(DepthEstimatorContract):
    name = "file"
    steadiness = 1e-6
    accuracy = 1e-6

    @pytest.fixture
    def settings(self, scene, tmp_path):
        np.save(tmp_path / "depth.npy", scene.depth.depth.numpy())
        return {"path": str(tmp_path / "depth.npy")}


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
