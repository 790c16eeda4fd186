"""Attention over time at each place of a feature map, which makes the depth of Video Depth Anything steady.

Tensor names are those of the released model (DepthAnything/Video-Depth-Anything, `motion_module`). Shapes: T frames,
C channels, P places of a frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_HEADS = 8
_GROUPS = 32
_ATTENTIONS = 2

_PLACES_AT_ONCE = 16384
"""Places in one call of attention; CUDA limits batches to 65535."""


class FramePositions(nn.Module):
    """An embedding of the place in time, which is part of the checkpoint."""

    pe: Tensor

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.register_buffer("pe", torch.zeros(1, frames, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Add the embedding to tokens [P, T, C]."""
        return tokens + self.pe[:, : tokens.shape[1]].to(tokens.dtype)


class TemporalAttention(nn.Module):
    """Self-attention between the frames at each place."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.pos_encoder = FramePositions(channels, frames)
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix tokens [P, T, C]."""
        return torch.cat([self._mixed(part) for part in torch.split(tokens, _PLACES_AT_ONCE)])

    def _mixed(self, tokens: Tensor) -> Tensor:
        placed = self.pos_encoder(tokens)
        query, key, value = (
            layer(placed).unflatten(-1, (_HEADS, -1)).transpose(1, 2) for layer in (self.to_q, self.to_k, self.to_v)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.to_out[0](mixed.transpose(1, 2).flatten(2))
        return out


class GatedLinear(nn.Module):
    """A linear layer, half of whose output gates the other half (GEGLU)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform tokens [..., C] to [..., hidden]."""
        values, gate = self.proj(tokens).chunk(2, dim=-1)
        out: Tensor = values * functional.gelu(gate)
        return out


class TemporalBlock(nn.Module):
    """A transformer block over time with two layers of attention."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(TemporalAttention(channels, frames) for _ in range(_ATTENTIONS))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(_ATTENTIONS))
        layers = [GatedLinear(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels)]
        self.ff = nn.ModuleDict({"net": nn.Sequential(*layers)})
        self.ff_norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform tokens [P, T, C]."""
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            tokens = tokens + attention(norm(tokens))
        out: Tensor = tokens + self.ff["net"](self.ff_norm(tokens))
        return out


class TemporalTransformer(nn.Module):
    """A transformer over time between two linear layers, added to its input."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(channels, frames)])
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Transform the maps of consecutive frames, [T, C, h, w]."""
        tokens = self.proj_in(self.norm(maps).flatten(2).permute(2, 0, 1))  # [P, T, C]
        for block in self.transformer_blocks:
            tokens = block(tokens)
        change: Tensor = self.proj_out(tokens).permute(1, 2, 0)
        return maps + change.reshape(maps.shape)


def motion_module(channels: int, frames: int) -> nn.ModuleDict:
    """Return a transformer over at most `frames` frames, named as in the released files."""
    return nn.ModuleDict({"temporal_transformer": TemporalTransformer(channels, frames)})
