"""What users can say of DepthCrafter: `--set depth.steps=8`."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs

from ex4d_core.geometry.inverse_depth_options import far_option, near_option, percentile_option
from ex4d_core.options import option
from ex4d_depth_depthcrafter.weights import DepthCrafterWeightsOptions

DType = Literal["auto", "float32", "float16", "bfloat16"]
Offload = Literal["none", "model", "sequential"]

STEP = 64
"""Sides that the UNet works on are multiples of this: 8 from the VAE times 8 from the UNet's own levels."""


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
    """Options of `depthcrafter`; the defaults are those that EX-4D runs it with, but for `far`."""

    steps: int = option(5, help="Denoising steps.", validator=_at_least(1))
    guidance: float = option(
        1.0, help="Scale of classifier-free guidance; 1 is none, more takes twice the time.", validator=_at_least(1)
    )
    window: int = option(110, help="Frames that are denoised together.", unit="frames", validator=_at_least(1))
    overlap: int = option(
        25, help="Frames that a window shares with the one before.", unit="frames", validator=_below_window
    )
    seed: int = option(42, help="Fixes the noise.", validator=_at_least(0))
    max_side: int = option(
        1024,
        help="Longest side that is worked at, a multiple of 64; clips that are larger are shrunk, and the depth grown.",
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
        help="What waits in main memory for its turn: none; model, each network; sequential, each layer.",
        affects_output=False,
        validator=attrs.validators.in_(get_args(Offload)),
    )
    decode_chunk: int = option(
        8,
        help="Frames that the VAE takes at once; fewer take less memory and are a little less steady.",
        unit="frames",
        validator=_at_least(1),
    )
    near: float = near_option()
    far: float = far_option()
    percentile: float = percentile_option()
