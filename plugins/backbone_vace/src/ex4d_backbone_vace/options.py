"""Options of VACE, such as `--set backbone.steps=30`."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import attrs

from ex4d_backbone_wan.options import GenerationOptions
from ex4d_backbone_wan.weights import DistilledLora, Kind
from ex4d_core.errors import InvalidConfig
from ex4d_core.options import option

Reference = Literal["none", "first"]

SMALL = "Wan-AI/Wan2.1-VACE-1.3B-diffusers"
LARGE = "Wan-AI/Wan2.1-VACE-14B-diffusers"

TURBO_LORA = "lightx2v/Wan2.1-Distill-Loras/wan2.1_t2v_14b_lora_rank64_lightx2v_4step.safetensors"
"""LoRA of LightX2V that distills Wan2.1 text-to-video 14B to 4 steps without guidance, Apache-2.0."""


@attrs.frozen
class VaceOptions(GenerationOptions):
    """Options of `vace`."""

    kind: ClassVar[Kind] = "vace"

    model: str = option(
        SMALL,
        help="VACE: OWNER/NAME on the Hugging Face hub, a folder in the layout of diffusers or the original, or the "
        f"transformer as one file (.safetensors in bf16 or fp8, .gguf). The 14B is {LARGE}.",
        affects_output=False,  # the fingerprint does
        path=True,
    )
    parts: str = option(
        SMALL,
        help="If model is one file: the other networks, OWNER/NAME on the hub or a folder.",
        affects_output=False,
        path=True,
    )
    steps: int = option(30, help="Denoising steps.", at_least=1)
    shift: float = option(
        8.0,
        help="Shift of the noise schedule: larger values spend more steps on noisier latents; 1 spaces them evenly.",
        above=0,
    )
    erode: str = option(
        "11",
        help="Side of the square that erodes the visible region; a range is drawn from the seed per frame; 0 is none.",
        unit="pixels",
        validator=attrs.fields(GenerationOptions).erode.validator,
    )
    conditioning_scale: str = option(
        "1",
        help="Scale of the guidance: one number, or one for each layer that it controls, separated by commas.",
        validator=lambda instance, attribute, value: _scales(value),
    )
    reference: Reference = option(
        "none",
        help="first shows the model the first frame of the source clip as a reference for the content.",
        validator=attrs.validators.in_(get_args(Reference)),
    )
    composite: bool = option(
        True, help="Whether visible pixels of the guidance replace generated ones, which have passed the VAE."
    )
    feather: int = option(
        8, help="With composite: width of the transition to generated pixels.", unit="pixels", at_least=0, at_most=512
    )
    turbo_lora: str = option(
        TURBO_LORA,
        help="With speed=turbo: the distilled LoRA, a file or OWNER/NAME/FILE on the hub. The default is for the 14B.",
        path=True,
        affects_output=False,  # the fingerprint does
    )
    turbo_shift: float = option(
        5.0, help="With speed=turbo: shift of the noise schedule, as the LoRA was trained.", above=0
    )

    @property
    def sampling_shift(self) -> float:
        """Shift of the noise schedule."""
        return self.turbo_shift if self.speed == "turbo" else self.shift

    @property
    def scales(self) -> tuple[float, ...]:
        """Scale of the guidance, one number or one for each layer that it controls."""
        return _scales(self.conditioning_scale)

    @property
    def distilled(self) -> DistilledLora | None:
        """See `ModelOptions`.

        Raises:
            InvalidConfig: the LoRA is for the 14B and the model is the 1.3B.
        """
        if self.speed == "turbo" and self.turbo_lora == TURBO_LORA and "1.3b" in self.model.lower():
            raise InvalidConfig(
                "the LoRA of --speed turbo is for VACE 14B and the model is the 1.3B; set backbone.turbo_lora to one "
                "for the 1.3B, such as CausVid's (check its license) with backbone.turbo_steps=8 and "
                f"backbone.turbo_shift=2, or backbone.model={LARGE}"
            )
        return super().distilled


def _scales(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(0 <= number <= 10 for number in numbers):
        raise ValueError(f"conditioning_scale must be numbers from 0 to 10, separated by commas, not {text!r}")
    return numbers
