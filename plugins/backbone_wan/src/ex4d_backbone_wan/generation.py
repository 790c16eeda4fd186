"""Generation of a video with any model of the family of Wan. Read `generate_video` first."""

from __future__ import annotations

from typing import Protocol

import attrs
import torch
from torch import Tensor

from ex4d_backbone_wan.conditioning import Known, decode, known_frames, resized, working_size
from ex4d_backbone_wan.denoiser import AfterStep, Conditioning, Schedule
from ex4d_backbone_wan.networks import Networks
from ex4d_backbone_wan.options import STRIDE, GenerationOptions
from ex4d_backbone_wan.preview import LatentColors, Watcher
from ex4d_backbone_wan.resume import PartialResults
from ex4d_backbone_wan.windows import Window, cut_windows, latent_length, noise_of, padded_length
from ex4d_core.errors import InvalidInput
from ex4d_core.masks.erosion import erode, sample_erosion_sizes
from ex4d_core.progress import Progress
from ex4d_core.types import Guidance, Video
from ex4d_core.workspace import Workspace


@attrs.frozen(eq=False, kw_only=True)
class Encoded:
    """The encoded guidance of a window."""

    conditioning: Conditioning
    color: Tensor
    """[1, 16, t, h, w], latents of the visible region."""
    leading: Tensor | None = None
    """[1, 16, n, h, w], clean latents of pictures before the video; None if there are none."""


class Encode(Protocol):
    """Encodes the guidance of a window as conditioning of a model."""

    def __call__(self, known: Known, *, text: Tensor, negative_text: Tensor) -> Encoded:
        """Return the conditioning for 4k+1 frames and embeddings of prompts [1, 512, C]."""
        ...


def generate_video(
    options: GenerationOptions,
    networks: Networks,
    guidance: Guidance,
    *,
    encode: Encode,
    leading: int = 0,
    prompt: str,
    seed: int,
    progress: Progress,
    workspace: Workspace,
) -> Video:
    """Generate a video with any model of the family of Wan.

    Args:
        options: of the backbone.
        networks: of the model.
        guidance: rendered color and mask.
        encode: encodes the guidance of a window.
        leading: number of latent frames of pictures before the video, as `encode` returns them; they are generated
            with the video and cut off.
        prompt: describes the video, or "" for the prompt of the options.
        seed: of the noise and of the erosion of the mask.
        progress: reports steps, encoding and decoding.
        workspace: stores latents after each step, and publishes `preview` if requested.

    Raises:
        InputNotFound: the weights are not on this machine.
        InvalidInput: the guidance has no frames, the weights do not match, the GPU has too little memory, or the
            latents are not finite.
    """
    if guidance.num_frames == 0:
        raise InvalidInput("the guidance has no frames; use at least 1 frame")
    height, width = guidance.mask.shape[1:]
    size = working_size(width, height, size=options.working_size, fit=options.fit)
    generation = _ClipGeneration(
        options, networks, guidance, encode=encode, leading=leading, size=size, seed=seed, workspace=workspace
    )
    try:
        with torch.no_grad():
            frames = generation.frames(prompt, progress)
    except torch.OutOfMemoryError as error:
        raise InvalidInput(
            f"{networks.device} has too little memory for {generation.length} frames at {size[0]}x{size[1]}; "
            "try --gpu-memory auto, or a smaller --set backbone.size"
        ) from error
    return Video(frames=frames if size == (width, height) else resized(frames, (width, height)), fps=guidance.fps)


