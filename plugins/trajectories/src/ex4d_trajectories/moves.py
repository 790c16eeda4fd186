"""The camera moves and what can be done with time. A new one is one function here, and its options class.

A move says where the camera is when a share of it is done, 0 at its start and 1 at its end, as the camera where it
starts sees it. `Start` says where the subject is and which way is up, so a move can begin anywhere.
With `pace="frames"` the share ends beyond 1, so that every angle grows with it.

Time control says which time of the clip is shown when a share of it is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

import attrs

from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.keyframes import smooth_curve
from ex4d_core.geometry.motion import Clock, Start
from ex4d_core.geometry.paths import (
    aimed_from,
    arc_eye,
    before,
    frame_shares,
    level_right,
    level_turn,
    loop_eye,
    orbited,
)
from ex4d_core.geometry.rigid import (
    HERE,
    Pose,
    Vector,
    looking_along,
    moved,
    rotated,
    rotation_about,
    scaled,
    transpose,
    turned,
)
from ex4d_trajectories.options import (
    ArcOptions,
    DollyOptions,
    DollyZoomOptions,
    FreezeOptions,
    HandheldOptions,
    KeyframesOptions,
    LoopOptions,
    OrbitOptions,
    PanOptions,
    PedestalOptions,
    ReverseOptions,
    RollOptions,
    SlowOptions,
    SpiralOptions,
    StaticOptions,
    SweepOptions,
    TiltOptions,
    TruckOptions,
    ZoomInOptions,
    ZoomOutOptions,
)

Says = TypeVar("Says", bound=Callable[..., Any])


@attrs.frozen(kw_only=True)
class Move:
    """A named way for the camera, or for time, to go."""

    name: str
    summary: str
    options: type
    pose: Callable[[float, Start, Any], Pose] | None = None
    """Called as `pose(share, start, options)`; None: the camera stays."""
    time: Callable[[float, Clock, Any], float] | None = None
    """Called as `time(share, clock, options)`; None: time goes on as it was filmed."""
    turns: bool = False
    """Whether it has angles, which `pace="frames"` multiplies."""


MOVES: dict[type, Move] = {}
"""Every move by its options class, in the order in which they are declared."""


def move(options: type, *, turns: bool = False) -> Callable[[Says], Says]:
    """Make a function a camera move: its name is what users type, its docstring's first line is the summary."""

    def declare(pose: Says) -> Says:
        _declare(pose, options=options, pose=pose, turns=turns)
        return pose

    return declare


def time_control(options: type) -> Callable[[Says], Says]:
    """Make a function a way for time to go, likewise."""

    def declare(time: Says) -> Says:
        _declare(time, options=options, time=time)
        return time

    return declare


def _declare(function: Callable[..., Any], *, options: type, **facts: Any) -> None:
    assert options not in MOVES, f"{options.__name__} already belongs to {MOVES[options].name}"
    sentence = (function.__doc__ or "").splitlines()[0].rstrip(".")
    summary = sentence[:1].lower() + sentence[1:]
    MOVES[options] = Move(name=function.__name__, summary=summary, options=options, **facts)


@move(ArcOptions, turns=True)
def arc(share: float, start: Start, options: ArcOptions) -> Pose:
    """Go to one side on EX-4D's arc: right, or left for a negative angle."""
    return aimed_from(arc_eye(share * options.angle, start.distance), start)


@move(LoopOptions, turns=True)
def loop(share: float, start: Start, options: LoopOptions) -> Pose:
    """Look around, 45 degrees right and left, and come back (EX-4D's 180)."""
    return aimed_from(loop_eye(share * 360, start.distance), start)


@move(SweepOptions, turns=True)
def sweep(share: float, start: Start, options: SweepOptions) -> Pose:
    """Go along the arc from one angle to another."""
    return aimed_from(arc_eye(options.start + share * (options.end - options.start), start.distance), start)


@move(OrbitOptions, turns=True)
def orbit(share: float, start: Start, options: OrbitOptions) -> Pose:
    """Go around the subject at a constant distance."""
    yaw, pitch = share * options.yaw, share * options.pitch
    if not -90 < pitch < 90:
        raise InvalidConfig(f"pitch becomes {pitch:g} degrees at pace=frames, past the pole; give less, or pace=angle")
    return orbited(yaw, pitch, start)


@move(SpiralOptions)
def spiral(share: float, start: Start, options: SpiralOptions) -> Pose:
    """Wind outwards around where it started, and look at the subject."""
    turn, reach = math.radians(360 * options.turns * share), share * options.radius
    eye = (reach * math.sin(turn), -reach * math.cos(turn), share * options.by)
    return aimed_from(scaled(eye, start.distance), start)


@move(ZoomInOptions)
def zoom_in(share: float, start: Start, options: ZoomInOptions) -> Pose:
    """Go towards the subject."""
    return moved(scaled(start.subject, share * options.by))


@move(ZoomOutOptions)
def zoom_out(share: float, start: Start, options: ZoomOutOptions) -> Pose:
    """Go back from the subject."""
    return moved(scaled(start.subject, -share * options.by))


