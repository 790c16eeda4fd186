"""The estimator keeps the contract of its role, on a tiny model with random weights."""

import pytest

from ex4d_depth_anything3.contract import Da3Contract


class TestDa3(Da3Contract):
    @pytest.fixture
    def settings(self, checkpoints):
        return {"model": str(checkpoints["any"]), "max_side": 56}


@pytest.mark.gpu
class TestDa3OnGpu(TestDa3):
    device = "cuda"
