"""What doctor says of a GPU is what the real sizes need."""

from __future__ import annotations

import re

import pytest
import torch

from ex4d_backbone_wan.compute import acceleration, advice, memory
from ex4d_backbone_wan.compute.memory import GIBI

WAN_14B = {
    "num_attention_heads": 40,
    "ffn_dim": 13824,
    "num_layers": 40,
    "in_channels": 36,
    "text_dim": 4096,
    "image_dim": 1280,
    "added_kv_proj_dim": 5120,
}


@pytest.mark.parametrize(("how", "needs"), [("exact", advice.EXACT), ("fast", advice.FAST)])
@pytest.mark.slow
def test_needs_are_those_of_the_real_sizes(how, needs):
    diffusers = pytest.importorskip("diffusers")
    with torch.device("meta"):
        transformer = diffusers.WanTransformer3DModel(**WAN_14B)
    for parameter in transformer.parameters():
        parameter.data = parameter.data.bfloat16()
    acceleration.prepare(transformer, speed=how)
    assert memory.needs(transformer, tokens=advice.TOKENS) == needs


@pytest.mark.slow
def test_needs_of_a_file_in_8_bits_are_those_of_the_real_sizes():
    diffusers = pytest.importorskip("diffusers")
    from ex4d_backbone_wan.weights.stored import StoredLinear, StoredWeight

    with torch.device("meta"):
        transformer = diffusers.WanTransformer3DModel(**WAN_14B)
    for parameter in transformer.parameters():
        parameter.data = parameter.data.bfloat16()
    for name, linear in list(transformer.blocks.named_modules()):
        if isinstance(linear, torch.nn.Linear):
            stored = StoredWeight(data=linear.weight.data.to(torch.float8_e4m3fn))
            layer = StoredLinear(linear, stored, dtype=torch.bfloat16)
            if "add_" not in name:  # the adapter's rank is 16, and it leaves the image's layers
                with torch.device("meta"):
                    layer.add_low_rank(torch.empty(16, layer.in_features), torch.empty(layer.out_features, 16))
            transformer.blocks.set_submodule(name, layer)
    assert memory.needs(transformer, tokens=advice.TOKENS) == advice.FILE_8_BITS


TAKES = "25 steps took 39 s on an H200"


@pytest.mark.parametrize(
    ("gib", "said"),
    [
        (140, ["49 frames of 512x512 fit with all weights on the GPU", TAKES]),
        (
            32,
            [
                "fit with --gpu-memory auto: a quarter of the weights",
                "with --speed fast, .* fit with all weights",
                "with a transformer in fp8 as backbone.model, they fit with all weights",
                TAKES,
            ],
        ),
        (
            24,
            [
                "fit with --gpu-memory auto: weights stay",
                "with --speed fast, .* --gpu-memory auto: a quarter",
                "with a transformer in fp8 as backbone.model, they fit with all weights",
                TAKES,
            ],
        ),
        (12, ["fit with --gpu-memory auto: weights stay in main memory", TAKES]),
        (6, [r"at least 7.5 GiB \(5.8 with --speed turbo\); fewer frames may fit"]),
    ],
)
def test_a_gpu_is_told_what_it_will_take(gib, said):
    sentences = advice.advice(gib * GIBI)
    assert len(sentences) == len(said)
    for sentence, expected in zip(sentences, said, strict=True):
        assert re.search(expected, sentence), sentence
