"""What doctor says of a GPU is what the real sizes need."""

from __future__ import annotations

import pytest
import torch

from ex4d_backbone_vace import advice
from ex4d_backbone_vace.transformer import in_layers
from ex4d_backbone_wan.compute import memory
from ex4d_backbone_wan.compute.advice import TOKENS

SIZES = {
    "1.3B": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30, "vace_layers": list(range(0, 30, 2))},
    "14B": {},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_needs_are_those_of_the_real_sizes(name):
    diffusers = pytest.importorskip("diffusers")
    with torch.device("meta"):
        vace = diffusers.WanVACETransformer3DModel(**SIZES[name])
    for parameter in vace.parameters():
        parameter.data = parameter.data.bfloat16()
    assert memory.needs(in_layers(vace), tokens=TOKENS) == advice.NEEDS[name]


@pytest.mark.parametrize(
    ("gib", "said"),
    [
        (2, ["1.3B require at least 3.9 GiB", "14B require at least 8.8 GiB"]),
        (8, ["1.3B fit with --gpu-memory auto", "14B require at least 8.8 GiB"]),
        (12, ["1.3B fit with all weights on the GPU", "14B fit with --gpu-memory auto"]),
        (80, ["1.3B fit with all weights", "14B fit with all weights on the GPU"]),
    ],
)
def test_each_card_is_told_which_model_fits(gib, said):
    hints = advice.advice(gib * 2**30)
    assert len(hints) == 2
    assert all(text in hint for text, hint in zip(said, hints, strict=True))
