"""Names, summaries and options of the camera moves; imports nothing heavy."""

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
    """Return a validator that accepts only these words."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in words:
            raise InvalidConfig(f"{attribute.name} must be {' or '.join(words)}, not {shown(value)}")

    return check


def degrees(default: float, low: float, high: float, *, help: str, former: str = "") -> Any:
    """Declare an angle in degrees."""
    return option(default, help=help, unit="degrees", at_least=low, at_most=high, former=former)


def distance(default: float, low: float = -10, high: float = 10, *, help: str, former: str = "") -> Any:
    """Declare a length in distances to the subject."""
    return option(default, help=help, unit=DISTANCES, at_least=low, at_most=high, former=former)


def angles(help: str) -> Any:
    """Declare a list of angles, one for each keyframe."""
    return option((), help=help, unit="degrees", at_least=-36000, at_most=36000)


def distances(help: str) -> Any:
    """Declare a list of lengths in distances to the subject, one for each keyframe."""
    return option((), help=help, unit=DISTANCES, at_least=-1000, at_most=1000)


def _look_at(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    check_look_at(value)


@attrs.frozen
class MoveOptions:
    """Options of all camera moves."""

    look_at: str = option(
        "auto",
        pixel=True,
        help="Subject: 'auto', the center of the foreground; a pixel of the original clip such as '320,180'; a "
        "depth such as 2.5; or 'nearest', the rule of EX-4D, 0.15 behind the nearest point of frame 0.",
        validator=_look_at,
    )
    angle_scaling: Literal["none", "reference"] = option(
        "none",
        help="'none': angles do not depend on the number of frames; 'reference': the angles of arc, loop, sweep and "
        "orbit are multiplied by max(49/n, n/49) for n frames, as in EX-4D.",
        validator=one_of("none", "reference"),
        former="pace",
        former_values={"angle": "none", "frames": "reference"},
    )


@named("arc")
@attrs.frozen
class ArcOptions(MoveOptions):
    """Move along the arc of EX-4D, to the right, or left for a negative angle."""

    angle: float = degrees(60, -90, 90, help="Angle at the end of the arc; positive is to the right.")


@named("loop")
@attrs.frozen
class LoopOptions(MoveOptions):
    """Look around, 45 degrees right and left, and come back (EX-4D's 180)."""


@named("sweep")
@attrs.frozen
class SweepOptions(MoveOptions):
    """Move along the arc from one angle to another."""

    start: float = degrees(-90, -90, 90, help="Angle on the arc at the start, also 'from'; positive is right.")
    end: float = degrees(90, -90, 90, help="Angle on the arc at the end, also 'to'; positive is right.")


@named("orbit")
@attrs.frozen
class OrbitOptions(MoveOptions):
    """Move around the subject at a constant distance."""

    yaw: float = degrees(0, -360, 360, help="Horizontal angle; positive is to the right.")
    pitch: float = degrees(0, -89, 89, help="Vertical angle; negative is down.")


@named("spiral")
@attrs.frozen
class SpiralOptions(MoveOptions):
    """Move outwards in a spiral, looking at the subject."""

    turns: float = option(1.0, help="Number of turns, clockwise.", at_least=-10, at_most=10)
    radius: float = distance(0.2, 0, 2, help="Radius at the end.")
    amount: float = distance(0.0, -10, 0.9, help="Distance towards the subject; negative is back.", former="by")


@named("zoom_in")
@attrs.frozen
class ZoomInOptions(MoveOptions):
    """Move towards the subject."""

    amount: float = option(0.5, help="Fraction of the distance to the subject.", above=0, below=1, former="by")


@named("zoom_out")
@attrs.frozen
class ZoomOutOptions(MoveOptions):
    """Move away from the subject."""

    amount: float = distance(0.5, 0, help="Distance.", former="by")


@named("dolly")
@attrs.frozen
class DollyOptions(MoveOptions):
    """Move forward along the viewing direction, or back."""

    amount: float = distance(0.3, help="Distance; negative is back.", former="by")


@named("truck")
@attrs.frozen
class TruckOptions(MoveOptions):
    """Move to the right, or left for a negative amount."""

    amount: float = distance(0.3, help="Distance; negative is left.", former="by")
    track_subject: bool = option(False, help="Rotate so that the subject stays at its image position.", former="aim")


@named("pedestal")
@attrs.frozen
class PedestalOptions(MoveOptions):
    """Move up, or down for a negative amount."""

    amount: float = distance(0.2, help="Distance; negative is down.", former="by")
    track_subject: bool = option(False, help="Rotate so that the subject stays at its image position.", former="aim")


@named("pan")
@attrs.frozen
class PanOptions(MoveOptions):
    """Turn to the right in place, or left for a negative angle."""

    amount: float = degrees(15, -180, 180, help="Angle; positive is to the right.", former="by")


@named("tilt")
@attrs.frozen
class TiltOptions(MoveOptions):
    """Turn up in place, or down for a negative angle."""

    amount: float = degrees(10, -89, 89, help="Angle; positive is up.", former="by")


@named("roll")
@attrs.frozen
class RollOptions(MoveOptions):
    """Turn clockwise around the viewing direction."""

    amount: float = degrees(10, -360, 360, help="Angle; positive is clockwise.", former="by")


@named("dolly_zoom")
@attrs.frozen
class DollyZoomOptions(MoveOptions):
    """Move forward while the field of view widens, so that the subject keeps its size."""

    amount: float = distance(0.4, -10, 0.9, help="Distance towards the subject; negative is back.", former="by")


@named("static")
@attrs.frozen
class StaticOptions(MoveOptions):
    """Stay at the current pose."""


@named("handheld")
@attrs.frozen
class HandheldOptions(MoveOptions):
    """Shake slightly, like a handheld camera."""

    seed: int = option(0, help="Seed of the random motion.", at_least=0)
    amount: float = option(
        1.0, help="Strength; 1 is about half a degree and 1 % of the distance to the subject.", at_least=0, at_most=10
    )
    swings: float = option(6.0, help="Number of oscillations over the whole move.", at_least=0, at_most=100)


@named("keyframes")
@attrs.frozen
class KeyframesOptions(MoveOptions):
    """Interpolate smoothly between values at several times."""

    at: tuple[float, ...] = option(
        (), help="Normalized time of each keyframe, increasing from 0 to 1; equal steps by default."
    )
    yaw: tuple[float, ...] = angles("Horizontal angle around the subject; positive is to the right.")
    pitch: tuple[float, ...] = angles("Vertical angle around the subject; positive is up.")
    zoom_in: tuple[float, ...] = distances("Fraction of the distance to the subject; negative is back.")
    truck: tuple[float, ...] = distances("Distance to the right.")
    pedestal: tuple[float, ...] = distances("Distance up.")
    pan: tuple[float, ...] = angles("Rotation in place to the right.")
    tilt: tuple[float, ...] = angles("Rotation in place upwards.")
    roll: tuple[float, ...] = angles("Clockwise rotation around the viewing direction.")

    def __attrs_post_init__(self) -> None:
        own = [field.name for field in attrs.fields(KeyframesOptions) if field.name not in ("look_at", "angle_scaling")]
        given = {name: len(getattr(self, name)) for name in own if getattr(self, name)}
        if len(set(given.values())) > 1:
            lengths = ", ".join(f"{name} has {count}" for name, count in given.items())
            raise InvalidConfig(f"the lists of keyframes must have the same length, but {lengths}")
        if any(not one < other for one, other in zip(self.at, self.at[1:], strict=False)) or (
            self.at and (self.at[0] != 0 or self.at[-1] != 1)
        ):
            raise InvalidConfig("at must increase from 0 to 1, as in at=[0,0.3,1]")


def first_frame(help: str) -> Any:
    """Declare a frame number of the clip."""
    return option(None, help=help, at_least=0)


@named("freeze")
@attrs.frozen
class FreezeOptions:
    """Freeze time (bullet time)."""

    frame: int | None = first_frame("Frame that is shown, counted from 0; the current one by default.")


@named("slow")
@attrs.frozen
class SlowOptions:
    """Slow the clip down, or speed it up for a number below 1."""

    factor: float = option(
        2.0, help="How many times slower; below 1 is faster.", at_least=0.01, at_most=100, former="by"
    )
    frame: int | None = first_frame("First frame, counted from 0; the current one by default.")


@named("reverse")
@attrs.frozen
class ReverseOptions:
    """Play the clip backwards, from its end in the first segment of a path."""

    factor: float = option(
        1.0, help="How many times slower; below 1 is faster.", at_least=0.01, at_most=100, former="by"
    )
    frame: int | None = first_frame(
        "First frame, counted from 0; by default the last one in the first segment, otherwise the current one."
    )
