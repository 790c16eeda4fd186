"""The vision transformer of Depth Anything: DINOv2, whose blocks can alternate between one view and all views.

Numbers and tensor names are those of the released models (ByteDance-Seed/Depth-Anything-3, `model/dinov2`; without
alternation DepthAnything/Video-Depth-Anything, `dinov2.py`). Shapes: B clips, S views of a clip, N tokens of a view
(the class or camera token first, then patches in row order), C channels.
"""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

PATCH = 14
"""Side of a patch in pixels."""

HEAD_CHANNELS = 64
"""Channels of an attention head, the same in all sizes of DINOv2."""

LEAST_VIEWS = 3
"""Views from which a reference view is selected; of fewer, the first is the reference."""

_ROPE_BASE = 100.0
_POSITION_OFFSET = 0.1
"""Added to the size of the grid when position embeddings are resized, as in DINOv2."""


@attrs.frozen(kw_only=True)
class BackboneConfig:
    """Sizes of the transformer; -1 means never."""

    channels: int
    blocks: int
    grid: int
    """Rows and columns of the grid of position embeddings."""
    outputs: tuple[int, ...]
    """Blocks whose output the head reads."""
    across_views: int
    """First block from which every odd block attends to all views."""
    normalized: int
    """First block that normalizes queries and keys."""
    rotary: int
    """First block with rotary position embeddings."""
    concatenated: bool
    """Whether outputs are concatenated with those of the latest block that attended to one view."""
    norm_eps: float = 1e-5
    """Of the normalization of outputs."""


def grid_of(positions: tuple[int, ...]) -> int:
    """Return the side of the grid of position embeddings of a shape, 0 if it is not [1, 1 + grid^2, channels]."""
    if len(positions) != 3 or positions[1] < 2 or positions[2] % HEAD_CHANNELS != 0:
        return 0
    grid = math.isqrt(positions[1] - 1)
    return grid if 1 + grid**2 == positions[1] else 0


class Attention(nn.Module):
    """Self-attention with optional normalization and rotation of queries and keys."""

    def __init__(self, channels: int, *, normalized: bool) -> None:
        super().__init__()
        self._heads = channels // HEAD_CHANNELS
        self.qkv = nn.Linear(channels, 3 * channels)
        self.q_norm = nn.LayerNorm(HEAD_CHANNELS) if normalized else nn.Identity()
        self.k_norm = nn.LayerNorm(HEAD_CHANNELS) if normalized else nn.Identity()
        self.proj = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, rotation: Rotation | None) -> Tensor:
        """Mix tokens [batch, N, C]."""
        batch, count, channels = tokens.shape
        split = self.qkv(tokens).view(batch, count, 3, self._heads, HEAD_CHANNELS)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        query, key = self.q_norm(query), self.k_norm(key)
        if rotation is not None:
            query, key = rotation.apply(query), rotation.apply(key)
        mixed = functional.scaled_dot_product_attention(query, key, value.to(query.dtype))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, count, channels))
        return out


@attrs.frozen(eq=False)
class Rotation:
    """Rotary position embedding of tokens: the first half of a head's channels by row, the second by column."""

    cosine: Tensor
    """[N, HEAD_CHANNELS]."""
    sine: Tensor

    @classmethod
    def at(cls, positions: Tensor) -> Rotation:
        """Return the rotation of tokens at positions [N, 2] (row, column)."""
        half = HEAD_CHANNELS // 2
        frequencies = _ROPE_BASE ** -(torch.arange(0, half, 2, device=positions.device).float() / half)
        angles = positions.float()[..., None] * frequencies  # [N, 2, half / 2]
        angles = torch.cat([angles, angles], dim=-1).flatten(1)
        return cls(angles.cos(), angles.sin())

    def repeated(self, views: int) -> Rotation:
        """Return the rotation of the tokens of several views in sequence."""
        return Rotation(self.cosine.repeat(views, 1), self.sine.repeat(views, 1))

    def apply(self, tokens: Tensor) -> Tensor:
        """Rotate tokens [batch, heads, N, HEAD_CHANNELS]."""
        first, second = tokens.reshape(*tokens.shape[:-1], 2, 2, -1).unbind(-2)
        turned = torch.stack([-second, first], dim=-2).flatten(-3)
        return tokens * self.cosine.to(tokens.dtype) + turned * self.sine.to(tokens.dtype)


class LayerScale(nn.Module):
    """A learned factor of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Scale tokens [..., C]."""
        return tokens * self.gamma


