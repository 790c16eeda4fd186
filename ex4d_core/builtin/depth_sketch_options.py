"""Options of the `sketch` depth estimator; imports nothing heavy."""

from __future__ import annotations

from typing import Any

import attrs

from ex4d_core.geometry.inverse_depth_options import near_option
from ex4d_core.options import option


def _above_near(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > instance.near:
        raise ValueError(f"far must be more than near ({instance.near:g}), not {value:g}")


@attrs.frozen
class SketchOptions:
    """Options of the `sketch` depth estimator."""

    near: float = near_option()
    far: float = option(
        20.0,
        help=(
            "Depth of the farthest point; about 8 times `near`, because a deeper scene would stretch the errors of a "
            "sketch, and a flatter one would look like a card."
        ),
        unit="scene units",
        validator=_above_near,
    )
