"""The camera moves. A new one is one function here, and its options class where it has any of its own.

A move says where the camera is when a share of it is done, 0 at the first frame and 1 at the last, for a subject
at distance `radius` straight ahead of the source camera. The camera always looks at the subject.
With `pace="frames"` the share ends beyond 1, so that every angle grows with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.paths import Eye, arc_eye, loop_eye, orbit_eye
from ex4d_trajectories.options import (
    ArcOptions,
    LoopOptions,
    MoveOptions,
    OrbitOptions,
    StaticOptions,
    SweepOptions,
    ZoomInOptions,
    ZoomOutOptions,
)

EyeAt = TypeVar("EyeAt", bound=Callable[..., Eye])


@attrs.frozen(kw_only=True)
class Move:
    """A named way for the camera to go."""

    name: str
    summary: str
    options: type[MoveOptions]
    eye_at: Callable[[float, float, Any], Eye]
    """Called as `eye_at(share, radius, options)`."""
    turns: bool
    """Whether it has angles, which `pace="frames"` multiplies."""


MOVES: dict[type[MoveOptions], Move] = {}
"""Every move by its options class, in the order in which they are declared."""


def move(options: type[MoveOptions], *, turns: bool = True) -> Callable[[EyeAt], EyeAt]:
    """Make a function a camera move: its name is what users type, its docstring's first line is the summary."""
    assert options not in MOVES, f"{options.__name__} already belongs to {MOVES[options].name}"

    def declare(eye_at: EyeAt) -> EyeAt:
        sentence = (eye_at.__doc__ or "").splitlines()[0].rstrip(".")
        summary = sentence[:1].lower() + sentence[1:]
        MOVES[options] = Move(name=eye_at.__name__, summary=summary, options=options, eye_at=eye_at, turns=turns)
        return eye_at

    return declare


@move(ArcOptions)
def arc(share: float, radius: float, options: ArcOptions) -> Eye:
    """Go to one side on EX-4D's arc: right, or left for a negative angle."""
    return arc_eye(share * options.angle, radius)


@move(LoopOptions)
def loop(share: float, radius: float, options: LoopOptions) -> Eye:
    """Look around, 45 degrees right and left, and come back (EX-4D's 180)."""
    return loop_eye(share * 360, radius)


@move(SweepOptions)
def sweep(share: float, radius: float, options: SweepOptions) -> Eye:
    """Go along the arc from one angle to another."""
    return arc_eye(options.start + share * (options.end - options.start), radius)


@move(OrbitOptions)
def orbit(share: float, radius: float, options: OrbitOptions) -> Eye:
    """Go around the subject at a constant distance."""
    yaw, pitch = share * options.yaw, share * options.pitch
    if not -90 < pitch < 90:
        raise InvalidConfig(f"pitch becomes {pitch:g} degrees at pace=frames, past the pole; give less, or pace=angle")
    return orbit_eye(yaw, pitch, radius)


@move(ZoomInOptions, turns=False)
def zoom_in(share: float, radius: float, options: ZoomInOptions) -> Eye:
    """Go towards the subject."""
    return 0.0, 0.0, share * options.by * radius


@move(ZoomOutOptions, turns=False)
def zoom_out(share: float, radius: float, options: ZoomOutOptions) -> Eye:
    """Go back from the subject."""
    return 0.0, 0.0, -share * options.by * radius


@move(StaticOptions, turns=False)
def static(share: float, radius: float, options: StaticOptions) -> Eye:
    """Stay where the source camera was."""
    return 0.0, 0.0, 0.0
