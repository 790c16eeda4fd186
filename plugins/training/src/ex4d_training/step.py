"""One step of training, and how a transformer is made ready for many."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ex4d_training.flow import Velocity, drawn, flow_matching_loss
from ex4d_training.optimizer import Optimizer
from ex4d_training.velocity import Sample

_ATTENTION = [
    SDPBackend.CUDNN_ATTENTION,  # about twice as fast as flash attention on Hopper
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
"""The first that can is taken."""


def prepare(transformer: Any, *, checkpointing: bool, compiled: bool = False) -> None:
    """Make a transformer ready to be trained through, in place.

    Args:
        transformer: diffusers' Wan transformer, its adapter attached.
        checkpointing: whether only what goes into a block is kept for the way back, and the rest computed again.
        compiled: whether blocks are compiled, which takes a minute at the first step.
    """
    if checkpointing:
        transformer.enable_gradient_checkpointing()
    if compiled:
        for block in transformer.blocks:
            # Not the call but what it calls: sharing out the weights hangs its work on the call.
            block.forward = torch.compile(block.forward, fullgraph=True)


def train_step(
    model: Velocity, optimizer: Optimizer, batches: list[Sample], *, shift: float, seed: int, rank: int = 0
) -> tuple[Tensor, Tensor]:
    """Learn from some batches at once; return the mean loss and the gradients' norm, on the device.

    Args:
        model: what is trained.
        optimizer: of its parameters.
        batches: on the model's device, all of one size; their gradients are added up.
        shift: of the noise levels.
        seed: fixes the noise, together with the number of the step and what follows.
        rank: of the process.
    """
    losses = []
    with sdpa_kernel(_ATTENTION, set_priority=True):
        for part, sample in enumerate(batches):
            noise, sigma = drawn(sample, shift=shift, seed=seed + part, step=optimizer.steps, rank=rank)
            loss = flow_matching_loss(model, sample, noise, sigma) / len(batches)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
    return torch.stack(losses).sum(), optimizer.step()
