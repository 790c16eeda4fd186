"""Say what a long run takes before it starts, and refuse one that cannot fit into memory or on the disk."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal

import attrs

from ex4d_core.errors import InvalidInput
from ex4d_core.memory import available_memory
from ex4d_core.pipeline.artifacts import StageRecord
from ex4d_core.pipeline.clip_run import ClipRun, PathRun
from ex4d_core.pipeline.components import Components
from ex4d_core.pipeline.rates import (
    LEAST_MEGAPIXELS,
    LEAST_SECONDS,
    Rate,
    hardware_of,
    rate_key,
    read_rates,
    record_rates,
)
from ex4d_core.pipeline.stage_order import roles_for_stage
from ex4d_core.pipeline.store import Store, content_key

LONG_SECONDS, LARGE_BYTES, MANY_PIXELS = 20, 1e9, 25e6
"""A forecast above one of these is printed; the pixels of all frames count where the time is unknown."""

_MEMORY = {"read": 3, "depth": 15, "guidance": 18, "result": 24}
"""Bytes for each pixel of each frame up to a stage: the frames (3), their depth (4) and validity (1), the guidance (4)
and the result (3), which are in memory at the same time, and temporary arrays. Measured with 16 and 49 frames."""

_MEMORY_OF_FRAME = 280
"""Bytes for each pixel of the frame that is worked on, for its mesh and its rendering."""

_DISK = {"depth": 2.5, "guidance": 1.5, "result": 1.5}
"""Typical bytes for each pixel of each frame of an artifact and its videos, where nothing was measured."""

_SECONDS = {"read": 0.015, "depth": 0.05, "refine": 0.1, "guidance": 0.05, "result": 0.03}
"""Typical seconds for a million pixels of a frame besides the components: decoding, refinement, encoding."""

_MARGIN = 0.9
"""Fraction of the free memory that frames may take; libraries need the rest."""

Flags = Literal["run", "preview", ""]
"""Flags that make a command cheaper: those of runs, those of previews, or none."""


@attrs.frozen(kw_only=True)
class Pending:
    """A stage that is still to run."""

    stage: str
    frames: int
    size: tuple[int, int]
    """Width and height in pixels."""


@attrs.frozen(kw_only=True)
class Forecast:
    """What the stages that are still to run take."""

    frames: int
    """Of the clip or of the result, whichever is longer."""
    size: tuple[int, int]
    """Width and height in pixels."""
    seconds: float | None
    """None if a stage was never measured on this machine, and a component does not declare its time."""
    measured: float = 0
    """Part of `seconds`, from 0 to 1, of stages that were measured on this machine; the rest is typical times."""
    disk: Mapping[Path, float]
    """Bytes by the folder that they are written to."""
    memory: float
    """Bytes at the same time."""
    memory_of_frame: float = 0
    """The part of them that does not depend on the number of frames."""
    device: str
    flags: Flags = "run"

    @property
    def title(self) -> str:
        """Number and size of the frames."""
        return f"{self.frames} frame{'s' * (self.frames > 1)} of {self.size[0]}x{self.size[1]}"

    @property
    def total_disk(self) -> float:
        """Bytes that are written."""
        return sum(self.disk.values())

    @property
    def is_long(self) -> bool:
        """Whether the user should know before the run starts."""
        if self.total_disk > LARGE_BYTES:
            return True
        if self.seconds is None:
            return self.frames * self.size[0] * self.size[1] > MANY_PIXELS
        return self.seconds > LONG_SECONDS

    def sentence(self) -> str:
        """Return the line that announces the run."""
        time = "" if self.seconds is None else f"about {duration(self.seconds)} on {self.device}"
        disk = f"about {size_of(self.total_disk)} of disk" if self.disk else ""
        cost = f"{self.title}: {', '.join(filter(None, (time, disk))) or 'time unknown'}"
        if not self.flags:
            return cost
        setting, part = self._cheaper()
        if self.seconds is None:
            return f"{cost}; {setting} takes about a {'quarter' if part < 0.5 else 'half'}"
        return f"{cost}; {setting} takes about {duration(self.seconds * part)}"

    def _cheaper(self) -> tuple[str, float]:
        """Return a cheaper setting, and its part of the cost."""
        if max(self.size) > 640 or self.frames < 2:
            return self._size_flag(0.5), 0.25
        return f"--num-frames {self.frames // 2}", 0.5

    def _size_flag(self, scale: float) -> str:
        width, height = (_even(side * scale) for side in self.size)
        return f"--size {width}x{height}" if self.flags == "run" else f"--max-side {max(width, height)}"

    def check(self, title: str) -> None:
        """Check that the run fits into memory and on the disks.

        Raises:
            InvalidInput: it does not; the message names settings that fit.
        """
        free = available_memory() * _MARGIN
        if self.memory > free:
            raise InvalidInput(
                f"{title}: {self.title} take about {size_of(self.memory)} of memory, and {size_of(free)} are free; "
                f"{self._fitting(free / self.memory, fixed=self.memory_of_frame / self.memory)}"
            )
        for folder, amount, free in _file_systems(self.disk):
            if amount > free:
                elsewhere = "another --output-dir" if self.flags else "another --output-video"
                raise InvalidInput(
                    f"{title}: {self.title} take about {size_of(amount)} of the disk of {folder}, and {size_of(free)} "
                    f"are free; {self._fitting(free / amount)}, choose {elsewhere}, or free space: ex4d clean shows "
                    "artifacts that can be made again"
                )

    def _fitting(self, part: float, fixed: float = 0) -> str:
        """Return the settings that need at most a part of the cost, of which another part is fixed for a size."""
        if not self.flags:
            return f"use videos with at most {part:.0%} of the frames or pixels"
        in_time = max(0.0, (part - fixed) / (1 - fixed))
        frames, size = int(self.frames * in_time), self._size_flag(math.sqrt(part))
        if frames < 1:
            return f"use {size}, with fewer frames if need be" if self.frames > 1 else f"use {size}"
        return f"use --num-frames {frames}, {size} or --stride {math.ceil(1 / in_time)}"


def forecast_of(
    components: Components,
    pending: Iterable[Pending],
    *,
    goal: str,
    frames: int,
    size: tuple[int, int],
    folder: Path | None,
    exports: float = 0,
    flags: Flags = "run",
) -> Forecast:
    """Return what stages take.

    Args:
        components: the components of the stages.
        pending: the stages that must run.
        goal: the last stage.
        frames: number of frames in memory at the same time.
        size: width and height of them in pixels.
        folder: the outputs are written here, artifacts below it in `artifacts`; None if nothing is written.
        exports: bytes of outputs besides videos.
        flags: flags of the command that make it cheaper.
    """
    rates, measured, declared, artifacts = read_rates(), 0.0, 0.0, 0.0
    for each in pending:
        pixels = each.size[0] * each.size[1]
        rate = rates.get(rate_key(components, each.stage, _roles(each.stage)))
        if rate is None:
            declared += _declared(components, each)
        else:
            measured += rate.seconds * each.frames * pixels / 1e6
        artifacts += (rate.bytes / 1e6 if rate else _DISK.get(each.stage, 0)) * each.frames * pixels
    seconds = measured + declared
    of_frame = size[0] * size[1] * _MEMORY_OF_FRAME if goal in ("guidance", "result") else 0
    return Forecast(
        frames=frames,
        size=size,
        seconds=None if math.isnan(seconds) else seconds,
        measured=0 if math.isnan(seconds) or not seconds else measured / seconds,
        disk={} if folder is None else {folder / "artifacts": artifacts, folder: exports},
        memory=size[0] * size[1] * frames * _MEMORY[goal] + of_frame,
        memory_of_frame=of_frame,
        device="this CPU" if components.device.type == "cpu" else hardware_of(components),
        flags=flags,
    )


def _declared(components: Components, pending: Pending) -> float:
    """Return the seconds of a stage that its components declare; NaN if one does not."""
    pixels = pending.size[0] * pending.size[1]
    seconds = _SECONDS[pending.stage] * pending.frames * pixels / 1e6
    for role in _roles(pending.stage):
        chosen = components.choose(role)
        declared = chosen.offer.spec.seconds_for(chosen.options, components.device.type)
        seconds += math.nan if declared is None else declared.of(pending.frames, pixels)
    return seconds


def forecast(run: ClipRun | PathRun, goal: str, *, exports: float = 0, ready: Collection[str] = ()) -> Forecast | None:
    """Return what the stages up to a goal take, without reading the clip; None if nothing is left to do.

    Args:
        run: the clip, or the clip along a path.
        goal: the last stage.
        exports: bytes for each pixel of each frame of outputs besides videos.
        ready: stages whose results other runs make before, and leave to this one.

    Raises:
        InvalidInput: the clip cannot be read.
    """
    clip_run = run if isinstance(run, ClipRun) else run.clip_run
    shown, made, size = clip_run.num_frames, clip_run.num_output_frames, clip_run.size
    pending = [
        Pending(stage=stage, frames=made if stage in ("guidance", "result") else shown, size=size)
        for stage in _pending(run, goal)
        if stage not in ready
    ]
    if not pending:
        return None
    most = max(shown, made if goal != "depth" else 0)
    return forecast_of(
        clip_run.components,
        pending,
        goal=goal,
        frames=most,
        size=size,
        folder=clip_run.folder,
        exports=exports * most * size[0] * size[1],
    )


def announce_cost(run: ClipRun | PathRun, goal: str, *, exports: float = 0) -> None:
    """Report what a long run takes.

    Raises:
        InvalidInput: the clip cannot be read, or the run does not fit into memory or on the disk.
    """
    clip_run = run if isinstance(run, ClipRun) else run.clip_run
    announce(clip_run.components, clip_run.title, forecast(run, goal, exports=exports))


def announce(components: Components, title: str, found: Forecast | None) -> None:
    """Check a forecast, and report it if it is long.

    Raises:
        InvalidInput: the run does not fit into memory or on the disk.
    """
    if found is not None:
        found.check(title)
        if found.is_long:
            components.reporter.note(found.sentence())


def remember_cost(run: ClipRun | PathRun) -> None:
    """Record the time and disk space of the stages that ran, for later forecasts."""
    clip_run = run if isinstance(run, ClipRun) else run.clip_run
    frames = {each.stage: clip_run.num_output_frames for each in clip_run.records}
    frames |= dict.fromkeys(("read", "depth", "refine"), clip_run.num_frames)
    remember(clip_run.components, clip_run.records, frames, clip_run.size, store=clip_run.stored)


def remember(
    components: Components,
    records: Iterable[StageRecord],
    frames: Mapping[str, int],
    size: tuple[int, int],
    *,
    store: Store | None = None,
) -> None:
    """Record the time and disk space of stages, for later forecasts.

    Args:
        components: the components of the stages.
        records: the stages that ran or were reused.
        frames: number of frames by stage.
        size: width and height of them in pixels.
        store: has the artifacts; without one, their typical size is recorded.
    """
    rates = {}
    for record in records:
        amount = frames[record.stage] * size[0] * size[1] / 1e6
        if record.reused or record.cost.seconds < LEAST_SECONDS or amount < LEAST_MEGAPIXELS:
            continue
        stored = store.size(record.stage, record.key) if store else None
        disk = _DISK.get(record.stage, 0) * 1e6 if stored is None else stored / amount
        key = rate_key(components, record.stage, _roles(record.stage))
        rates[key] = Rate(seconds=record.cost.seconds / amount, bytes=disk)
    record_rates(rates)


def _pending(run: ClipRun | PathRun, goal: str) -> list[str]:
    """Return the stages that must run; none if the artifact of the goal exists."""
    clip_run = run if isinstance(run, ClipRun) else run.clip_run
    inputs = {} if goal == "read" else {"depth": clip_run.depth_inputs}
    if isinstance(run, PathRun):
        inputs |= {"guidance": run.guidance_inputs} | ({"result": run.video_inputs} if goal == "result" else {})
    store = clip_run.stored
    missing = [name for name, each in inputs.items() if not (store and store.size(name, content_key(each)))]
    if goal in inputs and goal not in missing:
        return []
    if not clip_run.is_in_memory:
        missing.append("read")
    if "guidance" in missing and clip_run.components.config.refine.enabled:
        missing.append("refine")
    return sorted(missing, key=list(_SECONDS).index)


def _roles(stage: str) -> tuple[str, ...]:
    return () if stage == "refine" else roles_for_stage(stage)  # no component takes part


def _file_systems(disk: Mapping[Path, float]) -> Iterable[tuple[Path, float, float]]:
    """Yield a folder, the bytes to write and the free bytes of each file system; one that cannot be read is skipped."""
    found: dict[int, tuple[Path, float, float]] = {}
    for folder, amount in disk.items():
        existing = next((each for each in (folder, *folder.absolute().parents) if each.exists()), None)
        try:
            place, free = os.stat(existing or "."), shutil.disk_usage(existing or ".").free
        except OSError:  # the run reports it
            continue
        _, before, _ = found.get(place.st_dev, (folder, 0.0, free))
        found[place.st_dev] = (existing or folder, before + amount, free)
    return found.values()


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
