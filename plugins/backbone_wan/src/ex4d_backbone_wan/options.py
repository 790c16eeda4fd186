"""Options of Wan, such as `--set backbone.steps=30`."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

import attrs

from ex4d_backbone_wan.weights import AdapterOptions, DistilledLora, ModelOptions
from ex4d_core.bounds import parse_size
from ex4d_core.options import option
from ex4d_core.provider import Seconds

DType = Literal["auto", "float32", "bfloat16"]
Speed = Literal["exact", "fast", "turbo"]
Switch = Literal["auto", "on", "off"]
Fit = Literal["aspect", "stretch"]

TURBO_LORA = "lightx2v/Wan2.1-Distill-Loras/wan2.1_i2v_lora_rank64_lightx2v_4step.safetensors"
"""LoRA of LightX2V that distills Wan2.1 image-to-video to 4 steps without guidance, Apache-2.0."""

PROMPT = "A sharp, natural video of one real scene, filmed by a camera that moves smoothly; steady light, fine detail."
"""Default prompt."""

NEGATIVE_PROMPT = (
    "still image, frozen motion, flicker, blur, smeared detail, washed-out colors, overexposed, gray, low quality, "
    "compression artifacts, text, subtitles, watermark, painting, cartoon, deformed bodies, extra limbs, bad hands, "
    "warped geometry, holes, torn edges"
)
"""Default negative prompt."""

HOPPER = (9, 0)
"""CUDA capability of the GPUs that were measured."""

SECONDS_PER_PASS: dict[str, float] = {"exact": 0.0158, "fast": 0.0115, "turbo": 0.026}
"""Time of a forward pass on an H200 for each frame of 512x512, with the share of the rest of the call."""

STRIDE = 4
"""Frames per latent frame, except the first, which encodes one frame: Wan requires 4k+1 frames."""

LARGEST = 8192
"""Largest accepted side in pixels, to catch typing errors."""

PATCH = 16
"""Width and height are multiples of this: 8 of the VAE times 2 of the transformer's patches."""


