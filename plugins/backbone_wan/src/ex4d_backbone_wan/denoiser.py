"""Denoise latents.

`integrate` is the sampler, `Schedule` has its noise levels, and `LocalDenoiser` runs a transformer on one device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NotRequired, Protocol, TypedDict

import attrs
import torch
from torch import Tensor

from ex4d_backbone_wan.compute.step_cache import StepCache
from ex4d_backbone_wan.weights.adapter import camera_tokens
from ex4d_core.errors import InvalidInput

TIME_SCALE = 1000.0
"""Timesteps of the transformer range from 0 (clean) to 1000 (noise)."""

AfterStep = Callable[[int, Tensor], None]
"""Called as `after_step(done, latents)` with the number of finished steps and their latents."""


@attrs.frozen(eq=False, kw_only=True)
class Conditioning:
    """Conditioning of the transformer, on any device. Models with more inputs subclass it and extend `applied`."""

    text: Tensor
    """[1, 512, C], embedding of the prompt, 0 after its last token."""
    negative_text: Tensor
    """[1, 512, C], embedding of the negative prompt."""
    image: Tensor | None = None
    """[1, 257, C2], feature of the first frame; None for a text-to-video Wan."""
    y: Tensor | None = None
    """[1, 20, t, h, w], mask and latents of the given frames; None for a text-to-video Wan."""
    camera: Tensor | None = None
    """[1, N, D], the encoded guidance, one token for each of the transformer; None without adapter."""

    def to(self, device: torch.device, dtype: torch.dtype) -> Conditioning:
        """Move all tensors to a device and dtype."""
        moved: dict[str, Any] = {
            field.name: None if (value := getattr(self, field.name)) is None else value.to(device, dtype)
            for field in attrs.fields(type(self))
        }
        return attrs.evolve(self, **moved)

    def applied(self, transformer: Any) -> AbstractContextManager[None]:
        """Return a context in which the transformer also computes with inputs that are not arguments of a call.

        Args:
            transformer: on the device of this conditioning.
        """
        return camera_tokens(transformer, self.camera)


@attrs.frozen
class Schedule:
    """Noise levels of a flow-matching Euler sampler: `s = linspace(1, 0, steps + 1)`, then `f s / (1 + (f - 1) s)`.

    The shift f moves steps to noisier latents (Esser et al. 2024, arXiv 2403.03206, eq. 23).
    """

    steps: int = attrs.field(validator=attrs.validators.ge(1))
    shift: float = attrs.field(validator=attrs.validators.gt(0))

    @property
    def sigmas(self) -> Tensor:
        """float32 [steps + 1] on the CPU: noise level before each step, from 1, and 0 after the last."""
        even = torch.linspace(1, 0, self.steps + 1)
        return self.shift * even / (1 + (self.shift - 1) * even)

    @property
    def timesteps(self) -> Tensor:
        """float32 [steps] on the CPU: timesteps of the transformer."""
        return TIME_SCALE * self.sigmas[:-1]


class SamplingOptions(TypedDict):
    """Keyword arguments of `Denoiser.denoise`."""

    schedule: Schedule
    guidance: float
    first_step: NotRequired[int]
    anchor: NotRequired[Tensor | None]
    after_step: AfterStep


class Denoiser(Protocol):
    """Generates latents from noise."""

    def load(self) -> None:
        """Load the transformer; otherwise `denoise` does it."""
        ...

    def denoise(
        self,
        conditioning: Conditioning,
        latents: Tensor,
        *,
        schedule: Schedule,
        guidance: float,
        first_step: int = 0,
        anchor: Tensor | None = None,
        after_step: AfterStep,
    ) -> Tensor:
        """Return clean latents, float32 [1, 16, t, h, w].

        Args:
            conditioning: on any device.
            latents: float32 [1, 16, t, h, w], noise of level `schedule.sigmas[first_step]`.
            schedule: the steps.
            guidance: scale of classifier-free guidance; 1 disables it.
            first_step: number of steps already done.
            anchor: clean latents [1, 16, a, h, w] of the first latent frames, if they are given.
            after_step: called after each step.

        Raises:
            InvalidInput: the latents are not finite; the message has the step.
        """
        ...


def integrate(
    velocity: Callable[[Tensor, int], Tensor],
    latents: Tensor,
    *,
    schedule: Schedule,
    first_step: int = 0,
    anchor: Tensor | None = None,
    after_step: AfterStep,
) -> Tensor:
    """Integrate a velocity field from noise to clean latents by Euler's method.

    Frames with an anchor move on a straight line from their noise to the anchor: at each step they are the anchor with
    noise of the current level, which conditions the other frames.

    Args:
        velocity: returns noise minus clean latents, [1, 16, t, h, w], for latents and a step number.
        latents: float32 [1, 16, t, h, w], noise of level `schedule.sigmas[first_step]`.
        schedule: the steps.
        first_step: number of steps already done.
        anchor: clean latents [1, 16, a, h, w] of the first frames, or None.
        after_step: called after each step.

    Raises:
        InvalidInput: the latents are not finite; the message has the step.
    """
    sigmas = schedule.sigmas.tolist()
    known = 0 if anchor is None else anchor.shape[2]
    for step in range(first_step, schedule.steps):
        now, after = sigmas[step], sigmas[step + 1]
        direction = velocity(latents, step).to(latents)
        if anchor is not None:
            direction = torch.cat([(latents[:, :, :known] - anchor.to(latents)) / now, direction[:, :, known:]], dim=2)
        latents = latents + (after - now) * direction
        _check_finite(latents, step + 1, schedule.steps)
        after_step(step + 1, latents)
    return latents


@attrs.frozen(eq=False)
class TransformerCall:
    """The inputs of one call of the transformer that are the same in every step."""

    prompt: str
    """"positive", "negative" or "both" in a batch; caches use it as a key."""
    text: Tensor
    image: Tensor | None


class LocalDenoiser:
    """Denoise with a transformer on one device.

    Args:
        transformer: diffusers' Wan transformer, ready to compute.
        device: of the transformer.
        dtype: of its inputs.
        batch_guidance: whether both halves of the guidance are one batch: each weight is read once, for twice the
            memory of activations.
        cache: of the blocks, from `acceleration.prepare`; None for a transformer that is not prepared.
        around: returns a context manager for the whole run, such as `acceleration.skipping_steps`.
    """

    def __init__(
        self,
        transformer: Any,
        *,
        device: torch.device,
        dtype: torch.dtype,
        batch_guidance: bool = False,
        cache: StepCache | None = None,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._transformer = transformer
        self._device = device
        self._dtype = dtype
        self._batch_guidance = batch_guidance
        self._cache = StepCache() if cache is None else cache
        self._around = around

    def denoise(
        self,
        conditioning: Conditioning,
        latents: Tensor,
        *,
        schedule: Schedule,
        guidance: float,
        first_step: int = 0,
        anchor: Tensor | None = None,
        after_step: AfterStep,
    ) -> Tensor:
        """See `Denoiser`."""
        local = conditioning.to(self._device, self._dtype)
        calls = self._calls(local, guidance)
        timesteps = schedule.timesteps.to(self._device)
        batch = len(calls[0].text)

        def velocity(noisy: Tensor, step: int) -> Tensor:
            inputs = noisy.to(self._dtype) if local.y is None else torch.cat([noisy.to(self._dtype), local.y], dim=1)
            inputs, timestep = inputs.expand(batch, -1, -1, -1, -1), timesteps[step].expand(batch)
            with self._cache.step(calls=len(calls)):
                return guided([self._predict(call, inputs, timestep) for call in calls], guidance)

        with torch.no_grad(), self._around(), self._cache.run(), local.applied(self._transformer):
            return integrate(
                velocity,
                latents.to(self._device, torch.float32),
                schedule=schedule,
                first_step=first_step,
                anchor=anchor,
                after_step=after_step,
            )

    def _calls(self, conditioning: Conditioning, guidance: float) -> list[TransformerCall]:
        text, negative_text, image = conditioning.text, conditioning.negative_text, conditioning.image
        if guidance == 1:
            return [TransformerCall("positive", text, image)]
        if not self._batch_guidance:
            return [TransformerCall("positive", text, image), TransformerCall("negative", negative_text, image)]
        image = None if image is None else image.expand(2, -1, -1)
        return [TransformerCall("both", torch.cat([text, negative_text]), image)]

    def _predict(self, call: TransformerCall, inputs: Tensor, timestep: Tensor) -> Tensor:
        with self._transformer.cache_context(call.prompt), self._cache.prompt(call.prompt):
            (predicted,) = self._transformer(
                hidden_states=inputs,
                timestep=timestep,
                encoder_hidden_states=call.text,
                encoder_hidden_states_image=call.image,
                return_dict=False,
            )
        velocity: Tensor = predicted.float()
        return velocity


def guided(predicted: Sequence[Tensor], guidance: float) -> Tensor:
    """Return `negative + guidance (positive - negative)` (Ho and Salimans 2022, arXiv 2207.12598).

    Args:
        predicted: velocities for the positive and, unless guidance is 1, the negative prompt, in one batch or two.
        guidance: the scale.
    """
    if guidance == 1:
        return predicted[0]
    positive, negative = torch.cat(list(predicted)).chunk(2)
    return negative + guidance * (positive - negative)


def _check_finite(latents: Tensor, step: int, steps: int) -> None:
    if not torch.isfinite(latents).all():
        raise InvalidInput(
            f"the latents are not finite after step {step} of {steps}; check the weights and the LoRAs, "
            "or try --set backbone.dtype=float32 and --set backbone.speed=exact"
        )
