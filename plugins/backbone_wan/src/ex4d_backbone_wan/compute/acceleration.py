"""What makes Wan's transformer faster: exactly, but for rounding, or with 8-bit products and skipped work.

It is for inference: nothing here has gradients, and nothing is undone. Load, merge LoRAs, prepare, place in memory.
"""

from __future__ import annotations

import importlib.util
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from ex4d_backbone_wan.compute import elementwise
from ex4d_backbone_wan.compute.blocks import AmongTokens, context_keys_values, fused_forward
from ex4d_backbone_wan.compute.elementwise import Context
from ex4d_backbone_wan.compute.quantized import QuantizedLinear
from ex4d_core.errors import InvalidInput

FLOAT8_CAPABILITY = (8, 9)
"""Least compute capability with products of 8-bit floats: Ada."""


def prepare(
    transformer: Any, *, speed: Literal["exact", "fast"] = "exact", device: torch.device | None = None
) -> KeptContext:
    """Make a transformer faster, in place and for good; return what it keeps of prompts and pictures.

    It stays on the device where it is.

    Args:
        transformer: diffusers' WanTransformer3DModel, LoRAs merged.
        speed: "exact" computes the same but for rounding. "fast" also turns the weights of the blocks' large products
            into 8-bit floats, which cannot be undone; products are then about twice as fast and 4 % off, each.
        device: that will compute, where that is another; 8-bit floats are made there too.

    Raises:
        InvalidInput: "fast", and the device or the precision has no 8-bit products.
    """
    device = transformer.device if device is None else device
    if speed == "fast":
        _check_float8(transformer, device)
    context = KeptContext(transformer)
    for block in transformer.blocks:
        if speed == "fast":
            _quantize(block, device)
        block.forward = partial(_forward, block, context)
    return context


def operations(device: torch.device) -> ModuleType:
    """Return the module with the elementwise functions for a device: Triton kernels if they run there, else torch."""
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return elementwise
    from ex4d_backbone_wan.compute import _elementwise_kernels as kernels

    return kernels if kernels.works(device) else elementwise


@contextmanager
def skipping_steps(transformer: Any, *, threshold: float) -> Iterator[None]:
    """Reuse what a step added where the next one's first block says that little has changed, by diffusers' cache.

    Args:
        transformer: prepared or not; it must be called in `transformer.cache_context(...)`.
        threshold: mean change of what the first block adds, as a share of it, up to which the rest is reused.
    """
    from diffusers import FirstBlockCacheConfig

    transformer.enable_cache(FirstBlockCacheConfig(threshold=threshold))
    try:
        yield
    finally:
        transformer.disable_cache()


@contextmanager
def sharing_start(transformer: Any) -> Iterator[None]:
    """Make what the first block does before it looks at the prompt once for two calls with the same latents and time.

    Both halves of the guidance are such calls; the same tensor objects must come.

    Args:
        transformer: prepared; it must be called with names for its arguments.
    """
    start, block = KeptStart(), transformer.blocks[0]
    hooks = (
        transformer.register_forward_pre_hook(start.begin, with_kwargs=True),
        transformer.register_forward_hook(start.end, always_call=True),
    )
    block.kept = start
    try:
        yield
    finally:
        del block.kept
        for hook in hooks:
            hook.remove()


class KeptContext:
    """Keys and values of each cross attention, made once for a text and an image and kept while these tensors live.

    A step asks for those of its prompt, which are the same at every step: the same tensor objects must come.
    """

    def __init__(self, transformer: nn.Module) -> None:
        self._kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._now: dict[nn.Module, Context] | None = None
        transformer.register_forward_pre_hook(self._begin, with_kwargs=True)
        transformer.register_forward_hook(self._end, always_call=True)

    def keys_values(self, attn: nn.Module, context: Tensor) -> Context:
        """Return what an attention layer makes of the context of the call that is under way."""
        if self._now is None:
            return context_keys_values(attn, context)
        if attn not in self._now:
            self._now[attn] = context_keys_values(attn, context)
        return self._now[attn]

    def _begin(self, transformer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        text, image = kwargs.get("encoder_hidden_states"), kwargs.get("encoder_hidden_states_image")
        if text is None:
            return
        image_then, kept = self._kept.get(text, (None, None))  # type: ignore[no-untyped-call]
        if kept is None or (image_then and image_then()) is not image:
            kept = {}
            self._kept[text] = (None if image is None else weakref.ref(image), kept)
        self._now = kept

    def _end(self, *_: Any) -> None:
        self._now = None


class KeptStart:
    """What the first block makes of the tokens before it looks at the prompt, kept for another call with them."""

    def __init__(self) -> None:
        self._kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._now: list[AmongTokens] | None = None

    def once(self, make: Callable[[], AmongTokens]) -> AmongTokens:
        """Return what a function makes of the tokens of the call that is under way; the second call takes it away."""
        if self._now:
            return self._now.pop()
        made = make()
        if self._now is not None:
            self._now.append(made)
        return made

    def begin(self, transformer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """See what a call is about."""
        latents, time = kwargs["hidden_states"], kwargs["timestep"]
        time_then, kept = self._kept.get(latents, (None, None))  # type: ignore[no-untyped-call]
        if kept is None or time_then() is not time:
            kept = []
            self._kept[latents] = (weakref.ref(time), kept)
        self._now = kept

    def end(self, *_: Any) -> None:
        """Forget what the call was about."""
        self._now = None


def _forward(block: Any, context: KeptContext, *args: Any, **kwargs: Any) -> Tensor:
    tokens = args[0] if args else kwargs["hidden_states"]
    return fused_forward(block, context.keys_values, operations(tokens.device), *args, **kwargs)


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
        raise InvalidInput(f"{name} has no products of 8-bit floats, which --speed fast takes; use --speed exact")
    dtype = transformer.blocks[0].ffn.net[2].weight.dtype
    if dtype != torch.bfloat16:
        raise InvalidInput(f"--speed fast works in bfloat16, not {dtype}; use --set backbone.dtype=bfloat16")
