"""Accelerate Wan's transformer: exactly up to rounding, or with 8-bit products and skipped steps.

For inference only: no gradients, and the changes are permanent. Order of work: load, merge LoRAs, prepare, place in
memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch

from ex4d_backbone_wan.compute.blocks import WanBlock, wan_blocks
from ex4d_backbone_wan.compute.quantized import QuantizedLinear
from ex4d_backbone_wan.compute.step_cache import StepCache
from ex4d_core.errors import InvalidInput

Precision = Literal["exact", "fast"]
"""See `prepare`."""

FLOAT8_CAPABILITY = (8, 9)
"""Lowest compute capability with products of 8-bit floats: Ada."""


def prepare(transformer: Any, *, speed: Precision = "exact", device: torch.device | None = None) -> StepCache:
    """Replace the blocks of a transformer by `WanBlock`, permanently, and return the cache that they share.

    The transformer stays on its device.

    Args:
        transformer: diffusers' WanTransformer3DModel, LoRAs merged.
        speed: "exact" computes the same up to rounding. "fast" also quantizes the weights of the blocks' large products
            to 8-bit floats; each product is then about twice as fast, with an error of 4 %.
        device: the device that will compute, if it is another; it also quantizes.

    Raises:
        InvalidInput: speed is "fast", and the device or the dtype does not support 8-bit products.
    """
    device = transformer.device if device is None else device
    if speed == "fast":
        _check_float8(transformer, device)
    cache = StepCache()
    for index, (name, block) in enumerate(wan_blocks(transformer)):
        if speed == "fast":
            _quantize(block, device)
        transformer.set_submodule(name, WanBlock(block, index=index, cache=cache))
    return cache


@contextmanager
def skipping_steps(transformer: Any, *, threshold: float) -> Iterator[None]:
    """Reuse the result of the previous step if the first block's output has hardly changed (first-block cache).

    Args:
        transformer: prepared or not; call it in `transformer.cache_context(...)`.
        threshold: largest mean change of the first block's residual, relative to it, at which the rest is reused.
    """
    from diffusers import FirstBlockCacheConfig
    from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry

    for kind in {type(block) for block in transformer.blocks}:
        TransformerBlockRegistry.register(kind, TransformerBlockMetadata(return_hidden_states_index=0))
    transformer.enable_cache(FirstBlockCacheConfig(threshold=threshold))
    try:
        yield
    finally:
        transformer.disable_cache()


def _quantize(block: Any, device: torch.device) -> None:
    quantized = partial(QuantizedLinear, device=device)
    block.attn1.to_k = quantized(block.attn1.to_k)
    block.attn1.to_v = quantized(block.attn1.to_v)
    for attn in (block.attn1, block.attn2):
        attn.to_q = quantized(attn.to_q)
        attn.to_out[0] = quantized(attn.to_out[0])
    block.ffn.net[0].proj = quantized(block.ffn.net[0].proj)
    block.ffn.net[2] = quantized(block.ffn.net[2])


def _check_float8(transformer: Any, device: torch.device) -> None:
    if device.type != "cuda":
        return
    if torch.cuda.get_device_capability(device) < FLOAT8_CAPABILITY:
        name = torch.cuda.get_device_name(device)
        raise InvalidInput(f"{name} has no products of 8-bit floats, which --speed fast requires; use --speed exact")
    _, block = wan_blocks(transformer)[0]
    dtype = block.ffn.net[2].weight.dtype
    if dtype != torch.bfloat16:
        raise InvalidInput(f"--speed fast requires bfloat16, not {dtype}; use --set backbone.dtype=bfloat16")
