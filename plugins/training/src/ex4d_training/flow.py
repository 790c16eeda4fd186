"""Loss of flow matching: the velocity along the straight line from clean latents to noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ex4d_training.velocity import Sample

Velocity = Callable[[Tensor, Tensor, Sample], Tensor]
"""Called as `model(noisy, sigma, sample)`; see `velocity.WanVelocity`."""


def noise_levels(uniform: Tensor, *, shift: float) -> Tensor:
    """Return noise levels [B] for uniform numbers u in 0..1: `f u / (1 + (f - 1) u)`, as in the sampler.

    The shift f favors noisier latents (Esser et al. 2024, arXiv 2403.03206, eq. 23).
    """
    return shift * uniform / (1 + (shift - 1) * uniform)


def flow_matching_loss(model: Velocity, sample: Sample, noise: Tensor, sigma: Tensor) -> Tensor:
    """Return the mean squared error of the velocity, a scalar in float32 (Lipman et al. 2022, arXiv 2210.02747).

    Args:
        model: predicts noise minus clean latents.
        sample: a batch; `latents` are the clean ones.
        noise: float32 [B, C, t, h, w], standard normal.
        sigma: float32 [B], noise level.
    """
    clean = sample["latents"].float()
    level = sigma.view(-1, *[1] * (clean.ndim - 1))
    predicted = model((1 - level) * clean + level * noise, sigma, sample)
    return functional.mse_loss(predicted.float(), noise - clean)


def draw_noise(sample: Sample, *, shift: float, seed: int, step: int, rank: int = 0) -> tuple[Tensor, Tensor]:
    """Return noise and noise level of one step; they depend only on the arguments, so a resumed run repeats them."""
    clean = sample["latents"]
    # One random stream per step and rank; odd factors separate neighbors.
    mixed = ((seed + 1) * 0x9E3779B97F4A7C15 + step * 0xD1342543DE82EF95 + rank * 0xAF251AF3B0F025B5) % 2**63
    generator = torch.Generator(clean.device).manual_seed(mixed)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    uniform = torch.rand(len(clean), generator=generator, device=clean.device)
    return noise, noise_levels(uniform, shift=shift)
