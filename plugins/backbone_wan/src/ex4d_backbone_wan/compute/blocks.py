"""A block of Wan's transformer, computed with fewer passes over memory than diffusers' own forward.

The result is the same up to rounding: norms, modulation and gates are float32. The differences: everything between two
matrix products is one kernel; the keys and values of the text and the image, which do not change between steps, are
computed once per prompt; and the token that pads a prompt to 512 is stored once, with its number of repeats.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ex4d_backbone_wan.compute import elementwise
from ex4d_backbone_wan.compute.attention import SharedTokens, attend
from ex4d_backbone_wan.compute.elementwise import Context, ContextPart
from ex4d_backbone_wan.compute.quantized import Quantized, QuantizedLinear
from ex4d_backbone_wan.compute.step_cache import BlockStart, StepCache

TEXT_TOKENS = 512
"""Length of the text's part of the context, the last; the image's comes before it."""


def wan_blocks(module: nn.Module) -> list[tuple[str, Any]]:
    """Return the names and blocks of Wan in a transformer or a part of it, prepared or not, in order."""
    return [(name, part) for name, part in module.named_modules() if hasattr(part, "attn1") and hasattr(part, "attn2")]


def operations(device: torch.device) -> ModuleType:
    """Return the module with the elementwise functions for a device: Triton kernels if they run there, else torch."""
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return elementwise
    from ex4d_backbone_wan.compute import _elementwise_kernels as kernels

    return kernels if kernels.works(device) else elementwise


class WanBlock(nn.Module):
    """Replacement of diffusers' WanTransformerBlock, with its layers under their names. For inference only.

    Args:
        block: the WanTransformerBlock, whose layers are used.
        index: position in the transformer.
        cache: shared by all blocks of the transformer.
    """

    def __init__(self, block: Any, *, index: int, cache: StepCache) -> None:
        super().__init__()
        self.norm1, self.attn1 = block.norm1, block.attn1
        self.norm2, self.attn2 = block.norm2, block.attn2
        self.norm3, self.ffn = block.norm3, block.ffn
        self.scale_shift_table: nn.Parameter = block.scale_shift_table
        self.shared_tokens: SharedTokens | None = None
        """Set if several processes hold the tokens of one video."""
        self._index, self._cache = index, cache

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        rotary_emb: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Return the tokens after the block, [B, N, C].

        Args:
            hidden_states: tokens [B, N, C].
            encoder_hidden_states: context [B, M, C]; ignored if the cache has the keys and values of this prompt.
            temb: modulation by the timestep, [B, 6, C].
            rotary_emb: cosines and sines, [1, N, 1, C / heads].
        """
        ops = operations(hidden_states.device)
        modulation = (self.scale_shift_table + temb.float()).chunk(6, dim=1)
        shift, scale, gate, inner_shift, inner_scale, inner_gate = modulation
        float8 = isinstance(self.attn1.to_q, QuantizedLinear)

        def start() -> BlockStart:
            x, normed = ops.add_norm(hidden_states, 1 + scale, shift, eps=self.norm1.eps, float8=float8)
            added, norm = _self_attention(self.attn1, normed, rotary_emb, ops, self.shared_tokens), self.norm2
            x, normed = ops.add_norm(x, norm.weight, norm.bias, added=added, gate=gate, eps=norm.eps, float8=float8)
            return x, self.attn2.to_q(normed)

        x, query = start() if self._index else self._cache.block_start(start)
        context = self._cache.context(self._index, partial(context_keys_values, self.attn2, encoder_hidden_states))
        attended = _cross_attention(self.attn2, query, context, ops)
        del query  # the feed-forward takes the most memory
        x, normed = ops.add_norm(x, 1 + inner_scale, inner_shift, added=attended, eps=self.norm3.eps, float8=float8)
        del attended
        result: Tensor = ops.add_gated(x, _feed_forward(self.ffn.net, normed, ops), inner_gate)
        return result


