"""What users can say of each camera move: `--cam NAME:key=value,key=value`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs

from ex4d_core.errors import InvalidConfig
from ex4d_core.options import option

Check = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def between(low: float, high: float, unit: str = "", *, open_ends: bool = False) -> Check:
    """Return a validator that refuses numbers outside of low..high, NaN too."""
    words = f"{'more than' if open_ends else 'between'} {low:g} and {'less than ' if open_ends else ''}{high:g} {unit}"

    def check(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
        if not (low < value < high if open_ends else low <= value <= high):
            raise InvalidConfig(f"{attribute.name} must be {words.rstrip()}, not {value:g}")

    return check


def one_of(*words: str) -> Check:
    """Return a validator that refuses all but these words."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in words:
            raise InvalidConfig(f"{attribute.name} must be {' or '.join(words)}, not {value!r}")

    return check


def degrees(default: float, low: float, high: float, *, help: str) -> Any:
    """Declare an option that is an angle in low..high degrees."""
    return option(default, help=help, unit="degrees", validator=between(low, high, "degrees"))


@attrs.frozen
class MoveOptions:
    """What all moves have in common."""

    look_at: Literal["subject", "nearest"] = option(
        "subject",
        help="What to turn around: 'subject', what is in the middle of frame 0, or 'nearest', EX-4D's rule, "
        "0.15 behind the nearest point of frame 0.",
        validator=one_of("subject", "nearest"),
    )
    pace: Literal["angle", "frames"] = option(
        "angle",
        help="'angle': an angle is reached whatever the number of frames; 'frames': it is multiplied by "
        "max(49/n, n/49) for n frames, as in EX-4D. Moves without an angle ignore it.",
        validator=one_of("angle", "frames"),
    )


@attrs.frozen
class ArcOptions(MoveOptions):
    """Options of `arc`."""

    angle: float = degrees(60, -90, 90, help="Where the arc ends; positive is to the right.")


@attrs.frozen
class LoopOptions(MoveOptions):
    """Options of `loop`."""


@attrs.frozen
class SweepOptions(MoveOptions):
    """Options of `sweep`."""

    start: float = degrees(-90, -90, 90, help="Where the first frame is on the arc; positive is to the right.")
    end: float = degrees(90, -90, 90, help="Where the last frame is on the arc; positive is to the right.")


@attrs.frozen
class OrbitOptions(MoveOptions):
    """Options of `orbit`."""

    yaw: float = degrees(0, -180, 180, help="How far to go around; positive is to the right.")
    pitch: float = degrees(0, -89, 89, help="How far to go up; negative is down.")


@attrs.frozen
class ZoomInOptions(MoveOptions):
    """Options of `zoom_in`."""

    by: float = option(0.5, help="Share of the distance to the subject to go.", validator=between(0, 1, open_ends=True))


@attrs.frozen
class ZoomOutOptions(MoveOptions):
    """Options of `zoom_out`."""

    by: float = option(
        0.5, help="How far to go back, as a share of the distance to the subject.", validator=between(0, 10)
    )


@attrs.frozen
class StaticOptions(MoveOptions):
    """Options of `static`."""
