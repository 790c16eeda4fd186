"""Validation videos."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ex4d_backbone_wan.conditioning import decode
from ex4d_backbone_wan.denoiser import Schedule, integrate
from ex4d_backbone_wan.weights import WanCheckpoint
from ex4d_backbone_wan.weights.loading import load_vae
from ex4d_core.types import Video
from ex4d_core.video_io import write_video
from ex4d_training.data import LatentDataset
from ex4d_training.flow import Velocity

_FPS = Fraction(15)
_SEED = 0
"""The same noise each time, so that videos of different steps can be compared."""


class Validation:
    """Generates the first clips of the data: visible region, result and original side by side.

    Args:
        data: the data set.
        wan: checkpoint with the VAE.
        clips: number of clips.
        steps: number of denoising steps, without classifier-free guidance.
        shift: shift of the noise schedule.
        device: device of the computation.
        dtype: precision of the VAE.
    """

    def __init__(
        self,
        data: LatentDataset,
        wan: WanCheckpoint,
        *,
        clips: int,
        steps: int,
        shift: float,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._wan, self._device, self._dtype = wan, device, dtype
        self._samples = [data[number] for number in range(min(clips, len(data)))]
        self._schedule = Schedule(steps, shift)

    @cached_property
    def _vae(self) -> Any:
        return load_vae(self._wan, device=self._device, dtype=self._dtype)

    @torch.no_grad()
    def frames(self, model: nn.Module) -> list[Tensor]:
        """Return a video for each clip, uint8 [T, H, 3 W, 3]; all processes must call it."""
        made = []
        for sample, (known, original) in zip(self._samples, self._given, strict=True):
            inputs = {name: value[None].to(self._device) for name, value in sample.items()}
            filled = self._decoded(sampled(model, inputs, schedule=self._schedule, seed=_SEED))
            made.append(torch.cat([known, filled, original], dim=2))
        return made

    @cached_property
    def _given(self) -> list[tuple[Tensor, Tensor]]:
        """The visible region of each clip, and the original."""
        return [
            (self._decoded(sample["color"][None]), self._decoded(sample["latents"][None])) for sample in self._samples
        ]

    def _decoded(self, latents: Tensor) -> Tensor:
        """Return frames, uint8 [T, H, W, 3], on the CPU."""
        frames = decode(self._vae, latents.to(self._device).float())
        return (frames * 255).round().byte().movedim(1, -1).cpu()

    def write(self, path: Path, frames: Sequence[Tensor]) -> None:
        """Write all clips, one below the other, as one video.

        Raises:
            OutputFailed: the file cannot be written.
        """
        write_video(Video(frames=torch.cat(list(frames), dim=1), fps=_FPS), path)


def sampled(model: Velocity, sample: dict[str, Tensor], *, schedule: Schedule, seed: int) -> Tensor:
    """Return latents generated from the conditioning of a batch of clips, float32 [B, C, t, h, w].

    Args:
        model: see `velocity.WanVelocity`.
        sample: the batch; only the shape of its `latents` is used.
        schedule: denoising steps.
        seed: seed of the noise.
    """
    size = sample["latents"]
    noise = torch.randn(size.shape, generator=torch.Generator().manual_seed(seed)).to(size.device)
    sigmas = schedule.sigmas.to(size.device)

    def velocity(noisy: Tensor, step: int) -> Tensor:
        return model(noisy, sigmas[step].expand(len(noisy)), sample)

    return integrate(velocity, noise, schedule=schedule, after_step=lambda *_: None)
