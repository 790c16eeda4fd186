"""The components of the core keep their contracts."""

import pytest

from ex4d_core.camera_files import save
from ex4d_core.testing.builtins import FileContract, InpaintContract, WatertightContract, ZBufferContract
from ex4d_core.testing.contracts import RendererContract, TrajectoryContract
from ex4d_core.trajectory import generate_camera_trajectory


class TestFile(FileContract):
    pass


class TestFromFile(TrajectoryContract):
    name = "from_file"
    starts_at_source = True

    @pytest.fixture
    def settings(self, tmp_path):
        path = generate_camera_trajectory(start_angle=0, end_angle=40, num_frames=5)
        save(path, tmp_path / "path.json")
        return {"path": str(tmp_path / "path.json"), "resample": True, "unit": "subject", "lens": "clip"}


class TestWatertight(WatertightContract):
    pass


@pytest.mark.gpu
class TestWatertightOnGpu(WatertightContract):
    device = "cuda"


class TestZBuffer(ZBufferContract):
    pass


class TestRaycast(RendererContract):
    name = "raycast"


class TestTorch(RendererContract):
    name = "torch"


@pytest.mark.gpu
class TestTorchOnGpu(RendererContract):
    name = "torch"
    device = "cuda"


class TestInpaint(InpaintContract):
    pass
