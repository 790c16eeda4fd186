"""Options of DepthCrafter, such as `--set depth.steps=8`."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs

from ex4d_core.geometry.inverse_depth_options import far_option, near_option, percentile_option
from ex4d_core.options import option
from ex4d_depth_depthcrafter.weights import DepthCrafterWeightsOptions

DType = Literal["auto", "float32", "float16", "bfloat16"]
Offload = Literal["none", "model", "sequential"]

STEP = 64
"""Width and height are multiples of this: 8 of the VAE times 8 of the UNet's levels."""


def _below_window(instance: Any, attribute: attrs.Attribute[Any], value: int) -> None:
    if not 0 <= value < instance.window:
        raise ValueError(f"overlap must be at least 0 and less than window ({instance.window}), not {value}")


def _in_steps(instance: Any, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < STEP or value % STEP:
        raise ValueError(f"max_side must be a multiple of {STEP} above 0, not {value}")


def _at_least(least: float) -> Any:
    return attrs.validators.ge(least)


@attrs.frozen
class DepthCrafterOptions(DepthCrafterWeightsOptions):
    """Options of `depthcrafter`; the defaults are those of EX-4D, except `far`."""

    steps: int = option(5, help="Denoising steps.", validator=_at_least(1))
    guidance: float = option(
        1.0,
        help="Scale of classifier-free guidance; 1 disables it, more doubles the time.",
        validator=_at_least(1),
    )
    window: int = option(110, help="Frames denoised together.", unit="frames", validator=_at_least(1))
    overlap: int = option(25, help="Frames shared with the previous window.", unit="frames", validator=_below_window)
    seed: int = option(42, help="Seed of the noise.", validator=_at_least(0))
    max_side: int = option(
        1024,
        help="Longest side of the working size, a multiple of 64; larger clips are downscaled, their depth upscaled.",
        unit="pixels",
        validator=_in_steps,
    )
    dtype: DType = option(
        "auto",
        help="Precision; auto is float32 on the CPU and float16 elsewhere.",
        validator=attrs.validators.in_(get_args(DType)),
    )
    offload: Offload = option(
        "none",
        help="Weights kept in main memory until used: none, model (each network) or sequential (each layer; slow).",
        affects_output=False,
        validator=attrs.validators.in_(get_args(Offload)),
    )
    decode_chunk: int = option(
        8,
        help="Frames decoded at once; fewer need less memory and flicker slightly more.",
        unit="frames",
        validator=_at_least(1),
    )
    near: float = near_option()
    far: float = far_option()
    percentile: float = percentile_option()
