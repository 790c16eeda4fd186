"""One training step, and the preparation of a transformer for training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ex4d_training.flow import Velocity, draw_noise, flow_matching_loss
from ex4d_training.optimizer import Optimizer
from ex4d_training.velocity import Sample

_ATTENTION = [
    SDPBackend.CUDNN_ATTENTION,  # about twice as fast as flash attention on Hopper
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
"""In order of preference."""


def prepare(transformer: Any, *, checkpointing: bool, compiled: bool = False) -> None:
    """Prepare a transformer for backpropagation, in place.

    Args:
        transformer: Wan transformer of diffusers with an attached adapter.
        checkpointing: whether to recompute blocks in the backward pass instead of storing their activations.
        compiled: whether to compile the blocks; the first step takes a minute longer.
    """
    if checkpointing:
        transformer.enable_gradient_checkpointing()
    if compiled:
        for block in transformer.blocks:
            # `forward` and not the module: sharding adds hooks to the call of the module.
            block.forward = torch.compile(block.forward, fullgraph=True)


def train_step(
    model: Velocity, optimizer: Optimizer, batches: list[Sample], *, shift: float, seed: int, rank: int = 0
) -> tuple[Tensor, Tensor]:
    """Take one optimizer step; return the mean loss and the gradient norm, on the device.

    Args:
        model: the model.
        optimizer: optimizer of its parameters.
        batches: batches of equal size on the device of the model; their gradients are accumulated.
        shift: shift of the noise schedule.
        seed: seed of the noise, combined with the number of the step and the rank.
        rank: number of the process.
    """
    losses = []
    with sdpa_kernel(_ATTENTION, set_priority=True):
        for part, sample in enumerate(batches):
            noise, sigma = draw_noise(sample, shift=shift, seed=seed + part, step=optimizer.steps, rank=rank)
            loss = flow_matching_loss(model, sample, noise, sigma) / len(batches)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
    return torch.stack(losses).sum(), optimizer.step()
