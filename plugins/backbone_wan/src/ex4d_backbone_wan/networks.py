"""The networks of Wan, loaded at first use; all but the text encoder stay loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from ex4d_backbone_wan.compute import memory
from ex4d_backbone_wan.compute.engine import CheckpointSource, Engine, EngineConfig, TransformerSource
from ex4d_backbone_wan.compute.memory import in_pieces
from ex4d_backbone_wan.conditioning import image_feature, image_latents
from ex4d_backbone_wan.denoiser import Denoiser
from ex4d_backbone_wan.options import GenerationOptions
from ex4d_backbone_wan.parallel.denoiser import ParallelDenoiser
from ex4d_backbone_wan.text_embeddings import embeddings, keep_embeddings
from ex4d_backbone_wan.weights.checkpoint import Part, WanCheckpoint, locate
from ex4d_backbone_wan.weights.loading import (
    TextEncoder,
    load_camera_encoder,
    load_image_encoder,
    load_text_encoder,
    load_vae,
    stored_bytes,
    takes_images,
)
from ex4d_core.errors import InvalidInput
from ex4d_core.progress import Progress, silent
from ex4d_core.user_cache import user_cache


class Networks:
    """All networks of a generation.

    Args:
        options: of the backbone.
        device: of all networks, or the first of several.
        source: makes the source of the transformer from the files and the device that merges LoRAs.
    """

    def __init__(
        self,
        options: GenerationOptions,
        *,
        device: torch.device,
        source: Callable[[WanCheckpoint, torch.device], TransformerSource] = CheckpointSource,
    ) -> None:
        self.device = device
        self._options = options
        self._is_started = False
        self._texts: dict[str, Tensor] = {}
        self._source = source
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
    def checkpoint(self) -> WanCheckpoint:
        """The files of the weights."""
        return locate(self._options)

    @cached_property
    def vae(self) -> Any:
        """The AutoencoderKLWan; on the device in `coding`."""
        return load_vae(self.checkpoint, device=self.device, dtype=self.dtype)

    @cached_property
    def image_encoder(self) -> Any:
        """The vision encoder of CLIP, or None for a text-to-video Wan; move its model with `using`."""
        if not takes_images(self.checkpoint):
            return None
        return load_image_encoder(self.checkpoint, device=self.device, dtype=self.dtype)

    @cached_property
    def camera_encoder(self) -> Any:
        """The camera encoder of the adapter, or None."""
        return load_camera_encoder(self.checkpoint, device=self.device, dtype=self.dtype)

    @cached_property
    def denoiser(self) -> Denoiser:
        """The transformer and the sampler, on one or several GPUs."""
        # Each of several GPUs merges in its own process.
        merge_on = self.device if self._options.gpus == 1 else torch.device(self.device.type)
        config = EngineConfig.of(self._options, self._source(self.checkpoint, merge_on), dtype=self.dtype)
        guided = self._options.sampling_guidance > 1
        return make_denoiser(config, device=self.device, gpus=self._options.gpus, guided=guided)

    def start(self) -> None:
        """Start the processes of several GPUs, which load their transformers, if they leave memory for other stages."""
        if isinstance(self.denoiser, ParallelDenoiser) and self._has_room("transformer", ahead=True):
            self.denoiser.start()
            self._is_started = True

    def prepare(self, prompts: Sequence[str], *, ahead: bool) -> None:
        """Embed prompts and load all networks that stay loaded.

        Args:
            prompts: for `texts`, which then takes their embeddings from the cache.
            ahead: while another stage computes: load only networks that leave it enough memory.
        """
        with torch.no_grad():
            if self._has_room("text_encoder", ahead=ahead):
                self._texts = dict(zip(prompts, self.texts(prompts), strict=True))
            for part in ("vae", "image_encoder", "camera_encoder"):
                if self._has_room(part, ahead=ahead):
                    getattr(self, part)
            if self._is_started or self._has_room("transformer", ahead=ahead):
                self.denoiser.load()

    def _has_room(self, part: str, *, ahead: bool) -> bool:
        return not ahead or memory.has_room(stored_bytes(self.checkpoint, part, self.dtype), self._home)

    @property
    def _home(self) -> torch.device:
        """Device of the weights while they are loaded."""
        return torch.device("cpu") if self._is_short else self.device

    @contextmanager
    def using(self, network: nn.Module) -> Iterator[None]:
        """Move a network to the device for a block; with a memory budget, move it back afterwards."""
        try:
            network.to(self.device)
            yield
        finally:
            if self._is_short:
                network.to("cpu")

    @contextmanager
    def coding(self, shape: Sequence[int]) -> Iterator[Any]:
        """Yield the VAE on the device for a block, in tiles if whole frames do not fit into the memory budget.

        Args:
            shape: of the video, [T, 3, H, W].
        """
        with self.using(self.vae):
            if self._in_tiles(shape):
                self.vae.enable_tiling()
            else:
                self.vae.disable_tiling()
            yield self.vae

    def _in_tiles(self, shape: Sequence[int]) -> bool:
        tiling, limit = self._options.tiling, self._options.memory
        if tiling != "auto" or limit == "none":
            return tiling == "on"
        return memory.vae_bytes(shape, self.dtype.itemsize) > memory.budget(limit, self.device, held=0)

    @property
    def _is_short(self) -> bool:
        return self._options.memory != "none"

    @property
    def latent_channels(self) -> int:
        """Channels of the VAE's latents."""
        return int(self.vae.config.z_dim)

    @property
    def latent_scale(self) -> int:
        """Side of a latent pixel in pixels."""
        return int(self.vae.config.scale_factor_spatial)

    def first_picture(self, picture: Tensor, num_frames: int) -> tuple[Tensor | None, Tensor | None]:
        """Return the conditioning on the first frame: CLIP's feature and `y`; None for a text-to-video Wan.

        The last result is cached, because all camera paths of a clip start with the same frame.

        Args:
            picture: float32 [3, H, W] in [0, 1].
            num_frames: of the video, 4k+1.
        """
        if self.image_encoder is None:
            return None, None
        kept = self._first_picture
        if kept is None or kept[1] != num_frames or not torch.equal(kept[0], picture):
            with self.using(self.image_encoder.model):
                feature = image_feature(self.image_encoder, picture)
            with self.coding((num_frames, *picture.shape)) as vae:
                y = image_latents(vae, picture, num_frames)
            self._first_picture = kept = (picture, num_frames, (feature, y))
        return kept[2]

    def texts(self, prompts: Sequence[str], *, folder: Path | None = None) -> list[Tensor]:
        """Return the embedding of each prompt [1, 512, C], on the CPU; the text encoder is unloaded afterwards.

        Args:
            prompts: as users wrote them.
            folder: cache of embeddings, by default that of the user.
        """
        if folder is None and all(prompt in self._texts for prompt in prompts):
            return [self._texts[prompt] for prompt in prompts]
        if folder is None and (cache := user_cache()) is not None:
            folder = cache / "prompts"
        try:
            return embeddings(prompts, folder=folder, **self._text_settings())
        finally:
            self._forget_text_encoder()

    def keep_texts(self, prompts: Iterable[str], *, folder: Path, progress: Progress = silent) -> None:
        """Compute the embeddings of many prompts into a cache folder for `texts`.

        Args:
            prompts: as users wrote them.
            folder: cache of embeddings.
            progress: reports computed embeddings.

        Raises:
            OutputFailed: the folder cannot be written.
        """
        try:
            keep_embeddings(prompts, folder=folder, progress=progress, **self._text_settings())
        finally:
            self._forget_text_encoder()

    def _text_settings(self) -> dict[str, Any]:
        return {
            "load": self._load_text_encoder,
            "device": self.device,
            "identity": self._text_identity(),
            "dtype": self.dtype,
        }

    def _forget_text_encoder(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _load_text_encoder(self) -> TextEncoder:
        if not self._is_short:
            return load_text_encoder(self.checkpoint, device=self.device, dtype=self.dtype)
        encoder = load_text_encoder(self.checkpoint, device=torch.device("cpu"), dtype=self.dtype)
        in_pieces(encoder.model, device=self.device)
        return encoder

    def _text_identity(self) -> str:
        # Embeddings do not depend on the adapter, LoRAs and other networks.
        files: dict[Part, tuple[Path, ...]] = {"text_encoder": self.checkpoint.files["text_encoder"]}
        return attrs.evolve(self.checkpoint, files=files, adapter=None, distilled=None, loras=()).fingerprint()


def make_denoiser(config: EngineConfig, *, device: torch.device, gpus: int, guided: bool) -> Denoiser:
    """Create the denoiser for one device or several GPUs.

    Args:
        config: of the transformer, which is loaded at first use.
        device: of a single process.
        gpus: number of GPUs.
        guided: whether guidance is used, so that its halves can be split.

    Raises:
        InvalidInput: the machine has fewer GPUs, or the work cannot be split evenly.
    """
    if gpus == 1:
        return Engine(config, device=device)
    if device.index:
        raise InvalidInput(
            f"--gpus {gpus} uses the first {gpus} GPUs, not {device}; omit --device, and select GPUs with "
            "CUDA_VISIBLE_DEVICES=2,3 before the command"
        )
    return ParallelDenoiser(config, gpus=gpus, guided=guided, kind=device.type)
