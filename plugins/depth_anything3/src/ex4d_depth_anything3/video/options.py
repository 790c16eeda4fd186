"""Options of `vda`, such as `--set depth.model=vda-metric-small`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import attrs

from ex4d_core.geometry.inverse_depth_options import far_option, near_option, percentile_option
from ex4d_core.options import option
from ex4d_depth_anything3.options import DType, terms_of
from ex4d_depth_anything3.video.models import MODELS
from ex4d_depth_anything3.video.weights import VdaWeightsOptions

Kind = Literal["auto", "metric", "inverse"]


@attrs.frozen
class VdaOptions(VdaWeightsOptions):
    """Options of `vda`."""

    kind: Kind = option(
        "auto",
        help=(
            "Kind of the model's output: metric (meters), inverse (inverse depth up to scale and shift), or auto: "
            "metric if the name of its file begins with metric."
        ),
        validator=attrs.validators.in_(get_args(Kind)),
    )
    short_side: int = option(
        518,
        help="Shortest side of the model input, rounded to a multiple of 14; less for clips wider than 16:9.",
        unit="pixels",
        at_least=28,
    )
    dtype: DType = option(
        "auto",
        help="Precision; auto is float16 on a GPU, else float32.",
        validator=attrs.validators.in_(get_args(DType)),
    )
    near: float = near_option()
    far: float = far_option()
    percentile: float = percentile_option()

    def is_metric(self, file: Path) -> bool:
        """Return whether the model in a file predicts meters."""
        return file.name.startswith("metric") if self.kind == "auto" else self.kind == "metric"

    def usage_terms(self) -> str:
        """Return the terms of the license of the weights that restrict the use of results, or ''."""
        return terms_of(self.model, MODELS)
