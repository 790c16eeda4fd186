"""Camera moves as functions of normalized time, and their composition.

A move says where the camera is, as the camera that it started from sees it, at any share from 0 to 1. So moves follow
each other without a jump, go on at the same time, and are the same at any number of frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import attrs

from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.rigid import HERE, UPWARDS, Pose, Vector, length, transpose, turned

EASES: dict[str, Callable[[float], float]] = {
    "linear": lambda share: share,
    "in": lambda share: share * share,
    "out": lambda share: share * (2 - share),
    "smooth": lambda share: share * share * (3 - 2 * share),
}
"""How the speed goes: even; from a stand; to a stand; from a stand to a stand. Each at most doubles the speed."""


@attrs.frozen(kw_only=True)
class Start:
    """What a move knows of where it starts, in the axes of the camera there."""

    subject: Vector
    """What the camera moves around, in units of the scene."""
    up: Vector = UPWARDS
    """Of length 1, away from the ground as the source camera of frame 0 stands on it."""

    @property
    def distance(self) -> float:
        """To the subject: the unit of moves that go somewhere."""
        return length(self.subject)

    @classmethod
    def at(cls, camera: Pose, *, subject: Vector, up: Vector = UPWARDS) -> Start:
        """Return what a move that starts at a camera knows, of a subject in the axes of the world."""
        return cls(subject=camera.inverse().to_outer(subject), up=turned(transpose(camera.rotation), up))


@attrs.frozen(kw_only=True)
class Clock:
    """What time control knows of where it starts; times are shares of the clip, 0 to 1."""

    start: float
    """The time that is shown where it starts: 0 is the first frame, 1 the last."""
    span: float
    """How much time passes until it ends when the clip is shown as it was filmed."""
    frames: int
    """Of the clip."""
    first: bool
    """Whether nothing of the path comes before."""


Timing = Callable[[float, Clock], float]
"""Returns the time that is shown when a share is done."""


@attrs.frozen(kw_only=True)
class Motion:
    """Where the camera is, and what time it shows, when a share is done."""

    pose: Callable[[float], Pose]
    """As the camera that it starts from sees it; of the first move of a path, as the source camera does."""
    timing: Timing | None = None
    """None: time goes on as it was filmed."""


def as_filmed(share: float, clock: Clock) -> float:
    """Return the time that is shown where nothing changes it."""
    return clock.start + share * clock.span


def eased(motion: Motion, ease: str) -> Motion:
    """Return the same move at another speed; time that nothing changes goes on evenly."""
    bend, timing = EASES[ease], motion.timing
    return Motion(
        pose=lambda share: motion.pose(bend(share)),
        timing=None if timing is None else lambda share, clock: timing(bend(share), clock),
    )


def together(motions: Sequence[Motion]) -> Motion:
    """Return moves at the same time, each in the axes of the camera that those before it move.

    Raises:
        InvalidConfig: several of them change time.
    """
    timings = [motion.timing for motion in motions if motion.timing is not None]
    if len(timings) > 1:
        raise InvalidConfig("two moves at the same time change what time is shown; join them by then")

    def pose(share: float) -> Pose:
        where = HERE
        for motion in motions:
            where = where @ motion.pose(share)
        return where

    return Motion(pose=pose, timing=timings[0] if timings else None)


def joined(steps: Sequence[Callable[[Pose], Motion]], spans: Sequence[float]) -> Motion:
    """Return moves one after the other, each from where the one before it ends.

    Args:
        steps: each is told where the camera is that it starts from, in the world, and returns the move.
        spans: the share of the whole that each takes; their sum is 1.
    """
    starts = [0.0, *accumulate(spans)]
    bases: list[Pose] = [HERE]
    motions: list[Motion] = []
    for index, step in enumerate(steps):
        motion = step(bases[-1])
        if index:  # a move that does not begin where it starts goes on from there: no jump
            bases[-1] = bases[-1] @ motion.pose(0.0).inverse()
        motions.append(motion)
        bases.append(bases[-1] @ motion.pose(1.0))

    def place(share: float) -> tuple[int, float]:
        index = next((k for k in range(len(spans) - 1) if share < starts[k + 1]), len(spans) - 1)
        return index, (share - starts[index]) / spans[index]

    def pose(share: float) -> Pose:
        index, part = place(share)
        return bases[index] @ motions[index].pose(part)

    def timing(share: float, clock: Clock) -> float:
        index, part = place(share)
        now = clock.start
        for k in range(index + 1):
            own = Clock(start=now, span=clock.span * spans[k], frames=clock.frames, first=clock.first and k == 0)
            now = min(1.0, max(0.0, (motions[k].timing or as_filmed)(part if k == index else 1.0, own)))
        return now

    changed = any(motion.timing is not None for motion in motions)
    return Motion(pose=pose, timing=timing if changed else None)


def frames_shown(motion: Motion, shares: Sequence[float], num_frames: int) -> list[int]:
    """Return which frame of a clip is shown at each share of a path: the nearest to the time."""
    clock = Clock(start=0.0, span=1.0, frames=num_frames, first=True)
    times = [min(1.0, max(0.0, (motion.timing or as_filmed)(share, clock))) for share in shares]
    return [int(time * (num_frames - 1) + 0.5 + 1e-9) for time in times]