class Mlp(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform tokens [..., C]."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return out


class Block(nn.Module):
    """A transformer block of DINOv2."""

    def __init__(self, channels: int, *, normalized: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = Attention(channels, normalized=normalized)
        self.ls1 = LayerScale(channels)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = Mlp(channels)
        self.ls2 = LayerScale(channels)

    def forward(self, tokens: Tensor, rotation: Rotation | None) -> Tensor:
        """Transform tokens [batch, N, C]."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens), rotation))
        out: Tensor = tokens + self.ls2(self.mlp(self.norm2(tokens)))
        return out


class PatchEmbedding(nn.Module):
    """One token for each patch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, stride=PATCH)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return tokens [N, patches, C] of pictures [N, 3, H, W]."""
        out: Tensor = self.proj(pictures).flatten(2).mT
        return out


class Backbone(nn.Module):
    """The transformer."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self._config = config
        self.patch_embed = PatchEmbedding(config.channels)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.channels))
        if config.across_views >= 0:
            self.camera_token = nn.Parameter(torch.zeros(1, 2, config.channels))  # of the reference, of other views
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.grid**2, config.channels))
        self.blocks = nn.ModuleList(
            Block(config.channels, normalized=0 <= config.normalized <= index) for index in range(config.blocks)
        )
        self.norm = nn.LayerNorm(config.channels, eps=config.norm_eps)

    def forward(self, pictures: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return features of patches [B, S, N - 1, C or 2 C] of each output, and the camera tokens [B, S, C or 2 C].

        Args:
            pictures: normalized float32 [B, S, 3, H, W], sides multiples of `PATCH`.
        """
        clips, views = pictures.shape[:2]
        rows, columns = (side // PATCH for side in pictures.shape[-2:])
        tokens = self._embedded(pictures.flatten(0, 1)).reshape(clips, views, 1 + rows * columns, -1)
        within, across = self._rotations(rows, columns, pictures.device)
        config, local, order, outputs = self._config, tokens, None, []
        for index, block in enumerate(self.blocks):
            if index == config.across_views - 1 and views >= LEAST_VIEWS:
                order = reference_first(tokens[:, :, 0])
                tokens, local = _reordered(tokens, order), _reordered(local, order)
            if index == config.across_views:
                cameras = self.camera_token[:, [0] + [1] * (views - 1)].expand(clips, -1, -1).to(tokens.dtype)
                tokens = torch.cat([cameras[:, :, None], tokens[:, :, 1:]], dim=2)
            rotates = 0 <= config.rotary <= index
            if 0 <= config.across_views <= index and index % 2 == 1:
                rotation = across.repeated(views) if rotates else None
                tokens = block(tokens.flatten(1, 2), rotation).reshape(tokens.shape)
            else:
                tokens = local = block(tokens.flatten(0, 1), within if rotates else None).reshape(tokens.shape)
            if index in config.outputs:
                out = torch.cat([local, tokens], dim=-1) if config.concatenated else tokens
                outputs.append(out if order is None else _reordered(out, order.argsort(dim=1)))
        return [self._normalized(out)[:, :, 1:] for out in outputs], outputs[-1][:, :, 0]

    def _normalized(self, out: Tensor) -> Tensor:
        """Normalize an output, but not the local half of a concatenated one."""
        *local, latest = torch.split(out, self._config.channels, dim=-1)
        return torch.cat([*local, self.norm(latest)], dim=-1)

    def _embedded(self, pictures: Tensor) -> Tensor:
        patches = self.patch_embed(pictures)
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1).to(patches.dtype), patches], dim=1)
        rows, columns = (side // PATCH for side in pictures.shape[-2:])
        return tokens + self._positions(rows, columns).to(tokens.dtype)

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Return the position embeddings of a grid, [1, N, C]."""
        grid = self._config.grid
        if rows == columns == grid:
            return self.pos_embed
        first, patches = torch.split(self.pos_embed.float(), [1, grid**2], dim=1)
        resized = functional.interpolate(
            patches.mT.reshape(1, -1, grid, grid),
            scale_factor=((rows + _POSITION_OFFSET) / grid, (columns + _POSITION_OFFSET) / grid),
            mode="bicubic",
        )
        return torch.cat([first, resized.flatten(2).mT], dim=1)

    @staticmethod
    def _rotations(rows: int, columns: int, device: torch.device) -> tuple[Rotation, Rotation]:
        """Return the rotations within a view, by place, and across views, where all patches have one place."""
        grid = torch.cartesian_prod(torch.arange(rows, device=device), torch.arange(columns, device=device)) + 1
        places = functional.pad(grid, (0, 0, 1, 0))  # the class token is at 0, 0
        return Rotation.at(places), Rotation.at(places.clamp(max=1))


def reference_first(class_tokens: Tensor) -> Tensor:
    """Return the order of views with the reference view first, int64 [B, S].

    The reference is the view whose class token is nearest to the middle of the range in similarity to the others, norm
    and variance (`saddle_balanced` in the released code).

    Args:
        class_tokens: [B, S, C].
    """
    views = class_tokens.shape[1]
    norm = class_tokens.norm(dim=-1)
    unit = class_tokens / norm[..., None]
    similarity = ((unit @ unit.mT).sum(dim=-1) - 1) / (views - 1)
    measures = torch.stack([similarity, norm, unit.var(dim=-1)])
    low, high = measures.amin(dim=-1, keepdim=True), measures.amax(dim=-1, keepdim=True)
    reference = ((measures - low) / (high - low + 1e-8) - 0.5).abs().sum(dim=0).argmin(dim=-1)
    others = torch.arange(views, device=class_tokens.device).expand(len(reference), -1)
    return torch.where(others == reference[:, None], -1, others).argsort(dim=1)


def _reordered(tokens: Tensor, order: Tensor) -> Tensor:
    """Return [B, S, ...] with the views in another order [B, S]."""
    return tokens[torch.arange(len(tokens), device=tokens.device)[:, None], order]
