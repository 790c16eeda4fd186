"""A Wan transformer that is small enough for a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

SIZES = {
    "num_attention_heads": 4,
    "attention_head_dim": 24,
    "in_channels": 36,
    "text_dim": 32,
    "freq_dim": 64,
    "ffn_dim": 192,
    "num_layers": 3,
    "image_dim": 64,
    "added_kv_proj_dim": 96,
}


@pytest.fixture
def transformer_of() -> Callable[..., Any]:
    """Return a function that makes a transformer of random values, the same each time; it takes other sizes."""
    diffusers = pytest.importorskip("diffusers")

    def make(**sizes: Any) -> Any:
        torch.manual_seed(0)
        transformer = diffusers.WanTransformer3DModel(**{**SIZES, **sizes}).eval().requires_grad_(False)
        for parameter in transformer.parameters():
            nn.init.normal_(parameter, std=1.0 if parameter.ndim == 1 else 0.1)
        return transformer

    return make


@pytest.fixture
def call() -> Callable[..., Tensor]:
    """Return a function that calls a transformer with a batch of two, in different contexts and at different times."""

    def call(transformer: Any, *, seed: int = 0, **others: Tensor) -> Tensor:
        weight = transformer.patch_embedding.weight
        config = transformer.config
        torch.manual_seed(seed)
        latents, text = torch.randn(2, config.in_channels, 3, 8, 6), torch.randn(2, 512, config.text_dim)
        given = {"hidden_states": latents, "encoder_hidden_states": text}
        if config.image_dim is not None:
            given["encoder_hidden_states_image"] = torch.randn(2, 257, config.image_dim)
        given = {name: value.to(weight) for name, value in given.items()} | others
        time = torch.tensor([900.0, 100.0], device=weight.device)
        with torch.no_grad(), transformer.cache_context("test"):
            return transformer(**given, timestep=time, return_dict=False)[0]

    return call