@move(DollyOptions)
def dolly(share: float, start: Start, options: DollyOptions) -> Pose:
    """Go forward the way the camera looks, or back."""
    return moved((0.0, 0.0, share * options.by * start.distance))


@move(TruckOptions)
def truck(share: float, start: Start, options: TruckOptions) -> Pose:
    """Go to the right, or left for a negative number."""
    return _gone(scaled(level_right(start), share * options.by * start.distance), start, options.aim)


@move(PedestalOptions)
def pedestal(share: float, start: Start, options: PedestalOptions) -> Pose:
    """Go up, or down for a negative number."""
    return _gone(scaled(start.up, share * options.by * start.distance), start, options.aim)


def _gone(way: Vector, start: Start, aim: bool) -> Pose:
    if not aim:
        return moved(way)
    to_subject = looking_along(start.subject, up=start.up)
    return aimed_from(turned(transpose(to_subject), way), start)


@move(PanOptions)
def pan(share: float, start: Start, options: PanOptions) -> Pose:
    """Turn to the right on the spot, or left for a negative angle."""
    return rotated(level_turn(-share * options.by, 0.0, start))


@move(TiltOptions)
def tilt(share: float, start: Start, options: TiltOptions) -> Pose:
    """Turn up on the spot, or down for a negative angle."""
    return rotated(level_turn(0.0, -share * options.by, start))


@move(RollOptions)
def roll(share: float, start: Start, options: RollOptions) -> Pose:
    """Turn clockwise around the view, so that the picture turns the other way."""
    return rotated(rotation_about((0.0, 0.0, 1.0), share * options.by))


@move(DollyZoomOptions)
def dolly_zoom(share: float, start: Start, options: DollyZoomOptions) -> Pose:
    """Go forward while the lens widens, so that the subject keeps its size."""
    depth = before(start)
    if depth <= 0:
        raise InvalidConfig("dolly_zoom needs the subject before the camera, which has turned away from it by then")
    left = 1 - share * options.by
    return attrs.evolve(moved((0.0, 0.0, share * options.by * depth)), zoom=left)


@move(StaticOptions)
def static(share: float, start: Start, options: StaticOptions) -> Pose:
    """Stay where the camera is."""
    return HERE


@move(HandheldOptions)
def handheld(share: float, start: Start, options: HandheldOptions) -> Pose:
    """Shake a little, as a camera does that somebody holds."""
    random = Random(options.seed)
    right, up, roll, x, y, z = (_sway(random, share, options.swings) * options.amount for _ in range(6))
    turn = rotated(level_turn(0.6 * right, 0.6 * up, start)) @ rotated(rotation_about((0.0, 0.0, 1.0), 0.4 * roll))
    return moved(scaled((x, y, z), 0.008 * start.distance)) @ turn


def _sway(random: Random, share: float, swings: float) -> float:
    """Return a sum of slow waves, about -1 to 1, that is 0 at the start."""
    waves = [(swings * pace * random.uniform(0.7, 1.3), random.uniform(0, 1)) for pace in (0.5, 1.0, 1.7)]
    now, then = (
        sum(math.sin(2 * math.pi * (often * at + phase)) / (1 + index) for index, (often, phase) in enumerate(waves))
        for at in (share, 0.0)
    )
    return (now - then) / 1.8


@move(KeyframesOptions)
def keyframes(share: float, start: Start, options: KeyframesOptions) -> Pose:
    """Go smoothly through numbers that are given for several moments."""

    def now(name: str) -> float:
        values = getattr(options, name)
        return smooth_curve(options.at or frame_shares(len(values)), values)(share) if values else 0.0

    around = orbited(now("yaw"), now("pitch"), start)
    aside = moved(scaled(level_right(start), now("truck") * start.distance))
    upwards = moved(scaled(start.up, now("pedestal") * start.distance))
    look = rotated(level_turn(-now("pan"), -now("tilt"), start))
    tipped = rotated(rotation_about((0.0, 0.0, 1.0), now("roll")))
    return around @ moved(scaled(start.subject, now("zoom_in"))) @ aside @ upwards @ look @ tipped


@time_control(FreezeOptions)
def freeze(share: float, clock: Clock, options: FreezeOptions) -> float:
    """Let time stand still (bullet time)."""
    return _begin(clock, options.frame)


@time_control(SlowOptions)
def slow(share: float, clock: Clock, options: SlowOptions) -> float:
    """Let time pass slower, or faster for a number below 1."""
    return _begin(clock, options.frame) + share * clock.span / options.by


@time_control(ReverseOptions)
def reverse(share: float, clock: Clock, options: ReverseOptions) -> float:
    """Let time run back, from the end of the clip where nothing comes before."""
    begin = 1.0 if options.frame is None and clock.first else _begin(clock, options.frame)
    return begin - share * clock.span / options.by


def _begin(clock: Clock, frame: int | None) -> float:
    """Return the time of a frame of the clip, by default the one that is reached."""
    if frame is None:
        return clock.start
    if frame >= clock.frames:
        raise InvalidConfig(
            f"there is no frame {frame}: the clip has {clock.frames}, counted from 0; give at most {clock.frames - 1}"
        )
    return frame / max(clock.frames - 1, 1)
