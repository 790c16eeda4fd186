"""Options of simulated masks; imports nothing heavy."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs

from ex4d_core.errors import InvalidConfig
from ex4d_core.options import option

Kind = Literal["mixed", "rendering", "tracking"]
"""Source of the hidden regions, see `simulate`."""


def _range(low: float, high: float) -> Any:
    """Return a validator of an ascending pair within low..high."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: tuple[float, float]) -> None:
        if not (len(value) == 2 and low <= value[0] <= value[1] <= high):
            raise InvalidConfig(
                f"{attribute.name} must be two ascending numbers between {low:g} and {high:g}, not {value}"
            )

    return check


def _between(low: float, high: float) -> Any:
    return attrs.validators.and_(attrs.validators.ge(low), attrs.validators.le(high))


@attrs.frozen
class MaskOptions:
    """Options of simulated masks."""

    kind: Kind = option(
        "mixed",
        help="Kind of mask: rendering, tracking, or mixed, which draws one of the two for each seed.",
        validator=attrs.validators.in_(get_args(Kind)),
    )
    rendering_share: float = option(
        0.5, help="Probability of a rendering mask for kind mixed, 0 to 1.", validator=_between(0, 1)
    )
    angles: tuple[float, float] = option(
        (20.0, 90.0),
        help="Range of the angle by which the camera orbits to the left or to the right.",
        unit="degrees",
        validator=_range(0, 180),
    )
    pitch: tuple[float, float] = option(
        (-10.0, 25.0),
        help="Range of the angle by which the camera rises.",
        unit="degrees",
        validator=_range(-89, 89),
    )
    return_probability: float = option(
        0.2,
        former="returning",
        help="Probability of a path that goes to one side, to the other side and back, 0 to 1.",
        validator=_between(0, 1),
    )
    anchors: int = option(
        2, help="Tracking: number of frames in which regions are chosen.", validator=attrs.validators.ge(1)
    )
    blob_area: tuple[float, float] = option(
        (0.0, 0.1),
        former="blobs",
        help="Tracking: range of the fraction of the frame that random regions hide at the end.",
        validator=_range(0, 1),
    )
    blob_area_without_depth: tuple[float, float] = option(
        (0.5, 0.95),
        former="alone",
        help="Tracking: the same for clips without depth, whose masks have random regions only.",
        validator=_range(0, 1),
    )
    point_spacing: int = option(
        4,
        help="Tracking: distance between tracked points.",
        unit="pixels",
        validator=_between(1, 64),
    )
    cotracker: str = option(
        "", help="Tracking: weights of CoTracker3, to track with it; empty for optical flow.", path=True
    )
    erosion: tuple[int, int] | None = option(
        (2, 8),
        help="Range of the side of the erosion square of the visible region, drawn for each frame; None disables it.",
        unit="pixels",
        validator=attrs.validators.optional(_range(1, 64)),
    )
