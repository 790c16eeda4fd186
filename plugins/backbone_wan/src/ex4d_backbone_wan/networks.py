"""Wan's networks on one machine: each is loaded when it is first used, and kept but for the text encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import attrs
import torch
from torch import Tensor

from ex4d_backbone_wan.conditioning import image_feature, image_latents
from ex4d_backbone_wan.denoiser import Denoiser, LocalDenoiser
from ex4d_backbone_wan.loading import (
    load_camera_encoder,
    load_image_encoder,
    load_text_encoder,
    load_transformer,
    load_vae,
)
from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.text import cache_folder, embeddings
from ex4d_backbone_wan.weights import Checkpoint, locate


class Networks:
    """What a generation computes with."""

    def __init__(self, options: WanOptions, *, device: torch.device) -> None:
        self.device = device
        self._options = options
        self._first_picture: tuple[Tensor, int, tuple[Tensor, Tensor]] | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the networks."""
        name = self._options.dtype
        if name == "auto":
            name = "float32" if self.device.type == "cpu" else "bfloat16"
        dtype: torch.dtype = getattr(torch, name)
        return dtype

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Where the weights are."""
        return locate(self._options)

    @cached_property
    def vae(self) -> Any:
        """The AutoencoderKLWan."""
        vae = load_vae(self.checkpoint, device=self.device, dtype=self.dtype)
        if self._options.tiling == "on":
            vae.enable_tiling()
        return vae

    @cached_property
    def image_encoder(self) -> Any:
        """CLIP's half that sees, or None for a Wan that takes no image."""
        if "image_encoder" not in self.checkpoint.files:
            return None
        return load_image_encoder(self.checkpoint, device=self.device, dtype=self.dtype)

    @cached_property
    def camera_encoder(self) -> Any:
        """The adapter's, or None without one."""
        return load_camera_encoder(self.checkpoint, device=self.device, dtype=self.dtype)

    @cached_property
    def denoiser(self) -> Denoiser:
        """The transformer and the sampler."""
        transformer = load_transformer(self.checkpoint, device=self.device, dtype=self.dtype)
        return LocalDenoiser(
            transformer,
            device=self.device,
            dtype=self.dtype,
            batch_guidance=self._options.batch_guidance == "on",
        )

    @property
    def latent_channels(self) -> int:
        """Channels of the VAE's latents."""
        return int(self.vae.config.z_dim)

    @property
    def latent_scale(self) -> int:
        """Pixels along a side of a latent pixel."""
        return int(self.vae.config.scale_factor_spatial)

    def first_picture(self, picture: Tensor, num_frames: int) -> tuple[Tensor | None, Tensor | None]:
        """Return what Wan is told of the first frame: CLIP's feature and `y`; None where it takes no image.

        The last ones are kept: every camera path through a clip begins with the same frame.

        Args:
            picture: float32 [3, H, W] in [0, 1].
            num_frames: of the video, 4k+1.
        """
        if self.image_encoder is None:
            return None, None
        kept = self._first_picture
        if kept is None or kept[1] != num_frames or not torch.equal(kept[0], picture):
            told = image_feature(self.image_encoder, picture), image_latents(self.vae, picture, num_frames)
            self._first_picture = kept = (picture, num_frames, told)
        return kept[2]

    def texts(self, prompts: Sequence[str]) -> list[Tensor]:
        """Return the embedding of each prompt [1, 512, C], on the CPU."""
        with self._text_encoder() as load:
            return embeddings(
                prompts, load=load, identity=self._text_identity(), dtype=self.dtype, folder=cache_folder()
            )

    def _text_identity(self) -> str:
        # Embeddings outlast another adapter, another LoRA and another VAE.
        files = {"text_encoder": self.checkpoint.files["text_encoder"]}
        return attrs.evolve(self.checkpoint, files=files, adapter=None, loras=()).fingerprint()

    @contextmanager
    def _text_encoder(self) -> Iterator[Any]:
        """Give a function that loads the text encoder, which is gone again after the block."""
        yield lambda: load_text_encoder(self.checkpoint, device=self.device, dtype=self.dtype)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
