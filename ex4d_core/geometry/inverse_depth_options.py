"""Options for converting inverse depth to depth; imports nothing heavy."""

from __future__ import annotations

from typing import Any

import attrs

from ex4d_core.options import option

NEAREST = 10000 / 3900
"""Depth of the nearest point: 2.564, as EX-4D was trained with."""


def near_option() -> Any:
    """Declare `near`."""
    return option(
        NEAREST,
        help="Depth that the nearest point of inverse depth gets.",
        unit="scene units",
        validator=attrs.validators.gt(0),
    )


def far_option() -> Any:
    """Declare `far`, for a class that has `near` before it."""
    return option(
        100.0,
        help=(
            "Depth that inverse depth is cut off at, where it would run to infinity; 100 is where the mesh's border "
            "ring lies, so nothing is behind it."
        ),
        unit="scene units",
        validator=_above_near,
    )


def percentile_option() -> Any:
    """Declare `percentile`."""
    return option(
        0.0,
        help=(
            "Share of all values of the clip that may lie beyond the nearest and the farthest point of inverse depth, "
            "each; 0 is EX-4D's rule, the smallest and the largest value, which one bad pixel can spoil."
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
