"""Time of a whole command in a fresh process, on one or several GPUs.

    python -m benchmarks.wan.cold_start FOLDER [--gpus 1 2] [--memory none] [--cases cold finished paths turbo vace]
        [--tiny]

writes a cache of the hub with random values of the real sizes to FOLDER (see `benchmarks.wan.checkpoints`), and a clip
of 49 frames of 512x512, and runs `ex4d run` with DepthCrafter and Wan 14B: cold, with an empty cache of the user;
again, when it is finished; along two new paths, with few steps, whose second path loads nothing; with `--speed turbo`;
and with VACE 1.3B. Denoising is the time of a step between two lines of progress, times the number of steps. All cases
but the second and third compute the depth. Requires the plugins depth-depthcrafter, backbone-wan and backbone-vace; run
it in the root of the repository.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

STEPS = 25
COMMAND = (sys.executable, "-c", "from typer_cli import main; main()", "run")
_PROGRESS = re.compile(r"result: (\d+)/\d+, ")
_TINY = ("backbone.size=64x64", "backbone.num_frames=9", "backbone.overlap=1", "depth.steps=1")


@attrs.frozen
class Case:
    """A command to measure."""

    options: tuple[str, ...]
    """Beside the clip, its output folder and the depth estimator."""
    steps: int
    keeps: bool = False
    """Whether the results of the cases before stay."""


CASES = {
    "cold": Case(("--cam", "30", "--backbone", "wan", "--set", f"backbone.steps={STEPS}"), STEPS),
    "finished": Case(("--cam", "30", "--backbone", "wan", "--set", f"backbone.steps={STEPS}"), STEPS, keeps=True),
    "paths": Case(("--cam", "20", "--cam", "10", "--backbone", "wan", "--set", "backbone.steps=5"), 5, keeps=True),
    "turbo": Case(("--cam", "30", "--backbone", "wan", "--speed", "turbo"), 4),
    "vace": Case(("--cam", "30", "--backbone", "vace", "--set", f"backbone.steps={STEPS}"), STEPS),
}


@attrs.frozen(kw_only=True)
class Figure:
    """Measurements of one command."""

    case: str
    gpus: int
    seconds: float
    """Of the whole process."""
    first_line: float
    """Seconds until the first line of output."""
    denoising: float | None
    """Seconds of all steps of a path; None if nothing was denoised, or too fast for two lines of progress."""
    stages: tuple[dict[str, Any], ...]
    """As `--json` prints them, by path and stage."""


def measure(name: str, options: Sequence[str], *, gpus: int, environment: dict[str, str]) -> Figure:
    """Run the command of a case once.

    Args:
        name: of the case.
        options: of all cases; the clip is the first and the output folder follows "-o".
        gpus: number of GPUs.
        environment: of the process.
    """
    case = CASES[name]
    arguments = [*options, *case.options, *(("--gpus", str(gpus)) if gpus > 1 else ())]
    started = time.monotonic()
    lines: list[tuple[float, str]] = []
    with subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append((time.monotonic() - started, line.rstrip()))
            print(f"{lines[-1][0]:7.1f}  {lines[-1][1]}", flush=True)
    seconds = time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"{name}: the command failed with status {process.returncode}")
    folder = Path(options[options.index("-o") + 1]) / Path(options[0]).stem
    takes = json.loads((folder / "run.json").read_text())["takes"]
    return Figure(
        case=name,
        gpus=gpus,
        seconds=seconds,
        first_line=lines[0][0] if lines else seconds,
        denoising=denoising(lines, case.steps),
        stages=tuple({"cam": cam, **stage} for cam, take in takes.items() for stage in take.get("stages", ())),
    )


def denoising(lines: Sequence[tuple[float, str]], steps: int) -> float | None:
    """Return the seconds of all steps of the first path, from the times of its progress lines."""
    found = [(at, int(match[1])) for at, line in lines if (match := _PROGRESS.match(line))]
    later = [(at, done) for at, done in found if done >= 2]  # 1 is the encoded conditioning
    if len(later) < 2 or later[0][1] >= later[-1][1]:
        return None
    (begin, first), (end, last) = later[0], later[-1]
    return steps * (end - begin) / (last - first)


def write_clip(folder: Path, *, frames: int, size: int) -> Path:
    """Write a clip of moving waves."""
    from benchmarks.depth.depthcrafter import moving_waves
    from ex4d_core.video_io import write_video

    clip = folder / "waves.mp4"
    if not clip.exists():
        write_video(moving_waves(frames, size, size), clip)
    return clip


def run_cases(folder: Path, *, cases: Sequence[str], gpus: Sequence[int], memory: str, tiny: bool) -> list[Figure]:
    """Run the cases with each number of GPUs, and return the figures."""
    clip = write_clip(folder, frames=9 if tiny else 49, size=64 if tiny else 512)
    settings = [text for setting in (_TINY if tiny else ()) for text in ("--set", setting)]
    places = {"HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "EX4D_CACHE": str(folder / "cache")}
    environment = {**os.environ, **places}
    output = folder / "runs"
    options = [str(clip), "--depth", "depthcrafter", "--gpu-memory", memory, *settings, "-o", str(output)]
    figures = []
    for count in gpus:
        for name in cases:
            if not CASES[name].keeps:
                shutil.rmtree(output, ignore_errors=True)
                shutil.rmtree(folder / "cache", ignore_errors=True)  # of prompts too: a new prompt is encoded
            figures.append(measure(name, options, gpus=count, environment=environment))
    return figures


def report(figures: Sequence[Figure]) -> None:
    """Print a table of the commands, and one of their stages."""
    for figure in figures:
        steps = "" if figure.denoising is None else f", denoising {figure.denoising:.1f} s"
        ratio = "" if figure.denoising is None else f", {figure.seconds / figure.denoising:.2f} times"
        start = f"{figure.case} on {figure.gpus} GPU: {figure.seconds:.1f} s, first line {figure.first_line:.1f} s"
        print(f"{start}{steps}{ratio}")
        for stage in figure.stages:
            kept = ("cam", "stage", "reused", "seconds", "load", "compute", "peak_bytes", "peak_gpu_bytes")
            print("    " + json.dumps({key: stage[key] for key in kept if key in stage}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Time ex4d run in a fresh process.")
    parser.add_argument("folder", type=Path, help="for weights and outputs; in memory, such as /dev/shm/cold")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1])
    parser.add_argument("--memory", default="none", help="as --gpu-memory (default none)")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to try it on a CPU")
    given = parser.parse_args()
    writer = [sys.executable, "-m", "benchmarks.wan.checkpoints", str(given.folder / "hub")]
    started = time.monotonic()
    subprocess.run([*writer, *(["--tiny"] if given.tiny else [])], check=True)
    print(f"weights written in {time.monotonic() - started:.0f} s", flush=True)
    report(run_cases(given.folder, cases=given.cases, gpus=given.gpus, memory=given.memory, tiny=given.tiny))


if __name__ == "__main__":
    main()
