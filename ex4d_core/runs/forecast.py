"""Say what a long run takes before it starts, and refuse one that cannot fit into memory or on the disk."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import attrs

from ex4d_core.errors import InvalidInput
from ex4d_core.memory import available_memory
from ex4d_core.pipeline.clip_run import PHOTO_FRAMES, ClipRun, PathRun
from ex4d_core.pipeline.stage_order import describe_stages
from ex4d_core.pipeline.store import content_key
from ex4d_core.roles import ROLES
from ex4d_core.runs.rates import LEAST_SECONDS, Rate, rate_key, read_rates, record_rates
from ex4d_core.types import Video

LONG_SECONDS, LARGE_BYTES, MANY_PIXELS = 20, 1e9, 25e6
"""A forecast above one of these is printed; the pixels of all frames count where the time is unknown."""

_MEMORY = {"read": 3, "depth": 15, "guidance": 16, "result": 18}
"""Bytes for each pixel of each frame up to a stage: the frames (3), their depth (4) and validity (1), the guidance (4)
and the result (3), which are in memory at the same time, and temporary arrays."""

_DISK = {"depth": 2.5, "guidance": 1.5, "result": 1.5}
"""Typical bytes for each pixel of each frame of an artifact, where nothing was measured."""

_MARGIN = 0.9
"""Fraction of the free memory that frames may take; libraries need the rest."""


@attrs.frozen(kw_only=True)
class Forecast:
    """What the stages that are still to run take."""

    frames: int
    """Of the clip or of the result, whichever is longer."""
    size: tuple[int, int]
    """Width and height in pixels."""
    seconds: float | None
    """None if a stage was never measured on this machine."""
    disk: float
    """Bytes of the artifacts."""
    memory: float
    """Bytes at the same time."""
    device: str

    @property
    def title(self) -> str:
        """Number and size of the frames."""
        return f"{self.frames} frame{'s' * (self.frames > 1)} of {self.size[0]}x{self.size[1]}"

    @property
    def is_long(self) -> bool:
        """Whether the user should know before the run starts."""
        if self.disk > LARGE_BYTES:
            return True
        if self.seconds is None:
            return self.frames * self.size[0] * self.size[1] > MANY_PIXELS
        return self.seconds > LONG_SECONDS

    def sentence(self) -> str:
        """Return the line that announces the run."""
        setting, part = self._cheaper()
        time = [] if self.seconds is None else [f"about {duration(self.seconds)} on {self.device}"]
        cost = ", ".join([*time, f"about {size_of(self.disk)} of disk"])
        if self.seconds is None:
            return f"{self.title}: {cost}; {setting} takes about a {'quarter' if part < 0.5 else 'half'}"
        return f"{self.title}: {cost}; {setting} takes about {duration(self.seconds * part)}"

    def _cheaper(self) -> tuple[str, float]:
        """Return a cheaper setting, and its part of the cost."""
        width, height = self.size
        if max(width, height) > 640 or self.frames < 2:
            return f"--size {_even(width / 2)}x{_even(height / 2)}", 0.25
        return f"--num-frames {self.frames // 2}", 0.5

    def check(self, title: str, folder: Path | None) -> None:
        """Check that the run fits into memory and on the disk.

        Raises:
            InvalidInput: it does not; the message names settings that fit.
        """
        free = available_memory() * _MARGIN
        if self.memory > free:
            raise InvalidInput(
                f"{title}: {self.title} take about {size_of(self.memory)} of memory, and {size_of(free)} are free; "
                f"{self._fitting(free / self.memory)}"
            )
        free = math.inf if folder is None else _free_disk(folder)
        if self.disk > free:
            raise InvalidInput(
                f"{title}: {self.title} take about {size_of(self.disk)} of disk, and {size_of(free)} are free; "
                f"{self._fitting(free / self.disk)}, choose another --output-dir, or free space: ex4d clean shows "
                "artifacts that can be made again"
            )

    def _fitting(self, part: float) -> str:
        """Return the settings that need at most a part of the cost."""
        frames, (width, height) = int(self.frames * part), self.size
        scale = math.sqrt(part)
        size = f"--size {_even(width * scale)}x{_even(height * scale)}"
        if frames < 1:
            return f"use {size}, with fewer frames if need be" if self.frames > 1 else f"use {size}"
        return f"use --num-frames {frames}, {size} or --stride {math.ceil(1 / part)}"


def forecast(run: ClipRun | PathRun, goal: str) -> Forecast | None:
    """Return what the stages up to a goal take, without reading the clip; None if nothing is left to do.

    Raises:
        InvalidInput: the clip cannot be read.
    """
    clip_run = run if isinstance(run, ClipRun) else run.clip_run
    if isinstance(clip_run.clip, Video):
        return None
    pending = _pending(run, goal)
    if not pending:
        return None
    shown, (width, height) = clip_run.selection.num_frames or clip_run.info.num_frames, clip_run.selection.framing.size
    made = clip_run.path_frames or (PHOTO_FRAMES if clip_run.is_photo else shown)
    rates, pixels = read_rates(), width * height
    seconds: float | None = 0.0
    disk = 0.0
    for stage, key in pending.items():
        count = pixels * (shown if stage in ("read", "depth") else made)
        rate = rates.get(key)
        seconds = None if rate is None or seconds is None else seconds + rate.seconds * count / 1e6
        disk += rate.bytes * count / 1e6 if rate else _DISK.get(stage, 0) * count
    return Forecast(
        frames=max(shown, made if goal != "depth" else 0),
        size=(width, height),
        seconds=seconds,
        disk=disk,
        memory=pixels * max(shown, made if goal != "depth" else 0) * _MEMORY[goal],
        device="this CPU" if clip_run.components.device.type == "cpu" else str(clip_run.components.device),
    )


def announce_cost(run: ClipRun | PathRun, goal: str) -> None:
    """Print what a long run takes.

    Raises:
        InvalidInput: the clip cannot be read, or the run does not fit into memory or on the disk.
    """
    clip_run = run if isinstance(run, ClipRun) else run.clip_run
    found = forecast(run, goal)
    if found is None:
        return
    found.check(clip_run.title, clip_run.folder)
    if found.is_long:
        clip_run.components.reporter.note(found.sentence())


def remember_cost(run: ClipRun | PathRun) -> None:
    """Record the time and disk space of the stages that ran, for later forecasts."""
    clip_run = run if isinstance(run, ClipRun) else run.clip_run
    if isinstance(clip_run.clip, Video) or clip_run.stored is None:
        return
    shown, (width, height) = clip_run.selection.num_frames, clip_run.selection.framing.size
    made = clip_run.path_frames or (PHOTO_FRAMES if clip_run.is_photo else shown)
    rates = {}
    for record in clip_run.records:
        count = shown if record.stage in ("read", "depth") else made
        if record.reused or record.cost.seconds < LEAST_SECONDS or not count:
            continue
        amount = count * width * height / 1e6
        size = clip_run.stored.size(record.stage, record.key) or 0
        key = rate_key(clip_run.components, record.stage, _roles(record.stage))
        rates[key] = Rate(seconds=record.cost.seconds / amount, bytes=size / amount)
    record_rates(rates)


def _pending(run: ClipRun | PathRun, goal: str) -> dict[str, str]:
    """Return the stages that must run, with the keys of their rates; empty if the artifact of the goal exists."""
    clip_run = run if isinstance(run, ClipRun) else run.clip_run
    inputs = {"depth": clip_run.depth_inputs}
    if isinstance(run, PathRun):
        inputs |= {"guidance": run.guidance_inputs} | ({"result": run.video_inputs} if goal == "result" else {})
    store = clip_run.stored
    missing = [name for name, each in inputs.items() if not (store and store.size(name, content_key(each)))]
    if goal in inputs and goal not in missing:
        return {}
    return {stage: rate_key(clip_run.components, stage, _roles(stage)) for stage in ("read", *missing)}


def _roles(stage: str) -> tuple[str, ...]:
    """Return the roles whose components determine the time of a stage."""
    found = next(each for each in describe_stages() if each.name == stage)
    return tuple(role for role in found.roles if not ROLES[role].in_cam)


def _free_disk(folder: Path) -> float:
    existing = next((parent for parent in (folder, *folder.absolute().parents) if parent.exists()), None)
    try:
        return math.inf if existing is None else float(shutil.disk_usage(existing).free)
    except OSError:  # the run reports it
        return math.inf


def _even(side: float) -> int:
    """Round a side down to an even number, as codecs need; at least 16."""
    return max(16, int(side) // 2 * 2)


def duration(seconds: float) -> str:
    """Return a rounded duration: seconds, minutes or hours."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"


def size_of(count: float) -> str:
    """Return a number of bytes in GB or MB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, math.ceil(count / 1e6))} MB"
