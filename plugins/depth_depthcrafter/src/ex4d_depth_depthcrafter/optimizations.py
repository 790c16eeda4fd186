"""Optimizations of the networks for speed and memory; results change by rounding only."""

from __future__ import annotations

import importlib.util
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

_TOKENS = 1 << 15
"""Tokens per call of a feed-forward layer, whose hidden activations are 8 times as large as its input."""


def optimize(network: nn.Module, device: torch.device) -> None:
    """Optimize a network in place: feed-forward layers in chunks, and channels last on CUDA with Triton.

    Convolutions on tensor cores are faster with channels last. PyTorch's group normalization requires channels first,
    and transposing in between would cost all of the gain, so it is replaced by our own kernel.
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
    """Apply a layer to tokens [B, N, C] in chunks of the batch."""
    size = max(1, _TOKENS // tokens.shape[1])
    pieces = torch.split(tokens, size)
    if len(pieces) == 1:
        return forward(tokens, *args, **kwargs)  # type: ignore[no-any-return]
    made = torch.empty_like(tokens)
    for piece, place in zip(pieces, torch.split(made, size), strict=True):
        place.copy_(forward(piece, *args, **kwargs))
    return made
