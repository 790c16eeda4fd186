"""The backbone keeps the contract of its role, on a tiny model with random weights, which fills nothing well."""

import pytest

from ex4d_backbone_vace.contract import VaceContract

pytestmark = pytest.mark.slow

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")


class TestVace(VaceContract):
    @pytest.fixture
    def settings(self, tiny_vace):
        return {"model": str(tiny_vace), "steps": 2, "num_frames": 9, "overlap": 5, "size": "32x32", "erode": "0"}


@pytest.mark.gpu
class TestVaceOnGpu(TestVace):
    device = "cuda"
