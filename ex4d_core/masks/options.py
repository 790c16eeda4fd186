"""Options of simulated masks; imports nothing heavy."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs

from ex4d_core.errors import InvalidConfig
from ex4d_core.options import option

Kind = Literal["mixed", "rendering", "tracking"]
"""What decides where a mask hides: see `simulate`."""


def _range(low: float, high: float) -> Any:
    """Return a validator of a pair that runs upwards within low..high."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: tuple[float, float]) -> None:
        if not (len(value) == 2 and low <= value[0] <= value[1] <= high):
            raise InvalidConfig(f"{attribute.name} must be two rising numbers from {low:g} to {high:g}, not {value}")

    return check


def _between(low: float, high: float) -> Any:
    return attrs.validators.and_(attrs.validators.ge(low), attrs.validators.le(high))


@attrs.frozen
class MaskOptions:
    """How masks for training are made up."""

    kind: Kind = option(
        "mixed",
        help="rendering, tracking, or one of the two by the seed",
        validator=attrs.validators.in_(get_args(Kind)),
    )
    rendering_share: float = option(
        0.5, help="How often 'mixed' takes a rendering mask, 0 to 1.", validator=_between(0, 1)
    )
    angles: tuple[float, float] = option(
        (20.0, 90.0),
        help="Least and greatest angle by which the camera turns to the left or to the right.",
        unit="degrees",
        validator=_range(0, 180),
    )
    pitch: tuple[float, float] = option(
        (-10.0, 25.0),
        help="Least and greatest angle by which it goes up.",
        unit="degrees",
        validator=_range(-89, 89),
    )
    returning: float = option(
        0.2, help="How often it goes there, to the other side and back, 0 to 1.", validator=_between(0, 1)
    )
    anchors: int = option(
        2, help="Tracking: number of frames in which regions are chosen.", validator=attrs.validators.ge(1)
    )
    blobs: tuple[float, float] = option(
        (0.0, 0.1),
        help="Tracking: least and greatest share of the picture that random regions hide in the end.",
        validator=_range(0, 1),
    )
    alone: tuple[float, float] = option(
        (0.5, 0.95), help="The same of a clip without depth, where they are all there is.", validator=_range(0, 1)
    )
    point_spacing: int = option(
        4,
        help="Tracking: distance between the points that are followed.",
        unit="pixels",
        validator=_between(1, 64),
    )
    cotracker: str = option(
        "", help="Tracking: file of CoTracker3's weights, which then follows points; optical flow where there is none."
    )
    erosion: tuple[int, int] | None = option(
        (2, 8),
        help="Smallest and largest square by which what is known shrinks, drawn for each frame; None leaves it whole.",
        unit="pixels",
        validator=attrs.validators.optional(_range(1, 64)),
    )
