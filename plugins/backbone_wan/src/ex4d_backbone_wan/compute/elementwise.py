"""The operations of a block between its products, in plain torch: reference of the kernels, and fallback."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ex4d_backbone_wan.compute.quantized import Quantized, quantize_rows


class ContextPart(NamedTuple):
    """Keys and values of the text, or of the image."""

    key: Tensor
    """[B, M, heads, C / heads], times the weights of the queries' norm."""
    value: Tensor
    """[B, M, heads, C / heads]."""
    repeats: int = 1
    """Number of repeats of the last token: a prompt is padded with one token."""


Context = tuple[ContextPart, ...]
"""The text, and the image if the model has one."""


def add_norm(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    *,
    added: Tensor | None = None,
    gate: Tensor | None = None,
    eps: float = 1e-6,
    float8: bool = False,
) -> tuple[Tensor, Tensor | Quantized]:
    """Return `x + added * gate`, and that normalized over its channels, times `scale`, plus `shift`.

    Args:
        x: [B, N, C].
        scale: [B, 1, C] or [C].
        shift: likewise.
        added: [B, N, C], or None for 0.
        gate: [B, 1, C], or None for 1.
        eps: added to the variance.
        float8: whether to quantize the second result.
    """
    if added is not None:
        x = (x.float() + (added.float() if gate is None else added.float() * gate)).type_as(x)
    normed = functional.layer_norm(x.float(), x.shape[-1:], eps=eps) * scale.float() + shift.float()
    return x, quantize_rows(normed) if float8 else normed.type_as(x)


def add_gated(x: Tensor, added: Tensor, gate: Tensor) -> Tensor:
    """Return `x + added * gate`; [B, N, C], and the gate [B, 1, C]."""
    return (x.float() + added.float() * gate).type_as(x)


def norm_rotate(x: Tensor, norm: nn.RMSNorm, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Normalize queries or keys over all heads, and apply the rotary embedding.

    Args:
        x: [B, N, C].
        norm: over C.
        rotary: cosines and sines [1, N, 1, C / heads], each twice.
    """
    x = norm(x)
    cos, sin = (each[..., ::2].float() for each in rotary)
    first, second = x.view(*x.shape[:-1], -1, cos.shape[-1], 2).unbind(-1)
    turned = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1)
    return turned.flatten(-3).type_as(x)


def attend_context(query: Tensor, context: Context, *, eps: float) -> Tensor:
    """Return the sum of the attention to the text and to the image, [B, N, C].

    Args:
        query: [B, N, C]; normalized over all heads here.
        context: of the same batch.
        eps: added to the mean square.
    """
    normed = functional.rms_norm(query.float(), query.shape[-1:], eps=eps).type_as(query)
    normed = normed.view(*query.shape[:2], *context[0].key.shape[2:])
    return torch.stack([_seen(normed, part) for part in context]).sum(0)


def _seen(query: Tensor, part: ContextPart) -> Tensor:
    query, key, value = (each.transpose(1, 2) for each in (query, part.key, part.value))
    bias = torch.zeros(1, key.shape[2], dtype=query.dtype, device=query.device)
    bias[:, -1] = math.log(part.repeats)  # exp(s + log n) is n exp(s)
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias).transpose(1, 2).flatten(2)


def quantize(x: Tensor, *, gelu: bool = False) -> Quantized:
    """Quantize values for 8-bit products, optionally after a GELU."""
    return quantize_rows(functional.gelu(x.float(), approximate="tanh") if gelu else x)


def linear_gelu(x: Tensor, linear: nn.Linear) -> Tensor:
    """Apply a linear layer and a GELU to [B, N, C]."""
    return functional.gelu(linear(x), approximate="tanh")
