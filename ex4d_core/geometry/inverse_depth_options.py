"""Options for converting inverse depth to depth; imports nothing heavy."""

from __future__ import annotations

from typing import Any

import attrs

from ex4d_core.options import option

NEAREST = 10000 / 3900
"""Depth of the nearest point: 2.564, as in the training of EX-4D."""


def near_option() -> Any:
    """Declare `near`."""
    return option(
        NEAREST,
        help="Depth of the nearest point of inverse depth.",
        unit="scene units",
        validator=attrs.validators.gt(0),
    )


def far_option() -> Any:
    """Declare `far`, in a class that declares `near` before it."""
    return option(
        100.0,
        help=(
            "Largest depth, at which inverse depth near 0 is clipped; 100 is the depth of the border of the mesh, "
            "so that nothing is behind it."
        ),
        unit="scene units",
        validator=_above_near,
    )


def percentile_option() -> Any:
    """Declare `percentile`."""
    return option(
        0.0,
        help=(
            "Percentage of the values of the clip that is clipped at either end of inverse depth; 0, as in EX-4D, "
            "uses the smallest and largest value and is sensitive to single wrong pixels."
        ),
        unit="percent",
        validator=_below_half,
    )


def _above_near(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > instance.near:
        raise ValueError(f"far must be more than near ({instance.near:g}), not {value:g}")


def _below_half(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 <= value < 50:
        raise ValueError(f"percentile must be at least 0 and less than 50, not {value:g}")
