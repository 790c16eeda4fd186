"""The estimator keeps the contract of its role, on a tiny model with random weights."""

import pytest

from ex4d_depth_depthcrafter.contract import DepthCrafterContract

pytestmark = pytest.mark.slow

pytest.importorskip("diffusers")
pytest.importorskip("transformers")


class TestDepthCrafter(DepthCrafterContract):
    @pytest.fixture
    def settings(self, checkpoint):
        places = {"unet": str(checkpoint / "unet"), "base": str(checkpoint / "base")}
        return {**places, "steps": 2, "window": 4, "overlap": 2}


@pytest.mark.gpu
class TestDepthCrafterOnGpu(TestDepthCrafter):
    device = "cuda"
