"""What users can say of DepthCrafter: `--set depth.steps=8`."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs

from ex4d_core.geometry.inverse_depth_options import far_option, near_option, percentile_option
from ex4d_core.options import option

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
class DepthCrafterOptions:
    """Options of `depthcrafter`; the defaults are those that EX-4D runs it with, but for `far`."""

    unet: str = option(
        "tencent/DepthCrafter",
        help="DepthCrafter's UNet: a name on the Hugging Face hub, or a folder with config.json and weights.",
        affects_output=False,  # what it stands for does: the fingerprint
    )
    unet_revision: str = option(
        "c1a22b53f8abf80cd0b025adf29e637773229eca",
        help="Commit, tag or branch of the UNet on the hub; a folder has none.",
        affects_output=False,
    )
    base: str = option(
        "stabilityai/stable-video-diffusion-img2vid",
        help="Stable Video Diffusion, for all but the UNet: a name on the hub, or a folder in that layout.",
        affects_output=False,
    )
    base_revision: str = option(
        "9cf024d5bfa8f56622af86c884f26a52f6676f2e",
        help="Commit, tag or branch of Stable Video Diffusion on the hub; a folder has none.",
        affects_output=False,
    )
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

    def fingerprint(self) -> str:
        """Return what tells these weights from others: the commits on the hub, or hashes of the folders' files.

        Raises:
            InputNotFound: the weights are not on this machine.
        """
        from ex4d_depth_depthcrafter.weights import locate

        return locate(self).fingerprint()
