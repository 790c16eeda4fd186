"""Options of the depth models of transformers, such as `--set depth.model=depth-pro`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import attrs

from ex4d_core.geometry.inverse_depth_options import far_option, near_option, percentile_option
from ex4d_core.options import option
from ex4d_core.provider import Seconds
from ex4d_depth_transformers.model_aliases import DEFAULT, FREE, MODELS
from ex4d_depth_transformers.weights import TransformersWeightsOptions

DType = Literal["auto", "float32", "float16", "bfloat16"]
Kind = Literal["auto", "metric", "relative", "inverse"]


@attrs.frozen
class TransformersOptions(TransformersWeightsOptions):
    """Options of `transformers`."""

    kind: Kind = option(
        "auto",
        help=(
            "Kind of the model's output: metric (meters), relative (depth up to scale), inverse (inverse depth up to "
            "scale and shift), or auto, from its configuration."
        ),
        validator=attrs.validators.in_(get_args(Kind)),
    )
    batch: int = option(
        4,
        help="Frames per batch.",
        unit="frames",
        affects_output=False,
        validator=attrs.validators.ge(1),
    )
    dtype: DType = option(
        "auto",
        help="Precision; auto is float16 on a GPU for models that are known to support it, else float32.",
        validator=attrs.validators.in_(get_args(DType)),
    )
    max_side: int | None = option(
        None,
        help=("Longest side of the model input; by default the size of its training. Ignored by Depth Pro."),
        unit="pixels",
        validator=attrs.validators.optional(attrs.validators.ge(32)),
    )
    steady: bool = option(
        True,
        help="Align the scale (and shift) of frames on their unchanged regions, so that depth does not flicker.",
    )
    unchanged: float = option(
        8.0,
        help="Largest change of color at which a pixel counts as unchanged.",
        unit="levels of 255",
        validator=attrs.validators.gt(0),
    )
    cut: float = option(
        0.5,
        help=(
            "Similarity to the previous frame, 0 to 1, below which a new shot begins, which is aligned and scaled "
            "separately; 0 disables shot detection."
        ),
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(1)),
    )
    near: float = near_option()
    far: float = far_option()
    percentile: float = percentile_option()

    def typical_seconds(self, device_type: str) -> Seconds | None:
        """Return the time of the default model, which has a fixed input size, on two CPU cores; None for others."""
        is_measured = device_type == "cpu" and self.model == DEFAULT and self.max_side is None
        return Seconds(per_frame=0.35) if is_measured else None

    def usage_terms(self) -> str:
        """Return the terms of the model's license that restrict the use of results, or ''."""
        known = MODELS.get(self.model)
        if known is not None:
            return "" if known.license in FREE else f"read the license of {self.model} first: {known.license}"
        is_folder = Path(self.model).expanduser().is_dir()
        return "" if is_folder else f"read the license of {self.model} first"
