"""Options of `da3`, such as `--set depth.model=da3-base`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, get_args

import attrs

from ex4d_core.errors import InvalidConfig
from ex4d_core.options import option
from ex4d_depth_anything3.models import FREE, MODELS
from ex4d_depth_anything3.weights import Da3WeightsOptions, models

Lens = Literal["auto", "fixed", "changing"]
DType = Literal["auto", "float32", "float16", "bfloat16"]


@attrs.frozen
class Da3Options(Da3WeightsOptions):
    """Options of `da3`."""

    max_side: int = option(
        504, help="Longest side of the model input, rounded to a multiple of 14.", unit="pixels", at_least=28
    )
    chunk: int = option(64, help="Frames that the model sees at once; memory grows with it.", unit="frames", at_least=2)
    overlap: int = option(
        16, help="Frames that two chunks of a longer clip share, on which they are joined.", unit="frames", at_least=1
    )
    lens: Lens = option(
        "auto",
        help="One lens for the clip (the median), one for each frame, or auto: one for the clip unless it zooms.",
        validator=attrs.validators.in_(get_args(Lens)),
    )
    least_confidence: float = option(
        0.5,
        help=(
            "Poses of frames whose confidence is below this fraction of the median of the clip move towards the poses "
            "between trusted frames; 0 uses all as predicted."
        ),
        at_least=0,
        at_most=1,
    )
    dtype: DType = option(
        "auto",
        help="Precision of the transformer; auto is bfloat16 on a GPU that supports it, else float32.",
        validator=attrs.validators.in_(get_args(DType)),
    )

    def __attrs_post_init__(self) -> None:
        if self.overlap >= self.chunk:
            raise InvalidConfig(
                f"overlap must be less than chunk, {self.chunk} frames, not {self.overlap}", option="overlap"
            )

    def usage_terms(self) -> str:
        """Return the terms of the license of the weights that restrict the use of results, or ''."""
        return next(filter(None, (terms_of(model, MODELS) for model in models(self))), "")


class _Licensed(Protocol):
    @property
    def repo(self) -> str: ...

    @property
    def license(self) -> str: ...


def terms_of(model: str, known: Mapping[str, _Licensed]) -> str:
    """Return the terms of a model, by short name, name on the hub or folder, that restrict the use of results, or ''.

    Args:
        model: as the user names it.
        known: models by short name.
    """
    listed = known.get(model) or next((each for each in known.values() if each.repo == model), None)
    if listed is not None:
        return "" if listed.license in FREE else f"read the license of {model} first: {listed.license}"
    return "" if Path(model).expanduser().is_dir() else f"read the license of {model} first"