def context_keys_values(attn: Any, context: Tensor) -> Context:
    """Return the keys and values of a cross-attention for its context [B, M, C]."""
    text, repeats = _without_repeats(context[:, -TEXT_TOKENS:])
    of_text = ContextPart(*_keys_values(attn, attn.to_k, attn.to_v, attn.norm_k, text), repeats)
    if attn.add_k_proj is None:
        return (of_text,)
    image = context[:, :-TEXT_TOKENS]
    return of_text, ContextPart(*_keys_values(attn, attn.add_k_proj, attn.add_v_proj, attn.norm_added_k, image))


def _without_repeats(tokens: Tensor) -> tuple[Tensor, int]:
    """Remove repeats of the last token [B, M, C] from the end; also return its number of repeats."""
    same = (tokens == tokens[:, -1:]).all(-1).all(0)
    repeats = max(1, int(same.flip(0).long().cumprod(0).sum()))  # NaN is not even the same as itself
    return tokens[:, : tokens.shape[1] - repeats + 1], repeats


def _keys_values(
    attn: Any, to_key: nn.Linear, to_value: nn.Linear, norm: nn.RMSNorm, context: Tensor
) -> tuple[Tensor, Tensor]:
    key, value = _linear(to_key, context), _linear(to_value, context)
    # The weights of the queries' norm are applied to the keys: the product is the same.
    weight = norm.weight.float() * attn.norm_q.weight.float()
    key = functional.rms_norm(key.float(), list(weight.shape), weight, norm.eps).type_as(key)
    return _by_head(attn, key), _by_head(attn, value)


def _by_head(attn: Any, x: Tensor) -> Tensor:
    """Return [B, N, C] as [B, N, heads, C / heads]."""
    return x.view(*x.shape[:2], attn.heads, -1)


def _linear(linear: nn.Linear, x: Tensor) -> Tensor:
    """Apply a linear layer whose weight may be in main memory."""
    weight, bias = linear.weight.to(x.device, non_blocking=True), linear.bias.to(x.device, non_blocking=True)
    return functional.linear(x, weight, bias)


def _self_attention(
    attn: Any, x: Tensor | Quantized, rotary: tuple[Tensor, Tensor], ops: ModuleType, shared: SharedTokens | None
) -> Tensor:
    begin = _all_local if shared is None else shared.all_tokens
    # Values first: they are sent to other GPUs while queries and keys are computed.
    value = begin(_by_head(attn, attn.to_v(x)))
    query = begin(_by_head(attn, ops.norm_rotate(attn.to_q(x), attn.norm_q, rotary)))
    key = begin(_by_head(attn, ops.norm_rotate(attn.to_k(x), attn.norm_k, rotary)))
    attended = attend(query(), key(), value())
    if shared is not None:
        attended = shared.own_tokens(attended)
    return _project(attn.to_out[0], attended.flatten(2), ops)


def _all_local(x: Tensor) -> Callable[[], Tensor]:
    """Do the job of `SharedTokens.all_tokens` in a process that has all tokens."""
    return lambda: x


def _cross_attention(attn: Any, query: Tensor, context: Context, ops: ModuleType) -> Tensor:
    return _project(attn.to_out[0], ops.attend_context(query, context, eps=attn.norm_q.eps), ops)


def _feed_forward(net: Any, x: Tensor | Quantized, ops: ModuleType) -> Tensor:
    inner, outer = net[0].proj, net[2]
    if isinstance(outer, QuantizedLinear):
        return outer(ops.quantize(inner(x), gelu=True))  # type: ignore[no-any-return]
    return outer(ops.linear_gelu(x, inner))  # type: ignore[no-any-return]


def _project(linear: nn.Module, x: Tensor, ops: ModuleType) -> Tensor:
    ready = ops.quantize(x) if isinstance(linear, QuantizedLinear) else x
    return linear(ready)  # type: ignore[no-any-return]
