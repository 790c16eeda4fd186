"""What users can say of each camera move: `--cam NAME:key=value,key=value`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import attrs

from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.look_at import check_look_at
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


def amount(default: float, low: float = -10, high: float = 10, *, help: str) -> Any:
    """Declare an option that counts in distances to the subject."""
    return option(default, help=help, unit="distances to the subject", validator=between(low, high))


def moments(help: str, unit: str = "degrees") -> Any:
    """Declare an option with a number for each keyframe."""
    return option((), help=help, unit=unit, validator=_finite)


def _finite(instance: object, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
    if wrong := [number for number in value if not math.isfinite(number)]:
        raise InvalidConfig(f"{attribute.name} must hold numbers that are finite, not {wrong[0]:g}")


def _look_at(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    check_look_at(value)


@attrs.frozen
class MoveOptions:
    """What all moves have in common."""

    look_at: str = option(
        "auto",
        help="What to turn around: 'auto', the middle of the foreground; a pixel of the clip such as '320,180'; a "
        "distance ahead such as 2.5; or 'nearest', EX-4D's rule, 0.15 behind the nearest point of frame 0.",
        validator=_look_at,
    )
    pace: Literal["angle", "frames"] = option(
        "angle",
        help="'angle': an angle is reached whatever the number of frames; 'frames': it is multiplied by "
        "max(49/n, n/49) for n frames, as in EX-4D. Moves other than arc, loop, sweep and orbit ignore it.",
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

    start: float = degrees(-90, -90, 90, help="Where the first frame is on the arc, also 'from'; positive is right.")
    end: float = degrees(90, -90, 90, help="Where the last frame is on the arc, also 'to'; positive is right.")


@attrs.frozen
class OrbitOptions(MoveOptions):
    """Options of `orbit`."""

    yaw: float = degrees(0, -360, 360, help="How far to go around; positive is to the right.")
    pitch: float = degrees(0, -89, 89, help="How far to go up; negative is down.")


@attrs.frozen
class SpiralOptions(MoveOptions):
    """Options of `spiral`."""

    turns: float = option(1.0, help="How often to go around, clockwise.", validator=between(-10, 10))
    radius: float = amount(0.2, 0, 2, help="How far outwards it ends.")
    by: float = amount(0.0, -10, 0.9, help="How far towards the subject it goes meanwhile; negative is back.")


@attrs.frozen
class ZoomInOptions(MoveOptions):
    """Options of `zoom_in`."""

    by: float = option(0.5, help="Share of the distance to the subject to go.", validator=between(0, 1, open_ends=True))


@attrs.frozen
class ZoomOutOptions(MoveOptions):
    """Options of `zoom_out`."""

    by: float = amount(0.5, 0, help="How far to go back.")


@attrs.frozen
class DollyOptions(MoveOptions):
    """Options of `dolly`."""

    by: float = amount(0.3, help="How far to go forward; negative is back.")


@attrs.frozen
class TruckOptions(MoveOptions):
    """Options of `truck`."""

    by: float = amount(0.3, help="How far to go to the right; negative is left.")
    aim: bool = option(False, help="Keep the subject where it is in the picture.")


@attrs.frozen
class PedestalOptions(MoveOptions):
    """Options of `pedestal`."""

    by: float = amount(0.2, help="How far to go up; negative is down.")
    aim: bool = option(False, help="Keep the subject where it is in the picture.")


@attrs.frozen
class PanOptions(MoveOptions):
    """Options of `pan`."""

    by: float = degrees(15, -180, 180, help="How far to turn; positive is to the right.")


@attrs.frozen
class TiltOptions(MoveOptions):
    """Options of `tilt`."""

    by: float = degrees(10, -89, 89, help="How far to turn; positive is up.")


@attrs.frozen
class RollOptions(MoveOptions):
    """Options of `roll`."""

    by: float = degrees(10, -360, 360, help="How far to turn; positive is clockwise.")


@attrs.frozen
class DollyZoomOptions(MoveOptions):
    """Options of `dolly_zoom`."""

    by: float = amount(0.4, -10, 0.9, help="How far to go towards the subject; negative is back.")


@attrs.frozen
class StaticOptions(MoveOptions):
    """Options of `static`."""


@attrs.frozen
class HandheldOptions(MoveOptions):
    """Options of `handheld`."""

    seed: int = option(0, help="Another number shakes in another way.", validator=attrs.validators.ge(0))
    amount: float = option(
        1.0, help="How much; 1 is about half a degree and 1 % of the distance.", validator=between(0, 10)
    )
    swings: float = option(6.0, help="How often over the whole move.", validator=between(0, 100))


@attrs.frozen
class KeyframesOptions(MoveOptions):
    """Options of `keyframes`; lists such as `yaw=[0,40,-20]`, all of one length."""

    at: tuple[float, ...] = option(
        (), help="Share of the move at which each is reached, rising from 0 to 1; evenly spread if left out."
    )
    yaw: tuple[float, ...] = moments("Around the subject; positive is to the right.")
    pitch: tuple[float, ...] = moments("Up around the subject.")
    zoom_in: tuple[float, ...] = moments("Towards the subject; negative is back.", "distances to the subject")
    truck: tuple[float, ...] = moments("To the right.", "distances to the subject")
    pedestal: tuple[float, ...] = moments("Up.", "distances to the subject")
    pan: tuple[float, ...] = moments("To the right on the spot.")
    tilt: tuple[float, ...] = moments("Up on the spot.")
    roll: tuple[float, ...] = moments("Clockwise.")

    def __attrs_post_init__(self) -> None:
        own = [field.name for field in attrs.fields(KeyframesOptions) if field.name not in ("look_at", "pace")]
        given = {name: len(getattr(self, name)) for name in own if getattr(self, name)}
        if len(set(given.values())) > 1:
            said = ", ".join(f"{name} has {count}" for name, count in given.items())
            raise InvalidConfig(f"keyframes need as many numbers in each list, but {said}")
        if any(not one < other for one, other in zip(self.at, self.at[1:], strict=False)) or (
            self.at and (self.at[0] != 0 or self.at[-1] != 1)
        ):
            raise InvalidConfig("at must rise from 0 to 1, one share for each keyframe, as in at=[0,0.3,1]")


def first_frame(help: str) -> Any:
    """Declare an option that is a frame of the clip."""
    return option(None, help=help, validator=attrs.validators.optional(attrs.validators.ge(0)))


@attrs.frozen
class FreezeOptions:
    """Options of `freeze`."""

    frame: int | None = first_frame("Which frame is shown, counted from 0; the one that is reached if left out.")


@attrs.frozen
class SlowOptions:
    """Options of `slow`."""

    by: float = option(2.0, help="How many times slower; below 1 is faster.", validator=between(0.01, 100))
    frame: int | None = first_frame("Where to begin, counted from 0; at the frame that is reached if left out.")


@attrs.frozen
class ReverseOptions:
    """Options of `reverse`."""

    by: float = option(1.0, help="How many times slower; below 1 is faster.", validator=between(0.01, 100))
    frame: int | None = first_frame(
        "Where to begin, counted from 0; if left out the last frame where it comes first, else the one that is reached."
    )
