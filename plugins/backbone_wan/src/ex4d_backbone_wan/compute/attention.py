"""Self-attention by the fastest available kernel, also with tokens on several GPUs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import attrs
import torch
from torch import Tensor, distributed
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from ex4d_backbone_wan.weights.layouts import HEAD_DIM
from ex4d_core.user_cache import user_cache

_BACKENDS = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
"""Fastest first: at 13,312 tokens on an H200 cuDNN is twice as fast as flash attention of torch."""


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Compute attention of queries [B, N, heads, D] to keys and values [B, M, heads, D]; return [B, N, heads, D]."""
    flash = flash_attention(query.device)
    if flash is not None and query.dtype == torch.bfloat16 and query.shape[-1] == HEAD_DIM:
        return flash(query, key, value)
    query, key, value = (each.transpose(1, 2) for each in (query, key, value))
    with sdpa_kernel(_BACKENDS, set_priority=True):
        return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)


@lru_cache(maxsize=8)
def flash_attention(device: torch.device) -> Callable[..., Tensor] | None:
    """Return FlashAttention 4 if `flash-attn-4` is installed and the GPU is a Hopper: 10 % faster than cuDNN.

    It supports Wan's heads in bfloat16. It is compiled at first use and cached for each version. It was not measured on
    other GPUs.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device)[0] != 9 or not _is_installed("flash-attn-4"):
        return None
    with suppress(OSError):
        if (cache := user_cache()) is not None:
            folder = cache / "flash_attention"
            folder.mkdir(parents=True, exist_ok=True)
            os.environ.setdefault("FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED", "1")
            os.environ.setdefault("FLASH_ATTENTION_CUTE_DSL_CACHE_DIR", str(folder))
    try:
        return _flash_attention(device)
    except Exception as error:  # its compiler raises many kinds
        warnings.warn(f"flash-attn-4 is installed but does not work here, so cuDNN attends: {error}", stacklevel=2)
        return None


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _flash_attention(device: torch.device) -> Callable[..., Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its libraries
        from flash_attn.cute import flash_attn_func

        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            with torch.cuda.device(query.device):
                seen = flash_attn_func(query, key, value)
            return seen[0] if isinstance(seen, tuple) else seen  # type: ignore[no-any-return]

        attend(*torch.zeros(3, 1, 128, 1, HEAD_DIM, dtype=torch.bfloat16, device=device))
    return attend


@attrs.frozen
class SharedTokens:
    """Tokens that are split among a group of processes; each computes attention for some heads (arXiv 2309.14509)."""

    group: Any

    def all_tokens(self, x: Tensor) -> Callable[[], Tensor]:
        """Start the exchange of local tokens, [B, n, heads, D]; the result waits for all tokens of some heads.

        Work that is queued before its call overlaps with the exchange.
        """
        parts = x.view(*x.shape[:2], self._count, -1, x.shape[-1]).movedim(2, 0).contiguous()
        seen = torch.empty_like(parts)
        work = distributed.all_to_all_single(seen, parts, group=self.group, async_op=True)

        def wait() -> Tensor:
            work.wait()
            return seen.transpose(0, 1).flatten(1, 2)

        return wait

    def own_tokens(self, x: Tensor) -> Tensor:
        """Exchange all tokens of some heads for the local tokens of all heads."""
        parts = x.reshape(x.shape[0], self._count, -1, *x.shape[2:]).transpose(0, 1).contiguous()
        seen = torch.empty_like(parts)
        distributed.all_to_all_single(seen, parts, group=self.group)
        return seen.movedim(0, 2).flatten(2, 3)

    def part(self, x: Tensor) -> Tensor:
        """Return the local tokens of all tokens [B, N, C]."""
        return x.chunk(self._count, dim=1)[distributed.get_rank(self.group)]

    @property
    def _count(self) -> int:
        return distributed.get_world_size(self.group)