@attrs.frozen
class GenerationOptions(ModelOptions):
    """Options of all backbones on the engine of Wan."""

    steps: int = option(25, help="Denoising steps.", validator=attrs.validators.ge(1))
    guidance: float = option(
        5.0,
        help="Scale of classifier-free guidance; 1 disables it and halves the time.",
        validator=attrs.validators.ge(1),
    )
    shift: float = option(
        5.0,
        help="Shift of the noise schedule: larger values spend more steps on noisier latents; 1 spaces them evenly.",
        validator=attrs.validators.gt(0),
    )
    prompt: str = option(PROMPT, help="Prompt of runs without --prompt.")
    negative_prompt: str = option(NEGATIVE_PROMPT, help="Negative prompt for classifier-free guidance.")
    num_frames: int = option(
        49,
        help="Frames denoised together, 4k+1; longer clips are split into windows.",
        unit="frames",
        validator=lambda instance, attribute, value: _frames(attribute.name, value, least=STRIDE + 1),
    )
    overlap: int = option(
        9,
        help="Frames shared with the previous window, 4k+1.",
        unit="frames",
        validator=lambda instance, attribute, value: _overlap(instance, value),
    )
    size: str = option(
        "512x512",
        help="Working size WIDTHxHEIGHT, multiples of 16; same uses the size of the clip, rounded.",
        unit="pixels",
        validator=lambda instance, attribute, value: _size(value),
    )
    fit: Fit = option(
        "aspect",
        help="How to fit a clip with a different aspect ratio: aspect keeps it and the number of pixels of size, "
        "stretch distorts it, as EX-4D does.",
        validator=attrs.validators.in_(get_args(Fit)),
    )
    erode: str = option(
        "2..8",
        help="Side of the square that erodes the visible region, drawn from the seed per frame; 0 disables it.",
        unit="pixels",
        validator=lambda instance, attribute, value: _erode(value),
    )
    dtype: DType = option(
        "auto",
        help="Precision of the networks; auto is float32 on the CPU and bfloat16 elsewhere.",
        validator=attrs.validators.in_(get_args(DType)),
    )
    speed: Speed = option(
        "exact",
        help="fast uses 8-bit products and skips steps that change little; turbo takes 4 steps without guidance with a "
        "distilled LoRA, for drafts. The video differs.",
        validator=attrs.validators.in_(get_args(Speed)),
    )
    turbo_steps: int = option(
        4, help="With speed=turbo: denoising steps, in place of steps and guidance.", at_least=4, at_most=8
    )
    turbo_lora: str = option(
        TURBO_LORA,
        help="With speed=turbo: the distilled LoRA, a file or OWNER/NAME/FILE on the hub.",
        path=True,
        affects_output=False,  # the fingerprint does
    )
    turbo_revision: str = option(
        "main", help="Commit, tag or branch of turbo_lora on the hub; ignored for a file.", affects_output=False
    )
    turbo_weight: float = option(1.0, help="With speed=turbo: scale of the distilled LoRA.", above=0, at_most=2)
    step_cache: float = option(
        0.1,
        help="With speed=fast: change of the first block's output below which a step is skipped; 0 disables skipping.",
        unit="ratio",
        validator=attrs.validators.ge(0),
    )
    batch_guidance: Switch = option(
        "auto",
        help="Whether to compute both halves of the guidance as one batch; auto uses the faster way.",
        affects_output=False,
        validator=attrs.validators.in_(get_args(Switch)),
    )
    memory: str = option(
        "none",
        help="Budget of GPU memory; further weights stay in main memory. auto uses the free memory, none has no limit.",
        unit="GiB",
        affects_output=False,
        validator=lambda instance, attribute, value: _memory(value),
    )
    tiling: Switch = option(
        "auto",
        help="Whether the VAE works in tiles, in less memory and more time; auto: if whole frames exceed `memory`.",
        affects_output=False,
        validator=attrs.validators.in_(get_args(Switch)),
    )
    gpus: int = option(
        1, help="Number of GPUs, with one process each.", affects_output=False, validator=attrs.validators.ge(1)
    )
    preview_every: int = option(
        0,
        help="Publish a fast preview after every this many steps; 0 disables it.",
        unit="steps",
        affects_output=False,
        validator=attrs.validators.ge(0),
    )

    def typical_seconds(self, device_type: str) -> Seconds | None:
        """Return the time at the size of the training on an H100 or H200; None elsewhere."""
        import torch

        if (device_type, self.size) != ("cuda", "512x512") or torch.cuda.get_device_capability() != HOPPER:
            return None
        passes = 1 if self.sampling_guidance == 1 else 2
        return Seconds(per_frame=self.sampling_steps * passes * SECONDS_PER_PASS[self.speed] / self.gpus)

    @property
    def sampling_steps(self) -> int:
        """Denoising steps."""
        return self.turbo_steps if self.speed == "turbo" else self.steps

    @property
    def sampling_guidance(self) -> float:
        """Scale of classifier-free guidance; 1 disables it."""
        return 1.0 if self.speed == "turbo" else self.guidance

    @property
    def sampling_shift(self) -> float:
        """Shift of the noise schedule."""
        return self.shift

    @property
    def distilled(self) -> DistilledLora | None:
        """See `ModelOptions`."""
        if self.speed != "turbo":
            return None
        return DistilledLora(self.turbo_lora, revision=self.turbo_revision, weight=self.turbo_weight)

    @property
    def working_size(self) -> tuple[int, int] | None:
        """Working width and height, or None for those of the clip."""
        return _size(self.size)

    @property
    def eroded(self) -> tuple[int, int] | None:
        """Smallest and largest side of the eroding square in pixels, inclusive, or None for no erosion."""
        return _erode(self.erode)


@attrs.frozen
class WanOptions(AdapterOptions, GenerationOptions):
    """Options of `wan`; the defaults are those of the training of the EX-4D adapter."""


def _frames(name: str, value: int, *, least: int) -> None:
    if value < least or value % STRIDE != 1:
        raise ValueError(f"{name} must be 4k+1 and at least {least}, such as 9 or 49, not {value}")


def _overlap(options: Any, value: int) -> None:
    _frames("overlap", value, least=1)
    if value >= options.num_frames:
        raise ValueError(f"overlap must be less than num_frames ({options.num_frames}), not {value}")


def _size(text: str) -> tuple[int, int] | None:
    if text == "same":
        return None
    size = parse_size(text)
    if size is None or any(side < PATCH or side % PATCH or side > LARGEST for side in size):
        raise ValueError(
            f"size must be same, or WIDTHxHEIGHT in multiples of {PATCH} up to {LARGEST} such as 832x480, not {text!r}"
        )
    return size


def _erode(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text)
    if match is None or (match[2] is not None and not 1 <= int(match[1]) <= int(match[2])):
        raise ValueError(f"erode must be a range such as 2..8, one number of pixels, or 0, not {text!r}")
    least, most = int(match[1]), int(match[2] or match[1])
    if most > LARGEST:
        raise ValueError(f"erode must be {LARGEST} pixels at most, not {text!r}")
    return (least, most) if most > 0 else None


def _memory(text: str) -> None:
    if text in ("none", "auto"):
        return
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) <= 0:
        raise ValueError(f"memory must be none, auto or a number of GiB such as 24, not {text!r}")
