"""Fast previews of latents: a linear map from each latent pixel to a color, without the VAE decoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ex4d_backbone_wan.denoiser import Schedule
from ex4d_backbone_wan.options import STRIDE

_RIDGE = 1e-3
_GROW = 4


class LatentColors:
    """Linear map from latents to colors, fitted to a video and its latents.

    Args:
        latents: [1, 16, t, h, w].
        video: [4t-3, 3, H, W] in [-1, 1].
    """

    def __init__(self, latents: Tensor, video: Tensor) -> None:
        inputs = _inputs(latents)
        wanted = _pixels(_downscale(video.float().to(latents.device), latents.shape[-2:]))
        # Ridge regression, because constant latents do not determine the map.
        gram = inputs.T @ inputs + _RIDGE * len(inputs) * torch.eye(inputs.shape[1], device=inputs.device)
        self._map = torch.linalg.solve(gram, inputs.T @ wanted)

    def frames(self, latents: Tensor, num_frames: int) -> Tensor:
        """Return frames uint8 [num_frames, 4h, 4w, 3], on the CPU, of latents [1, 16, t, h, w].

        Args:
            latents: clean, or the current estimate of them.
            num_frames: at most 4t-3.
        """
        _, _, count, height, width = latents.shape
        pixels = _inputs(latents) @ self._map.to(latents.device)
        small = pixels.view(count, height, width, 3).movedim(-1, 1)
        large = functional.interpolate(small, scale_factor=_GROW, mode="bicubic")
        shown = ((large / 2 + 0.5).clamp(0, 1) * 255).round().byte().movedim(1, -1).cpu()
        index = (torch.arange(num_frames) + STRIDE - 1) // STRIDE
        return shown[index]


class Watcher:
    """Estimates clean latents during sampling and passes them to a callback.

    Args:
        start: latents before the first step.
        schedule: of the steps.
        every: interval in steps; the last step is skipped.
        show: called with the estimated clean latents.
    """

    def __init__(self, start: Tensor, *, schedule: Schedule, every: int, show: Callable[[Tensor], None]) -> None:
        self._before = start
        self._sigmas = schedule.sigmas.tolist()
        self._every = every
        self._show = show

    def __call__(self, step: int, latents: Tensor) -> None:
        """Process the latents after a step."""
        if step % self._every == 0 and step < len(self._sigmas) - 1:
            now, after = self._sigmas[step - 1], self._sigmas[step]
            # Euler's method moves along a line; extrapolate it to noise level 0.
            before = self._before.to(latents)
            self._show(before + (latents - before) * (now / (now - after)))
        self._before = latents


def _inputs(latents: Tensor) -> Tensor:
    """Return latents [1, 16, t, h, w] as float32 [pixels, 17], the last of which is 1."""
    flat = _pixels(latents.float())
    return torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)


def _pixels(volume: Tensor) -> Tensor:
    """Return [1, C, t, h, w] as [pixels, C]."""
    return volume[0].flatten(1).T


def _downscale(video: Tensor, size: torch.Size) -> Tensor:
    """Average a video [4t-3, 3, H, W] over the pixels of each latent pixel, [1, 3, t, h, w]."""
    small = functional.adaptive_avg_pool2d(video, (size[0], size[1]))
    rest = small[1:].reshape(-1, STRIDE, *small.shape[1:]).mean(1) if len(small) > 1 else small[1:]
    return torch.cat([small[:1], rest]).movedim(1, 0)[None]
