"""The estimators keep the contract of their role, on tiny models with random weights."""

import pytest

from ex4d_depth_anything3.contract import Da3Contract
from ex4d_depth_anything3.video.contract import VdaContract


class TestDa3(Da3Contract):
    @pytest.fixture
    def settings(self, checkpoints):
        return {"model": str(checkpoints["any"]), "max_side": 56}


@pytest.mark.gpu
class TestDa3OnGpu(TestDa3):
    device = "cuda"


class TestVda(VdaContract):
    @pytest.fixture
    def settings(self, video_checkpoint):
        return {"model": str(video_checkpoint), "short_side": 28}


@pytest.mark.gpu
class TestVdaOnGpu(TestVda):
    device = "cuda"
