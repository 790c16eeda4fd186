"""The diffusion process of DepthCrafter: encode frames, denoise window by window, decode inverse depth.

Noise is drawn from the seed on the device, in this order: the noise added to the frames before the VAE encoder
[T, 3, H, W], then the initial latents of a window [window, 4, H/8, W/8].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from ex4d_core.progress import Progress
from ex4d_depth_depthcrafter.frames import encoder_picture
from ex4d_depth_depthcrafter.networks import DepthCrafterNetworks, per_frame_attention
from ex4d_depth_depthcrafter.options import DepthCrafterOptions
from ex4d_depth_depthcrafter.windows import DepthWindow, cut_windows

NOISE_STRENGTH = 0.02
"""Standard deviation of the noise added to frames in [-1, 1]."""

ENCODED_PIXELS = 2 * 1024 * 576
"""Pixels per call of an encoder, in whole frames; more are not faster."""

TIME_IDS = (7.0, 127.0, NOISE_STRENGTH)
"""Frame rate, motion bucket and noise strength of DepthCrafter's training; used for every clip."""


@attrs.frozen(eq=False, kw_only=True)
class FrameConditioning:
    """Conditioning of the UNet on the clip, on the device."""

    embeddings: Tensor
    """[T, C] of the image encoder."""
    latents: Tensor
    """[T, 4, H/8, W/8] of the VAE."""


