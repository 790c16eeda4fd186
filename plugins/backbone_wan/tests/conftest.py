"""Tiny guidance, options for the tiny Wan, and transformers of random values."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ex4d_backbone_wan.options import WanOptions
from ex4d_core.types import Guidance

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
"""Of a transformer on its own, whose values are all random."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Keep embeddings of prompts where only this test finds them."""
    monkeypatch.setenv("EX4D_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def options(tiny_wan):
    """Make options for the tiny Wan: 2 steps, windows of 9 frames that share 5, 32x32."""

    def make(**given) -> WanOptions:
        settings = {"steps": 2, "num_frames": 9, "overlap": 5, "size": "32x32", "erode": "0"}
        places = {"model": str(tiny_wan), "adapter": str(tiny_wan / "ex4d.safetensors")}
        return WanOptions(**{**places, **settings, **given})

    return make


@pytest.fixture
def guidance():
    """Make guidance of smooth moving colors whose right half is hidden, but for the first frame."""

    def make(num_frames=9, *, width=32, height=32, hidden=0.5) -> Guidance:
        t, y, x = (torch.linspace(0, 1, count) for count in (num_frames, height, width))
        wave = torch.sin(6 * (t[:, None, None] + y[None, :, None] + x[None, None, :]))
        color = torch.stack([wave, wave.roll(3, 1), wave.roll(3, 2)], dim=-1) * 100 + 128
        mask = torch.ones(num_frames, height, width, dtype=torch.bool)
        mask[1:, :, round(width * (1 - hidden)) :] = False
        return Guidance(color=color.byte() * mask[..., None], mask=mask, fps=Fraction(24))

    return make


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
