"""What users can say of each camera move: `--cam NAME:key=value,key=value`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import attrs

from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.subject_spec import check_look_at
from ex4d_core.options import option

Check = Callable[[Any, "attrs.Attribute[Any]", Any], None]

Options = TypeVar("Options", bound=type)

DISTANCES = "distances to the subject"

MOVES: dict[str, type] = {}
"""Options class of each move by the name of the move, in the order of declaration."""


def named(name: str) -> Callable[[Options], Options]:
    """Register the options class of a move. The first line of its docstring is the summary of the move."""

    def register(options: Options) -> Options:
        MOVES[name] = options
        return options

    return register


def summary(options: type) -> str:
    """Return the summary of a move."""
    sentence = (options.__doc__ or "").splitlines()[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:]


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


@named("arc")
@attrs.frozen
class ArcOptions(MoveOptions):
    """Move along the arc of EX-4D, to the right, or left for a negative angle."""

    angle: float = degrees(60, -90, 90, help="Where the arc ends; positive is to the right.")


@named("loop")
@attrs.frozen
class LoopOptions(MoveOptions):
    """Look around, 45 degrees right and left, and come back (EX-4D's 180)."""


@named("sweep")
@attrs.frozen
class SweepOptions(MoveOptions):
    """Move along the arc from one angle to another."""

    start: float = degrees(-90, -90, 90, help="Where the first frame is on the arc, also 'from'; positive is right.")
    end: float = degrees(90, -90, 90, help="Where the last frame is on the arc, also 'to'; positive is right.")


@named("orbit")
@attrs.frozen
class OrbitOptions(MoveOptions):
    """Move around the subject at a constant distance."""

    yaw: float = degrees(0, -360, 360, help="How far to go around; positive is to the right.")
    pitch: float = degrees(0, -89, 89, help="How far to go up; negative is down.")


@named("spiral")
@attrs.frozen
class SpiralOptions(MoveOptions):
    """Move outwards in a spiral, looking at the subject."""

    turns: float = option(1.0, help="How often to go around, clockwise.", at_least=-10, at_most=10)
    radius: float = amount(0.2, 0, 2, help="How far outwards it ends.")
    by: float = amount(0.0, -10, 0.9, help="How far towards the subject it goes meanwhile; negative is back.")


@named("zoom_in")
@attrs.frozen
class ZoomInOptions(MoveOptions):
    """Move towards the subject."""

    by: float = option(0.5, help="Share of the distance to the subject to go.", above=0, below=1)


@named("zoom_out")
@attrs.frozen
class ZoomOutOptions(MoveOptions):
    """Move away from the subject."""

    by: float = amount(0.5, 0, help="How far to go back.")


@named("dolly")
@attrs.frozen
class DollyOptions(MoveOptions):
    """Move forward along the viewing direction, or back."""

    by: float = amount(0.3, help="How far to go forward; negative is back.")


@named("truck")
@attrs.frozen
class TruckOptions(MoveOptions):
    """Move to the right, or left for a negative amount."""

    by: float = amount(0.3, help="How far to go to the right; negative is left.")
    aim: bool = option(False, help="Keep the subject where it is in the picture.")


@named("pedestal")
@attrs.frozen
class PedestalOptions(MoveOptions):
    """Move up, or down for a negative amount."""

    by: float = amount(0.2, help="How far to go up; negative is down.")
    aim: bool = option(False, help="Keep the subject where it is in the picture.")


@named("pan")
@attrs.frozen
class PanOptions(MoveOptions):
    """Turn to the right in place, or left for a negative angle."""

    by: float = degrees(15, -180, 180, help="How far to turn; positive is to the right.")


@named("tilt")
@attrs.frozen
class TiltOptions(MoveOptions):
    """Turn up in place, or down for a negative angle."""

    by: float = degrees(10, -89, 89, help="How far to turn; positive is up.")


@named("roll")
@attrs.frozen
class RollOptions(MoveOptions):
    """Turn clockwise around the viewing direction."""

    by: float = degrees(10, -360, 360, help="How far to turn; positive is clockwise.")


@named("dolly_zoom")
@attrs.frozen
class DollyZoomOptions(MoveOptions):
    """Move forward while the field of view widens, so that the subject keeps its size."""

    by: float = amount(0.4, -10, 0.9, help="How far to go towards the subject; negative is back.")


@named("static")
@attrs.frozen
class StaticOptions(MoveOptions):
    """Stay at the current pose."""


@named("handheld")
@attrs.frozen
class HandheldOptions(MoveOptions):
    """Shake slightly, like a handheld camera."""

    seed: int = option(0, help="Another number shakes in another way.", at_least=0)
    amount: float = option(
        1.0, help="How much; 1 is about half a degree and 1 % of the distance.", at_least=0, at_most=10
    )
    swings: float = option(6.0, help="How often over the whole move.", at_least=0, at_most=100)


@named("keyframes")
@attrs.frozen
class KeyframesOptions(MoveOptions):
    """Interpolate smoothly between values at several times."""

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


@named("freeze")
@attrs.frozen
class FreezeOptions:
    """Freeze time (bullet time)."""

    frame: int | None = first_frame("Which frame is shown, counted from 0; the one that is reached if left out.")


@named("slow")
@attrs.frozen
class SlowOptions:
    """Slow the clip down, or speed it up for a number below 1."""

    by: float = option(2.0, help="How many times slower; below 1 is faster.", at_least=0.01, at_most=100)
    frame: int | None = first_frame("Where to begin, counted from 0; at the frame that is reached if left out.")


@named("reverse")
@attrs.frozen
class ReverseOptions:
    """Play the clip backwards, from its end if it is the first step of the path."""

    by: float = option(1.0, help="How many times slower; below 1 is faster.", at_least=0.01, at_most=100)
    frame: int | None = first_frame(
        "Where to begin, counted from 0; if left out the last frame where it comes first, else the one that is reached."
    )