class _ClipGeneration:
    """Generation of one clip at the working size."""

    def __init__(
        self,
        options: GenerationOptions,
        networks: Networks,
        guidance: Guidance,
        *,
        encode: Encode,
        leading: int,
        size: tuple[int, int],
        seed: int,
        workspace: Workspace,
    ) -> None:
        self._encode, self._leading = encode, leading
        self._options, self._networks, self._guidance = options, networks, guidance
        self._size, self._seed, self._workspace = size, seed, workspace
        self._schedule = Schedule(options.sampling_steps, options.sampling_shift)
        self._partial = PartialResults(workspace.folder)
        self._sides = sample_erosion_sizes(guidance.num_frames, options.eroded, seed=seed)
        self._windows = cut_windows(guidance.num_frames, window=options.num_frames, overlap=options.overlap)
        self.length = padded_length(self._windows[0].length)

    def frames(self, prompt: str, progress: Progress) -> Tensor:
        """Return all frames, uint8 [T, H, W, 3]."""
        each = self._options.sampling_steps + 2
        finished, frames = self._partial.finished()
        meter = _Meter(progress, done=finished * each, total=len(self._windows) * each)
        text, negative = self._networks.texts([prompt or self._options.prompt, self._options.negative_prompt])
        noise = self._noise()
        for number, window in enumerate(self._windows[finished:], start=finished):
            known = self._known(window, frames)
            encoded = self._encode(known, text=text, negative_text=negative)
            meter.advance()
            latents = self._denoised(number, known, encoded, noise_of(window, noise, leading=self._leading), meter)
            made = decode_frames(self._networks, latents[:, :, self._leading :])[: window.length]
            frames = made if frames is None else joined(frames, made, window)
            self._partial.finish(number + 1, frames)
            meter.advance()
        assert frames is not None
        return frames

    def _noise(self) -> Tensor:
        """Return the noise of the first window, [1, 16, t, h, w], drawn from the seed as EX-4D does."""
        width, height = self._size
        scale, channels = self._networks.latent_scale, self._networks.latent_channels
        shape = (1, channels, self._leading + latent_length(self.length), height // scale, width // scale)
        return torch.randn(shape, generator=torch.Generator().manual_seed(self._seed))

    def _known(self, window: Window, made: Tensor | None) -> Known:
        """Return the eroded guidance of a window, with the frames shared with the previous window filled in."""
        index = torch.arange(window.start, window.start + self.length).clamp(max=window.stop - 1)
        known = known_frames(self._guidance.color[index], self._guidance.mask[index], self._size)
        known = attrs.evolve(known, mask=erode(known.mask, self._sides[index]))
        if made is None:
            return known
        taken_over = made[window.start : window.start + window.taken_over]
        return known.starting_with(taken_over.movedim(-1, 1).float() / 255)

    def _denoised(self, number: int, known: Known, encoded: Encoded, noise: Tensor, meter: _Meter) -> Tensor:
        window, schedule = self._windows[number], self._schedule
        first_step, latents = self._partial.latents(number)
        if first_step:
            meter.advance(first_step)
        # The VAE is causal: the first latents depend on the shared frames only.
        anchor = encoded.color[:, :, : latent_length(window.taken_over)] if window.taken_over else None
        if anchor is not None and encoded.leading is not None:
            anchor = torch.cat([encoded.leading, anchor], dim=2)
        start = noise if latents is None else latents

        watcher = self._watcher(start, known, encoded)

        def after_step(step: int, latents: Tensor) -> None:
            self._partial.step(number, step, latents)
            watcher(step, latents)
            meter.advance()

        return self._networks.denoiser.denoise(
            encoded.conditioning,
            start,
            schedule=schedule,
            guidance=self._options.sampling_guidance,
            first_step=first_step,
            anchor=anchor,
            after_step=after_step,
        )

    def _watcher(self, start: Tensor, known: Known, encoded: Encoded) -> AfterStep:
        every, length = self._options.preview_every, self._windows[0].length
        if not every:
            return lambda step, latents: None
        colors = LatentColors(encoded.color, known.video)

        def show(latents: Tensor) -> None:
            frames = colors.frames(latents[:, :, self._leading :], length)
            self._workspace.show("preview", Video(frames=frames, fps=self._guidance.fps))

        return Watcher(start, schedule=self._schedule, every=every, show=show)


def decode_frames(networks: Networks, latents: Tensor) -> Tensor:
    """Decode clean latents [1, 16, t, h, w] to frames uint8 [4t-3, H, W, 3], on the CPU."""
    scale = networks.latent_scale
    length, height, width = (STRIDE * (latents.shape[2] - 1) + 1, *(scale * side for side in latents.shape[3:]))
    with networks.coding((length, 3, height, width)) as vae:
        return (decode(vae, latents) * 255).byte().movedim(1, -1)


def joined(frames: Tensor, made: Tensor, window: Window) -> Tensor:
    """Append the frames of the next window, uint8 [n, H, W, 3], and blend the shared frames.

    The shared frames show the same content and differ by errors of the VAE.

    Args:
        frames: all earlier frames of the clip.
        made: the frames of the window.
        window: their position.
    """
    shared = window.taken_over
    weights = (torch.arange(1, shared + 1) / (shared + 1)).view(-1, 1, 1, 1)
    before, after = frames[window.start : window.start + shared].float(), made[:shared].float()
    faded = (before + weights * (after - before)).round().byte()
    return torch.cat([frames[: window.start], faded, made[shared:]])


class _Meter:
    """Reports progress in steps, encodings and decodings, which take about the same time."""

    def __init__(self, progress: Progress, *, done: int, total: int) -> None:
        self._progress, self._done, self._total = progress, done, total
        progress(done, total)

    def advance(self, by: int = 1) -> None:
        """Report finished work."""
        self._done += by
        self._progress(self._done, self._total)
