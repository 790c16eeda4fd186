"""The estimator keeps the contract of its role, on a tiny model with random weights."""

import pytest

from ex4d_core.testing.contracts import DepthEstimatorContract

pytest.importorskip("transformers")


class TestTransformers(DepthEstimatorContract):
    name = "transformers"
    any_clip = True

    @pytest.fixture
    def settings(self, checkpoint):
        return {"model": str(checkpoint("depth_anything"))}
