"""Camera moves as functions of normalized time, and their composition.

A move returns the camera pose at any t from 0 (its start) to 1 (its end), relative to the pose where it starts.
Therefore moves can be concatenated without a jump, run at the same time, and be sampled at any number of frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import attrs
import numpy as np

from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.eases import EASES
from ex4d_core.geometry.rigid import UP, Pose, Vector, vector


@attrs.frozen(kw_only=True, eq=False)
class Start:
    """The surroundings of the camera where a move starts, in the axes of that camera."""

    subject: Vector = attrs.field(converter=vector)
    """The point that the camera moves around, in units of the scene."""
    up: Vector = attrs.field(default=UP, converter=vector)
    """Upward direction of the world, of length 1: that of the source camera in frame 0."""

    @property
    def distance(self) -> float:
        """Distance to the subject, the unit of length of moves."""
        return float(np.linalg.norm(self.subject))

    @classmethod
    def at(cls, camera: Pose, *, subject: Vector, up: Vector | tuple[float, float, float] = UP) -> Start:
        """Return the surroundings of a camera pose in the world; subject and up are in world axes."""
        return cls(subject=camera.inverse().transform(subject), up=camera.rotation.T @ vector(up))


@attrs.frozen(kw_only=True)
class Clock:
    """The clip time where a time control starts; times are fractions of the clip, 0 to 1."""

    start: float
    """Clip time at the start: 0 is the first frame, 1 the last."""
    span: float
    """Clip time that passes until the end at the original speed."""
    frames: int
    """Number of frames of the clip."""
    first: bool
    """Whether this is the first segment of the path."""


Timing = Callable[[float, Clock], float]
"""Maps normalized time to the clip time that is shown."""


@attrs.frozen(kw_only=True)
class Motion:
    """Camera pose and clip time as functions of normalized time."""

    pose: Callable[[float], Pose]
    """Relative to the camera where the move starts; for the first move of a path, to the source camera."""
    timing: Timing | None = None
    """None: the clip is shown at its original speed."""


def original_speed(t: float, clock: Clock) -> float:
    """Return the clip time at the original speed."""
    return clock.start + t * clock.span


def eased(motion: Motion, ease: str) -> Motion:
    """Apply an ease to a move and its time control; the original speed of the clip is kept."""
    bend, timing = EASES[ease], motion.timing
    return Motion(
        pose=lambda t: motion.pose(bend(t)),
        timing=None if timing is None else lambda t, clock: timing(bend(t), clock),
    )


def compose(motions: Sequence[Motion]) -> Motion:
    """Combine simultaneous moves; each uses the camera axes that result from the moves before it.

    Raises:
        InvalidConfig: more than one of them is a time control.
    """
    timings = [motion.timing for motion in motions if motion.timing is not None]
    if len(timings) > 1:
        raise InvalidConfig("two time controls cannot run at the same time; join them with 'then' instead of 'with'")

    def pose(t: float) -> Pose:
        camera = Pose.identity()
        for motion in motions:
            camera = camera @ motion.pose(t)
        return camera

    return Motion(pose=pose, timing=timings[0] if timings else None)


def concatenate(segments: Sequence[Callable[[Pose], Motion]], weights: Sequence[float]) -> Motion:
    """Join moves one after the other; each starts at the pose where the previous one ends.

    Args:
        segments: functions that return the move from a camera pose, relative to the start of the path.
        weights: fraction of the path for each segment; they add up to 1.
    """
    starts = [0.0, *accumulate(weights)]
    bases: list[Pose] = [Pose.identity()]
    motions: list[Motion] = []
    for index, segment in enumerate(segments):
        motion = segment(bases[-1])
        if index:  # a move whose first pose is not the identity continues without a jump
            bases[-1] = bases[-1] @ motion.pose(0.0).inverse()
        motions.append(motion)
        bases.append(bases[-1] @ motion.pose(1.0))

    def locate(t: float) -> tuple[int, float]:
        index = next((k for k in range(len(weights) - 1) if t < starts[k + 1]), len(weights) - 1)
        return index, (t - starts[index]) / weights[index]

    def pose(t: float) -> Pose:
        index, local_t = locate(t)
        return bases[index] @ motions[index].pose(local_t)

    def timing(t: float, clock: Clock) -> float:
        index, local_t = locate(t)
        time = clock.start
        for k in range(index + 1):
            local = Clock(start=time, span=clock.span * weights[k], frames=clock.frames, first=clock.first and k == 0)
            time = (motions[k].timing or original_speed)(local_t if k == index else 1.0, local)
            time = min(1.0, max(0.0, time))
        return time

    timed = any(motion.timing is not None for motion in motions)
    return Motion(pose=pose, timing=timing if timed else None)


def frames_shown(motion: Motion, times: Sequence[float], num_frames: int) -> list[int]:
    """Return the frame of the clip that is shown at each normalized time, rounded to the nearest."""
    clock = Clock(start=0.0, span=1.0, frames=num_frames, first=True)
    clip_times = [min(1.0, max(0.0, (motion.timing or original_speed)(t, clock))) for t in times]
    return [int(time * (num_frames - 1) + 0.5 + 1e-9) for time in clip_times]
