"""What users can say of Wan: `--set backbone.steps=30`."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

import attrs

from ex4d_backbone_wan.weights import WanWeightsOptions
from ex4d_core.bounds import parse_size
from ex4d_core.options import option

DType = Literal["auto", "float32", "bfloat16"]
Speed = Literal["exact", "fast"]
Switch = Literal["auto", "on", "off"]
Fit = Literal["aspect", "stretch"]

PROMPT = "A sharp, natural video of one real scene, filmed by a camera that moves smoothly; steady light, fine detail."
"""Said of a video that nobody described."""

NEGATIVE_PROMPT = (
    "still image, frozen motion, flicker, blur, smeared detail, washed-out colors, overexposed, gray, low quality, "
    "compression artifacts, text, subtitles, watermark, painting, cartoon, deformed bodies, extra limbs, bad hands, "
    "warped geometry, holes, torn edges"
)
"""What the video is led away from."""

STRIDE = 4
"""Frames to a latent frame, but for the first, which has a frame of its own: Wan takes 4k+1 frames."""

LARGEST = 8192
"""Pixels along a side; more is a slip of the finger."""

PATCH = 16
"""Sides that the transformer works on are multiples of this: 8 from the VAE times 2 from its patches."""


@attrs.frozen
class WanOptions(WanWeightsOptions):
    """Options of `wan`; numbers that the EX-4D adapter was trained with are the defaults."""

    steps: int = option(25, help="Denoising steps.", validator=attrs.validators.ge(1))
    guidance: float = option(
        5.0,
        help="Scale of classifier-free guidance; 1 is none and takes half the time.",
        validator=attrs.validators.ge(1),
    )
    shift: float = option(
        5.0,
        help="Where the steps lie: more spends them on noisier latents; 1 spreads them evenly.",
        validator=attrs.validators.gt(0),
    )
    prompt: str = option(PROMPT, help="Describes the video where the run gives no prompt.")
    negative_prompt: str = option(NEGATIVE_PROMPT, help="What the video is led away from.")
    num_frames: int = option(
        49,
        help="Frames that are denoised together, 4k+1; longer clips go through several windows.",
        unit="frames",
        validator=lambda instance, attribute, value: _frames(attribute.name, value, least=STRIDE + 1),
    )
    overlap: int = option(
        9,
        help="Frames that a window takes over from the one before, 4k+1.",
        unit="frames",
        validator=lambda instance, attribute, value: _overlap(instance, value),
    )
    size: str = option(
        "512x512",
        help="WIDTHxHEIGHT that is worked at, multiples of 16; same keeps the clip's own, rounded to them.",
        unit="pixels",
        validator=lambda instance, attribute, value: _size(value),
    )
    fit: Fit = option(
        "aspect",
        help="How a clip of another shape is worked at: aspect keeps its shape and the number of pixels of size, "
        "stretch squashes it, as EX-4D does.",
        validator=attrs.validators.in_(get_args(Fit)),
    )
    erode: str = option(
        "2..8",
        help="By how much the known part is shrunk, a square drawn from the seed for each frame; 0 leaves it.",
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
        help="fast takes 8-bit products and skips work that changes little between steps; the video differs.",
        validator=attrs.validators.in_(get_args(Speed)),
    )
    step_cache: float = option(
        0.1,
        help="In speed=fast, how much a step's first block may change before the rest is worked out anew; 0 always.",
        unit="ratio",
        validator=attrs.validators.ge(0),
    )
    batch_guidance: Switch = option(
        "auto",
        help="Whether both halves of the guidance go through the transformer at once; auto does what is faster.",
        affects_output=False,
        validator=attrs.validators.in_(get_args(Switch)),
    )
    memory: str = option(
        "none",
        help="Most that the GPU may hold; what is more waits in main memory. auto asks the card, none keeps all on it.",
        unit="GiB",
        affects_output=False,
        validator=lambda instance, attribute, value: _memory(value),
    )
    tiling: Switch = option(
        "auto",
        help="Whether the VAE decodes in tiles, which takes less memory; auto does so where memory is short.",
        affects_output=False,
        validator=attrs.validators.in_(get_args(Switch)),
    )
    gpus: int = option(
        1, help="GPUs that share the work, one process each.", affects_output=False, validator=attrs.validators.ge(1)
    )
    preview_every: int = option(
        0,
        help="Show a cheap picture of what is coming after every so many steps; 0 never.",
        unit="steps",
        affects_output=False,
        validator=attrs.validators.ge(0),
    )

    @property
    def working_size(self) -> tuple[int, int] | None:
        """Width and height that are worked at, or None for the clip's own."""
        return _size(self.size)

    @property
    def eroded(self) -> tuple[int, int] | None:
        """Smallest and largest side of the eroding square in pixels, both included, or None for no erosion."""
        return _erode(self.erode)


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
