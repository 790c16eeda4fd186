"""What makes the networks faster and smaller without changing what they compute, but for rounding."""

from __future__ import annotations

import importlib.util
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

_TOKENS = 1 << 15
"""How many tokens a feed-forward layer takes at once: its inner values are 8 times as many as what goes in."""


def optimize(network: nn.Module, device: torch.device) -> None:
    """Have a network, in place, take its feed-forward layers in pieces, and work channels last where that pays.

    That is on CUDA with Triton: convolutions on tensor cores want channels last, PyTorch's group normalization wants
    them first, and all that is gained would be lost on turning tensors around between the two.
    """
    from diffusers.models.attention import FeedForward

    for module in network.modules():
        if isinstance(module, FeedForward):
            module.forward = partial(_in_pieces, module.forward)
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return
    from ex4d_depth_depthcrafter._group_norm_kernels import normalize, works

    if not works(device):
        return
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.forward = partial(normalize, norm=module)  # type: ignore[method-assign]
        elif isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        elif isinstance(module, nn.Conv3d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last_3d)


def _in_pieces(forward: Any, tokens: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Return what a layer makes of tokens [B, N, C], some of the batch at a time."""
    size = max(1, _TOKENS // tokens.shape[1])
    pieces = torch.split(tokens, size)
    if len(pieces) == 1:
        return forward(tokens, *args, **kwargs)  # type: ignore[no-any-return]
    made = torch.empty_like(tokens)
    for piece, place in zip(pieces, torch.split(made, size), strict=True):
        place.copy_(forward(piece, *args, **kwargs))
    return made
