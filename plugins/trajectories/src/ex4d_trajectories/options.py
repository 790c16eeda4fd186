"""What users can say of each camera move: `--cam NAME:key=value,key=value`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs

from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.subject_spec import check_look_at
from ex4d_core.options import option

Check = Callable[[Any, "attrs.Attribute[Any]", Any], None]

DISTANCES = "distances to the subject"


def one_of(*words: str) -> Check:
    """Return a validator that refuses all but these words."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in words:
            raise InvalidConfig(f"{attribute.name} must be {' or '.join(words)}, not {shown(value)}")

    return check


def degrees(default: float, low: float, high: float, *, help: str) -> Any:
    """Declare an option that is an angle in low..high degrees."""
    return option(default, help=help, unit="degrees", at_least=low, at_most=high)


def amount(default: float, low: float = -10, high: float = 10, *, help: str) -> Any:
    """Declare an option that counts in distances to the subject."""
    return option(default, help=help, unit=DISTANCES, at_least=low, at_most=high)


def angles(help: str) -> Any:
    """Declare an option with an angle for each keyframe."""
    return option((), help=help, unit="degrees", at_least=-36000, at_most=36000)


def amounts(help: str) -> Any:
    """Declare an option with a number of distances to the subject for each keyframe."""
    return option((), help=help, unit=DISTANCES, at_least=-1000, at_most=1000)


def _look_at(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    check_look_at(value)


@attrs.frozen
class MoveOptions:
    """What all moves have in common."""

    look_at: str = option(
        "auto",
        pixel=True,
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

    turns: float = option(1.0, help="How often to go around, clockwise.", at_least=-10, at_most=10)
    radius: float = amount(0.2, 0, 2, help="How far outwards it ends.")
    by: float = amount(0.0, -10, 0.9, help="How far towards the subject it goes meanwhile; negative is back.")


@attrs.frozen
class ZoomInOptions(MoveOptions):
    """Options of `zoom_in`."""

    by: float = option(0.5, help="Share of the distance to the subject to go.", above=0, below=1)


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

    seed: int = option(0, help="Another number shakes in another way.", at_least=0)
    amount: float = option(
        1.0, help="How much; 1 is about half a degree and 1 % of the distance.", at_least=0, at_most=10
    )
    swings: float = option(6.0, help="How often over the whole move.", at_least=0, at_most=100)


@attrs.frozen
class KeyframesOptions(MoveOptions):
    """Options of `keyframes`; lists such as `yaw=[0,40,-20]`, all of one length."""

    at: tuple[float, ...] = option(
        (), help="Share of the move at which each is reached, rising from 0 to 1; evenly spread if left out."
    )
    yaw: tuple[float, ...] = angles("Around the subject; positive is to the right.")
    pitch: tuple[float, ...] = angles("Up around the subject.")
    zoom_in: tuple[float, ...] = amounts("Towards the subject; negative is back.")
    truck: tuple[float, ...] = amounts("To the right.")
    pedestal: tuple[float, ...] = amounts("Up.")
    pan: tuple[float, ...] = angles("To the right on the spot.")
    tilt: tuple[float, ...] = angles("Up on the spot.")
    roll: tuple[float, ...] = angles("Clockwise.")

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
    return option(None, help=help, at_least=0)


@attrs.frozen
class FreezeOptions:
    """Options of `freeze`."""

    frame: int | None = first_frame("Which frame is shown, counted from 0; the one that is reached if left out.")


@attrs.frozen
class SlowOptions:
    """Options of `slow`."""

    by: float = option(2.0, help="How many times slower; below 1 is faster.", at_least=0.01, at_most=100)
    frame: int | None = first_frame("Where to begin, counted from 0; at the frame that is reached if left out.")


@attrs.frozen
class ReverseOptions:
    """Options of `reverse`."""

    by: float = option(1.0, help="How many times slower; below 1 is faster.", at_least=0.01, at_most=100)
    frame: int | None = first_frame(
        "Where to begin, counted from 0; if left out the last frame where it comes first, else the one that is reached."
    )
