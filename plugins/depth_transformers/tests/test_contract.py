"""The estimator keeps the contract of its role, on a tiny model with random weights."""

import pytest

from ex4d_depth_transformers.contract import TransformersContract

pytest.importorskip("transformers")


class TestTransformers(TransformersContract):
    @pytest.fixture
    def settings(self, checkpoint):
        return {"model": str(checkpoint("depth_anything"))}


@pytest.mark.gpu
class TestTransformersOnGpu(TestTransformers):
    device = "cuda"
