"""The engine: a denoiser that loads, accelerates and places the transformer."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, Unpack

import attrs
import torch
from torch import Tensor

from ex4d_backbone_wan.compute import acceleration, memory
from ex4d_backbone_wan.compute.acceleration import Precision
from ex4d_backbone_wan.compute.memory import Placement
from ex4d_backbone_wan.compute.step_cache import StepCache
from ex4d_backbone_wan.denoiser import Conditioning, LocalDenoiser, SamplingOptions
from ex4d_core.hub.untrusted_weights import one_at_a_time

if TYPE_CHECKING:
    from ex4d_backbone_wan.options import GenerationOptions, Switch
    from ex4d_backbone_wan.weights.checkpoint import WanCheckpoint

CPU = torch.device("cpu")


class TransformerSource(Protocol):
    """Loads a transformer; can be pickled for another process."""

    def load(self, *, device: torch.device, dtype: torch.dtype) -> Any:
        """Return a WanTransformer3DModel on a device, LoRAs merged."""
        ...


@attrs.frozen
class CheckpointSource:
    """Loads weights on this machine."""

    checkpoint: WanCheckpoint
    merge_on: torch.device
    """Device that merges LoRAs, also into weights in main memory."""

    def load(self, *, device: torch.device, dtype: torch.dtype) -> Any:
        """See `TransformerSource`."""
        from ex4d_backbone_wan.weights.loading import load_transformer

        return load_transformer(self.checkpoint, device=device, dtype=dtype, merge_on=self.merge_on, store=True)


@attrs.frozen(kw_only=True)
class EngineConfig:
    """How to load and run a transformer; can be pickled for another process."""

    source: TransformerSource
    dtype: torch.dtype
    speed: Precision = "exact"
    step_cache: float = 0.0
    memory: str = "none"
    batch_guidance: Switch = "auto"

    @classmethod
    def of(cls, options: GenerationOptions, source: TransformerSource, *, dtype: torch.dtype) -> EngineConfig:
        """Return the configuration for a transformer."""
        return cls(
            source=source,
            dtype=dtype,
            speed="fast" if options.speed == "fast" else "exact",  # turbo has exact products and no step cache
            step_cache=options.step_cache,
            memory=options.memory,
            batch_guidance=options.batch_guidance,
        )


class Engine:
    """A denoiser on one device; it loads its transformer at first use and offloads weights depending on the clip."""

    def __init__(self, config: EngineConfig, *, device: torch.device) -> None:
        self._config = config
        self._device = device
        self._transformer: Any = None
        self._cache = StepCache()
        self._place: Placement | None = None

    def denoise(self, conditioning: Conditioning, latents: Tensor, **options: Unpack[SamplingOptions]) -> Tensor:
        """See `Denoiser`.

        Raises:
            InvalidInput: see there, or the memory is too small for this clip.
        """
        try:
            self.load()
            self._settle(latents, guided=options["guidance"] != 1)
            return self._local().denoise(conditioning, latents, **options)
        except torch.OutOfMemoryError as error:
            if self._config.memory != "none":
                raise
            self._transformer = None
            raise memory.too_small(self._device) from error

    def load(self) -> None:
        """Load the transformer, directly to the device unless there is a memory budget."""
        if self._transformer is not None:
            return
        config = self._config
        at_once = config.memory == "none"
        self._transformer = config.source.load(device=self._device if at_once else CPU, dtype=config.dtype)
        with one_at_a_time():
            self._cache = acceleration.prepare(self._transformer, speed=config.speed, device=self._device)
        self._place = Placement.RESIDENT if at_once else None

    def _settle(self, latents: Tensor, *, guided: bool) -> None:
        """Placement the transformer for latents [1, 16, t, h, w]; larger clips leave less memory for weights."""
        if self._config.memory == "none" or self._place is Placement.STREAMED:
            return
        needs = memory.needs(self._transformer, tokens=self._tokens(latents), guided=guided)
        held = 0 if self._place is None else needs.weights(self._place)
        placement = memory.choose(needs, memory.budget(self._config.memory, self._device, held=held))
        if self._place is None or placement.saves_more_than(self._place):
            memory.place(self._transformer, placement, device=self._device)
            self._place = placement

    def _tokens(self, latents: Tensor) -> int:
        patch: tuple[int, ...] = self._transformer.config.patch_size
        return math.prod(latents.shape[2:]) // math.prod(patch)

    def _local(self) -> LocalDenoiser:
        switch = self._config.batch_guidance
        batched = self._place is Placement.STREAMED if switch == "auto" else switch == "on"
        return LocalDenoiser(
            self._transformer,
            device=self._device,
            dtype=self._config.dtype,
            batch_guidance=batched,
            cache=self._cache,
            around=self._skipping,
        )

    def _skipping(self) -> AbstractContextManager[None]:
        if self._config.speed == "exact" or not self._config.step_cache:
            return nullcontext()
        return acceleration.skipping_steps(self._transformer, threshold=self._config.step_cache)
