"""A block of Wan's transformer, computed with fewer passes over memory than diffusers' own forward.

What is computed is the same: norms, modulation and gates run in float32 between the products. What differs: what
lies between two products is one kernel; the keys and values of the text and the image, which are the same at every
step, are made once for a context; and the token that a prompt is filled up with to 512 is there once, with its weight.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ex4d_backbone_wan.compute.attention import SharedTokens, attend
from ex4d_backbone_wan.compute.elementwise import Context, ContextPart
from ex4d_backbone_wan.compute.quantized import Quantized, QuantizedLinear

TEXT_TOKENS = 512
"""Length of the text's part of the context, the last; the image's comes before it."""

AmongTokens = tuple[Tensor, Tensor]
"""Tokens after they have attended to each other, and what they ask of the prompt; nothing of it is in them yet."""


def fused_forward(
    block: Any,
    keep: Callable[[Any, Tensor], Context],
    operations: ModuleType,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    temb: Tensor,
    rotary_emb: tuple[Tensor, Tensor],
) -> Tensor:
    """Return what `WanTransformerBlock.forward` returns, [B, N, C].

    Args:
        block: diffusers' WanTransformerBlock; its `kept` is a `acceleration.KeptStart`, if it has one, and its self
            attention's `shared` says which processes have the other tokens.
        keep: returns the keys and values of an attention layer for a context.
        operations: `elementwise` or its twin.
        hidden_states: tokens [B, N, C].
        encoder_hidden_states: context [B, M, C].
        temb: [B, 6, C], what the time does to the block.
        rotary_emb: cosines and sines, [1, N, 1, C / heads].
    """
    modulation = (block.scale_shift_table + temb.float()).chunk(6, dim=1)
    shift, scale, gate, inner_shift, inner_scale, inner_gate = modulation
    float8 = isinstance(block.attn1.to_q, QuantizedLinear)

    def among_tokens() -> AmongTokens:
        x, normed = operations.add_norm(hidden_states, 1 + scale, shift, eps=block.norm1.eps, float8=float8)
        added, norm = _self_attention(block.attn1, normed, rotary_emb, operations), block.norm2
        x, normed = operations.add_norm(x, norm.weight, norm.bias, added=added, gate=gate, eps=norm.eps, float8=float8)
        return x, block.attn2.to_q(normed)

    kept = getattr(block, "kept", None)
    x, query = among_tokens() if kept is None else kept.once(among_tokens)
    attended = _cross_attention(block.attn2, query, keep(block.attn2, encoder_hidden_states), operations)
    del query  # the feed-forward takes the most memory
    x, normed = operations.add_norm(x, 1 + inner_scale, inner_shift, added=attended, eps=block.norm3.eps, float8=float8)
    del attended
    made: Tensor = operations.add_gated(x, _feed_forward(block.ffn.net, normed, operations), inner_gate)
    return made


def context_keys_values(attn: Any, context: Tensor) -> Context:
    """Return the keys and values that a cross attention makes of its context [B, M, C]."""
    text, repeats = _without_repeats(context[:, -TEXT_TOKENS:])
    of_text = ContextPart(*_keys_values(attn, attn.to_k, attn.to_v, attn.norm_k, text), repeats)
    if attn.add_k_proj is None:
        return (of_text,)
    image = context[:, :-TEXT_TOKENS]
    return of_text, ContextPart(*_keys_values(attn, attn.add_k_proj, attn.add_v_proj, attn.norm_added_k, image))


def _without_repeats(tokens: Tensor) -> tuple[Tensor, int]:
    """Return tokens [B, M, C] up to the first from which on all are the same, and how many those are."""
    same = (tokens == tokens[:, -1:]).all(-1).all(0)
    repeats = max(1, int(same.flip(0).long().cumprod(0).sum()))  # NaN is not even the same as itself
    return tokens[:, : tokens.shape[1] - repeats + 1], repeats


def _keys_values(
    attn: Any, to_key: nn.Linear, to_value: nn.Linear, norm: nn.RMSNorm, context: Tensor
) -> tuple[Tensor, Tensor]:
    key, value = _linear(to_key, context), _linear(to_value, context)
    # Queries come without the weights of their norm: a product with keys is the same if these have them.
    weight = norm.weight.float() * attn.norm_q.weight.float()
    key = functional.rms_norm(key.float(), list(weight.shape), weight, norm.eps).type_as(key)
    return _by_head(attn, key), _by_head(attn, value)


def _by_head(attn: Any, x: Tensor) -> Tensor:
    """Return [B, N, C] as [B, N, heads, C / heads]."""
    return x.view(*x.shape[:2], attn.heads, -1)


def _linear(linear: nn.Linear, x: Tensor) -> Tensor:
    """Return a product with a weight that may wait in main memory."""
    weight, bias = linear.weight.to(x.device, non_blocking=True), linear.bias.to(x.device, non_blocking=True)
    return functional.linear(x, weight, bias)


def _self_attention(attn: Any, x: Tensor | Quantized, rotary: tuple[Tensor, Tensor], operations: ModuleType) -> Tensor:
    shared: SharedTokens | None = getattr(attn, "shared", None)
    begin = _here if shared is None else shared.all_tokens
    # Values first: they travel to other GPUs while queries and keys are made.
    value = begin(_by_head(attn, attn.to_v(x)))
    query = begin(_by_head(attn, operations.norm_rotate(attn.to_q(x), attn.norm_q, rotary)))
    key = begin(_by_head(attn, operations.norm_rotate(attn.to_k(x), attn.norm_k, rotary)))
    attended = attend(query(), key(), value())
    if shared is not None:
        attended = shared.own_tokens(attended)
    return _project(attn.to_out[0], attended.flatten(2), operations)


def _here(x: Tensor) -> Callable[[], Tensor]:
    """Return what `SharedTokens.all_tokens` does where all tokens are here."""
    return lambda: x


def _cross_attention(attn: Any, query: Tensor, context: Context, operations: ModuleType) -> Tensor:
    return _project(attn.to_out[0], operations.attend_context(query, context, eps=attn.norm_q.eps), operations)


def _feed_forward(net: Any, x: Tensor | Quantized, operations: ModuleType) -> Tensor:
    inner, outer = net[0].proj, net[2]
    if isinstance(outer, QuantizedLinear):
        return outer(operations.quantize(inner(x), gelu=True))  # type: ignore[no-any-return]
    return outer(operations.linear_gelu(x, inner))  # type: ignore[no-any-return]


def _project(linear: nn.Module, x: Tensor, operations: ModuleType) -> Tensor:
    ready = operations.quantize(x) if isinstance(linear, QuantizedLinear) else x
    return linear(ready)  # type: ignore[no-any-return]