class Meter:
    """Reports progress in frames processed by a network."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        progress(0, total)

    def advance(self, frames: int) -> None:
        """Report more processed frames."""
        self._done += frames
        self._progress(self._done, self._total)


class DepthDiffusion:
    """Runs the networks on one clip at a time."""

    def __init__(self, networks: DepthCrafterNetworks, options: DepthCrafterOptions) -> None:
        self._networks = networks
        self._options = options

    def inverse_depth(self, frames: Tensor, *, progress: Progress) -> Tensor:
        """Return inverse depth up to scale and shift, float32 [T, H, W] on the CPU, larger = nearer.

        Args:
            frames: uint8 [T, H, W, 3], or float32 in [0, 1]; H and W multiples of 8 times what the UNet halves.
            progress: reports the fraction of the work of all networks.
        """
        with torch.no_grad():
            windows = self.windows(len(frames))
            meter = Meter(progress, 3 * len(frames) + self._options.steps * sum(w.length for w in windows))
            generator = torch.Generator(self._networks.device).manual_seed(self._options.seed)
            conditioning = self.encode(frames, generator, meter)
            latents = self.denoise(conditioning, generator, meter)
            return torch.cat([chunk.mean(dim=1).cpu() for chunk in self.decode(latents, meter)])

    def windows(self, num_frames: int) -> list[DepthWindow]:
        """Return the windows of a clip."""
        return cut_windows(num_frames, window=self._options.window, overlap=self._options.overlap)

    def encode(self, frames: Tensor, generator: torch.Generator, meter: Meter) -> FrameConditioning:
        """Encode frames [T, H, W, 3] with both encoders; draws the first noise."""
        networks = self._networks
        with networks.using(networks.image_encoder):
            blocks = torch.split(frames, self._options.window)
            embeddings = torch.cat([self._embed(block, meter) for block in blocks])
        with networks.using(networks.vae.encoder, networks.vae.quant_conv):
            # Noise is drawn per window, so that memory does not grow with the length of the clip.
            latents = [
                self._latents(chunk, noise, meter)
                for block in blocks
                for chunk, noise in self._with_noise(block, generator)
            ]
        return FrameConditioning(embeddings=embeddings, latents=torch.cat(latents))

    def denoise(self, conditioning: FrameConditioning, generator: torch.Generator, meter: Meter) -> Tensor:
        """Return the latents of the depth [T, 4, H/8, W/8]; draws the second noise."""
        known, networks = conditioning.latents, self._networks
        windows = self.windows(len(known))
        shape = (windows[0].length, *known.shape[1:])
        noise = torch.randn(shape, generator=generator, device=networks.device, dtype=networks.dtype)
        latents = torch.empty_like(known)
        with networks.using(networks.unet):
            for index, window in enumerate(windows):
                # Frames shared by two windows start from the same noise in both.
                rolled = noise.roll(index * self._options.overlap, dims=0)[: window.length]
                earlier = latents[window.start : window.start + window.overlap]
                made = self._denoise_window(rolled, earlier, conditioning, window, meter)
                made[: window.overlap] = crossfade(earlier, made[: window.overlap])
                latents[window.start : window.stop] = made
        return latents

    def decode(self, latents: Tensor, meter: Meter) -> Iterator[Tensor]:
        """Yield depth images in chunks of frames, float32 [n, 3, H, W] in [0, 1]."""
        vae = self._networks.vae
        with self._networks.using(vae.decoder):
            for chunk in torch.split(latents, self._options.decode_chunk):
                decoded = vae.decode(chunk / vae.config.scaling_factor, num_frames=len(chunk), return_dict=False)[0]
                # clamp keeps NaN, which is checked later.
                yield (decoded.float() / 2 + 0.5).clamp(0, 1)
                meter.advance(len(chunk))

    def _denoise_window(
        self, noise: Tensor, earlier: Tensor, conditioning: FrameConditioning, window: DepthWindow, meter: Meter
    ) -> Tensor:
        scheduler = self._networks.scheduler(self._options.steps)
        embeddings = conditioning.embeddings[window.start : window.stop]
        known = conditioning.latents[window.start : window.stop]
        latents: Tensor = noise * scheduler.init_noise_sigma
        # The shared frames start from the result of the previous window, with noise of the first level.
        latents[: window.overlap] = earlier + noise[: window.overlap] * scheduler.sigmas[0]
        for time in scheduler.timesteps:
            seen = scheduler.scale_model_input(latents, time)
            predicted = self._predict(seen, known, embeddings, time)
            if self._options.guidance > 1:
                unconditional = self._predict(seen, torch.zeros_like(known), torch.zeros_like(embeddings), time)
                predicted = unconditional + self._options.guidance * (predicted - unconditional)
            latents = scheduler.step(predicted, time, latents, return_dict=False)[0]
            meter.advance(window.length)
        return latents

    def _predict(self, seen: Tensor, known: Tensor, embeddings: Tensor, time: Any) -> Tensor:
        unet = self._networks.unet
        with per_frame_attention(unet, embeddings):
            (predicted,) = unet(
                torch.cat([seen, known], dim=1)[None],
                time,
                encoder_hidden_states=embeddings[None, :1],
                added_time_ids=torch.tensor([TIME_IDS], device=seen.device, dtype=seen.dtype),
                return_dict=False,
            )
        frames: Tensor = predicted[0]
        return frames

    def _embed(self, block: Tensor, meter: Meter) -> Tensor:
        networks = self._networks
        side = networks.image_encoder.config.image_size
        chunks = [encoder_picture(self._signed(chunk).float(), side) for chunk in _encoded_at_once(block)]
        pictures = (torch.cat(chunks) + 1) / 2
        mean, std = (pictures.new_tensor(values).view(3, 1, 1) for values in (networks.image_mean, networks.image_std))
        embeddings: Tensor = networks.image_encoder(((pictures - mean) / std).to(networks.dtype)).image_embeds
        meter.advance(len(block))
        return embeddings

    def _latents(self, chunk: Tensor, noise: Tensor, meter: Meter) -> Tensor:
        networks = self._networks
        noisy = self._signed(chunk) + NOISE_STRENGTH * noise
        latents: Tensor = networks.vae.encode(noisy.to(networks.encode_dtype)).latent_dist.mode()
        meter.advance(len(chunk))
        return latents.to(networks.dtype)

    def _signed(self, frames: Tensor) -> Tensor:
        """Return frames [n, H, W, 3] as [n, 3, H, W] in [-1, 1] on the device."""
        pictures = frames.to(self._networks.device).movedim(-1, 1)
        pictures = pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures
        return pictures.to(self._networks.dtype) * 2 - 1

    def _with_noise(self, frames: Tensor, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        count, height, width, channels = frames.shape
        shape = (count, channels, height, width)
        noise = torch.randn(shape, generator=generator, device=self._networks.device, dtype=self._networks.dtype)
        chunks = _encoded_at_once(frames)
        return zip(chunks, torch.split(noise, len(chunks[0])), strict=True)


def _encoded_at_once(frames: Tensor) -> Sequence[Tensor]:
    """Split frames [T, H, W, 3] to limit the memory of an encoder, which processes frames independently."""
    _, height, width, _ = frames.shape
    return torch.split(frames, max(1, ENCODED_PIXELS // (height * width)))


def crossfade(earlier: Tensor, later: Tensor) -> Tensor:
    """Blend from `earlier` to `later` along dim 0, with linear weights from 0 to 1 inclusive."""
    shape = (-1, *(1 for _ in earlier.shape[1:]))
    weights = torch.linspace(0, 1, len(later), device=later.device).view(shape)
    return (later * weights + earlier * (1 - weights)).to(later.dtype)
