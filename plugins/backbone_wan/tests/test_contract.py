"""The backbone keeps the contract of its role, on a tiny model with random weights, which fills nothing well."""

import pytest

from ex4d_backbone_wan.contract import WanContract

pytestmark = pytest.mark.slow

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")


class TestWan(WanContract):
    @pytest.fixture
    def settings(self, tiny_wan):
        places = {"model": str(tiny_wan), "adapter": str(tiny_wan / "ex4d.safetensors")}
        return {**places, "steps": 2, "num_frames": 9, "overlap": 5, "size": "32x32", "erode": "0"}


@pytest.mark.gpu
class TestWanOnGpu(TestWan):
    device = "cuda"
