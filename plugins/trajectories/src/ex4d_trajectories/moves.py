"""Camera moves and time controls as functions of normalized time. Their options and summaries are in `options.py`.

A move returns the camera pose at t, 0 at its start and 1 at its end, relative to the camera where it starts. `Start`
has the subject and the upward direction there, so a move can start anywhere. With
`angle_scaling="reference"`, t ends beyond 1, so that every angle is scaled.

A time control returns the clip time that is shown at t.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

import attrs
import numpy as np

from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.keyframes import smooth_curve
from ex4d_core.geometry.motion import Clock, Start
from ex4d_core.geometry.paths import (
    aimed_from,
    arc_eye,
    level_right,
    level_turn,
    loop_eye,
    normalized_times,
    orbited,
    subject_depth,
)
from ex4d_core.geometry.rigid import Pose, Vector, look_rotation, rotation, rotation_about, translation
from ex4d_trajectories.options import (
    MOVES,
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

FORWARD = (0.0, 0.0, 1.0)

Function = TypeVar("Function", bound=Callable[..., Any])


@attrs.frozen(kw_only=True)
class Move:
    """The implementation of a camera move or time control."""

    name: str
    pose: Callable[[float, Start, Any], Pose] | None = None
    """Called as `pose(t, start, options)`; None: the camera stays."""
    time: Callable[[float, Clock, Any], float] | None = None
    """Called as `time(t, clock, options)`; None: the clip is shown at its original speed."""
    scales: bool = False
    """Whether its angles follow the option `angle_scaling`."""


IMPLEMENTATIONS: dict[type, Move] = {}
"""Every move by its options class."""


def move(options: type, *, scales: bool = False) -> Callable[[Function], Function]:
    """Register a function as the implementation of a camera move; it has the name of the move."""

    def register(pose: Function) -> Function:
        _register(options, Move(name=pose.__name__, pose=pose, scales=scales))
        return pose

    return register


def time_control(options: type) -> Callable[[Function], Function]:
    """Register a function as the implementation of a time control; it has the name of the control."""

    def register(time: Function) -> Function:
        _register(options, Move(name=time.__name__, time=time))
        return time

    return register


def _register(options: type, implementation: Move) -> None:
    assert MOVES.get(implementation.name) is options, f"{options.__name__} is not named {implementation.name}"
    IMPLEMENTATIONS[options] = implementation


@move(ArcOptions, scales=True)
def arc(t: float, start: Start, options: ArcOptions) -> Pose:
    return aimed_from(arc_eye(t * options.angle, start.distance), start)


@move(LoopOptions, scales=True)
def loop(t: float, start: Start, options: LoopOptions) -> Pose:
    return aimed_from(loop_eye(t * 360, start.distance), start)


@move(SweepOptions, scales=True)
def sweep(t: float, start: Start, options: SweepOptions) -> Pose:
    return aimed_from(arc_eye(options.start + t * (options.end - options.start), start.distance), start)


@move(OrbitOptions, scales=True)
def orbit(t: float, start: Start, options: OrbitOptions) -> Pose:
    yaw, pitch = t * options.yaw, t * options.pitch
    if not -90 < pitch < 90:
        raise InvalidConfig(f"pitch is {pitch:g} degrees after angle_scaling=reference, past the pole; reduce it")
    return orbited(yaw, pitch, start)


@move(SpiralOptions)
def spiral(t: float, start: Start, options: SpiralOptions) -> Pose:
    angle, radius = 2 * np.pi * options.turns * t, t * options.radius
    eye = np.array([radius * np.sin(angle), -radius * np.cos(angle), t * options.amount])
    return aimed_from(eye * start.distance, start)


@move(ZoomInOptions)
def zoom_in(t: float, start: Start, options: ZoomInOptions) -> Pose:
    return translation(t * options.amount * start.subject)


@move(ZoomOutOptions)
def zoom_out(t: float, start: Start, options: ZoomOutOptions) -> Pose:
    return translation(-t * options.amount * start.subject)


@move(DollyOptions)
def dolly(t: float, start: Start, options: DollyOptions) -> Pose:
    return translation((0.0, 0.0, t * options.amount * start.distance))


@move(TruckOptions)
def truck(t: float, start: Start, options: TruckOptions) -> Pose:
    return _shifted(t * options.amount * start.distance * level_right(start), start, options.track_subject)


@move(PedestalOptions)
def pedestal(t: float, start: Start, options: PedestalOptions) -> Pose:
    return _shifted(t * options.amount * start.distance * start.up, start, options.track_subject)


def _shifted(offset: Vector, start: Start, track_subject: bool) -> Pose:
    if not track_subject:
        return translation(offset)
    to_subject = look_rotation(start.subject, up=start.up)
    return aimed_from(to_subject.T @ offset, start)


@move(PanOptions)
def pan(t: float, start: Start, options: PanOptions) -> Pose:
    return rotation(level_turn(-t * options.amount, 0.0, start))


@move(TiltOptions)
def tilt(t: float, start: Start, options: TiltOptions) -> Pose:
    return rotation(level_turn(0.0, -t * options.amount, start))


@move(RollOptions)
def roll(t: float, start: Start, options: RollOptions) -> Pose:
    return rotation(rotation_about(FORWARD, t * options.amount))


@move(DollyZoomOptions)
def dolly_zoom(t: float, start: Start, options: DollyZoomOptions) -> Pose:
    depth = subject_depth(start)
    if depth <= 0:
        raise InvalidConfig("dolly_zoom needs the subject in front of the camera, but it is behind it at that point")
    return Pose(position=(0.0, 0.0, t * options.amount * depth), zoom=1 - t * options.amount)


@move(StaticOptions)
def static(t: float, start: Start, options: StaticOptions) -> Pose:
    return Pose.identity()


@move(HandheldOptions)
def handheld(t: float, start: Start, options: HandheldOptions) -> Pose:
    random = Random(options.seed)
    right, up, roll, x, y, z = (_sway(random, t, options.swings) * options.amount for _ in range(6))
    rotated = rotation(level_turn(0.6 * right, 0.6 * up, start)) @ rotation(rotation_about(FORWARD, 0.4 * roll))
    return translation(0.008 * start.distance * np.array([x, y, z])) @ rotated


def _sway(random: Random, t: float, swings: float) -> float:
    """Return a sum of slow sine waves, about -1 to 1, that is 0 at t = 0."""
    total = 0.0
    for index, octave in enumerate((0.5, 1.0, 1.7)):
        frequency, phase = swings * octave * random.uniform(0.7, 1.3), random.uniform(0, 1)
        wave = np.sin(2 * np.pi * (frequency * t + phase)) - np.sin(2 * np.pi * phase)
        total += float(wave) / (1 + index)
    return total / 1.8


@move(KeyframesOptions)
def keyframes(t: float, start: Start, options: KeyframesOptions) -> Pose:

    def at_t(name: str) -> float:
        values = getattr(options, name)
        return smooth_curve(options.at or normalized_times(len(values)), values)(t) if values else 0.0

    orbit_pose = orbited(at_t("yaw"), at_t("pitch"), start)
    shift = at_t("truck") * level_right(start) + at_t("pedestal") * start.up
    offset = at_t("zoom_in") * start.subject + start.distance * shift
    look = level_turn(-at_t("pan"), -at_t("tilt"), start) @ rotation_about(FORWARD, at_t("roll"))
    return orbit_pose @ translation(offset) @ rotation(look)


@time_control(FreezeOptions)
def freeze(t: float, clock: Clock, options: FreezeOptions) -> float:
    return _begin(clock, options.frame)


@time_control(SlowOptions)
def slow(t: float, clock: Clock, options: SlowOptions) -> float:
    return _begin(clock, options.frame) + t * clock.span / options.factor


@time_control(ReverseOptions)
def reverse(t: float, clock: Clock, options: ReverseOptions) -> float:
    begin = 1.0 if options.frame is None and clock.first else _begin(clock, options.frame)
    return begin - t * clock.span / options.factor


def _begin(clock: Clock, frame: int | None) -> float:
    """Return the clip time of a frame, by default the current one."""
    if frame is None:
        return clock.start
    if frame >= clock.frames:
        raise InvalidConfig(
            f"frame {frame} does not exist; the clip has {clock.frames} frames, so give 0 to {clock.frames - 1}"
        )
    return frame / max(clock.frames - 1, 1)
