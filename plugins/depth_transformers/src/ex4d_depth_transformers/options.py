"""What users can say of the depth models of transformers: `--set depth.model=depth-pro`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import attrs

from ex4d_core.geometry.inverse_depth_options import far_option, near_option, percentile_option
from ex4d_core.options import option
from ex4d_depth_transformers.model_aliases import FREE, MODELS
from ex4d_depth_transformers.weights import TransformersWeightsOptions

DType = Literal["auto", "float32", "float16", "bfloat16"]
Kind = Literal["auto", "metric", "relative", "inverse"]


@attrs.frozen
class TransformersOptions(TransformersWeightsOptions):
    """Options of `transformers`."""

    kind: Kind = option(
        "auto",
        help=(
            "What the model's numbers mean: metric (meters), relative (depth right up to scale), inverse (near is "
            "large, known up to scale and shift), or auto, as its configuration says."
        ),
        validator=attrs.validators.in_(get_args(Kind)),
    )
    batch: int = option(
        4,
        help="Frames that the model takes at once.",
        unit="frames",
        affects_output=False,
        validator=attrs.validators.ge(1),
    )
    dtype: DType = option(
        "auto",
        help="Precision; auto is float16 on a GPU where the model is known to bear it, else float32.",
        validator=attrs.validators.in_(get_args(DType)),
    )
    max_side: int | None = option(
        None,
        help=(
            "Longest side that the model sees; automatic: as the model was made for. Depth Pro has one size of its own."
        ),
        unit="pixels",
        validator=attrs.validators.optional(attrs.validators.ge(32)),
    )
    steady: bool = option(
        True,
        help="Bring frames to one scale (and shift), by what does not change between them, so that depth holds still.",
    )
    unchanged: float = option(
        8.0,
        help="How far the color of a place may move for it to count as unchanged.",
        unit="levels of 255",
        validator=attrs.validators.gt(0),
    )
    cut: float = option(
        0.5,
        help=(
            "A frame less like the one before than this, 0 to 1, begins a new shot, which is steadied and scaled on "
            "its own; 0 sees no cuts."
        ),
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(1)),
    )
    near: float = near_option()
    far: float = far_option()
    percentile: float = percentile_option()

    def usage_terms(self) -> str:
        """Return terms of the model's license that restrict what the result may be used for, or ''."""
        known = MODELS.get(self.model)
        if known is not None:
            return "" if known.license in FREE else f"read the license of {self.model} first: {known.license}"
        is_folder = Path(self.model).expanduser().is_dir()
        return "" if is_folder else f"read the license of {self.model} first"
