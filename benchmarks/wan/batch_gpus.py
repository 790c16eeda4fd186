"""Jobs per hour of `ex4d batch run` and idle share of the GPUs, on one and two GPUs of one machine.

    python -m benchmarks.wan.batch_gpus FOLDER [--workers 1 2] [--clips-per-worker 2] [--steps 4] [--tiny]

writes a cache of the hub with random values of the real sizes to FOLDER (51 GB, see `benchmarks.wan.checkpoints`) and
clips of 49 frames of 512x512, and runs a manifest of them with DepthCrafter and Wan 14B, one process per GPU. The first
job of a process loads the weights. `nvidia-smi` samples the GPUs four times per second; the idle share is that of
samples without any activity.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.wan.checkpoints import REAL, TINY, write_hub_cache
from benchmarks.wan.cold_start import write_clip
from ex4d_core.jobs.manifest import write_manifest

COMMAND = (sys.executable, "-c", "from typer_cli import main; main()", "batch", "run")
_TINY = ("backbone.size=64x64", "backbone.num_frames=9", "backbone.overlap=1", "depth.steps=1")
_QUERY = ("--query-gpu=index,utilization.gpu", "--format=csv,noheader,nounits", "-lms", "250")


@contextmanager
def sampled(file: Path) -> Iterator[None]:
    """Write the activity of the GPUs to a file during the block; nothing without `nvidia-smi`."""
    process = None
    with suppress(FileNotFoundError), file.open("w") as output:
        process = subprocess.Popen(["nvidia-smi", *_QUERY], stdout=output)
    try:
        yield
    finally:
        if process:
            process.terminate()
            process.wait()


def idle_shares(file: Path) -> dict[int, float]:
    """Return the share of samples without activity by GPU."""
    samples: dict[int, list[float]] = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        gpu, comma, percent = line.partition(",")
        if comma and percent.strip().isdecimal():
            samples.setdefault(int(gpu), []).append(float(percent))
    return {gpu: sum(value == 0 for value in values) / len(values) for gpu, values in samples.items()}


def measure(folder: Path, workers: int, arguments: argparse.Namespace) -> None:
    """Run a manifest with a number of workers, and print the figures."""
    clip = write_clip(folder, frames=9 if arguments.tiny else 49, size=64 if arguments.tiny else 512)
    clips = [folder / f"clip{number}.mp4" for number in range(workers * arguments.clips_per_worker)]
    for each in clips:
        shutil.copyfile(clip, each)
    manifest, out = folder / f"manifest{workers}.csv", folder / f"out{workers}"
    manifest.unlink(missing_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    write_manifest(manifest, clips, ["30"])
    settings = [f"backbone.steps={arguments.steps}", *(_TINY if arguments.tiny else ())]
    options = [text for setting in settings for text in ("--set", setting)]
    names = ("--depth", "depthcrafter", "--backbone", "wan", "--workers", str(workers), "--json", "--quiet")
    places = {"HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "EX4D_CACHE": str(folder / f"cache{workers}")}
    gpus = {} if arguments.tiny else {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(workers)))}
    samples = folder / f"gpus{workers}.csv"
    started = time.monotonic()
    with sampled(samples):
        done = subprocess.run(
            [*COMMAND, str(manifest), "-o", str(out), *names, *options],
            env={**os.environ, **places, **gpus},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    seconds = time.monotonic() - started
    rows = json.loads(done.stdout)
    workers_of: dict[str, list[float]] = {}
    for row in rows:
        workers_of.setdefault(row["worker"], []).append(row["seconds"])
        print({key: row[key] for key in ("id", "status", "seconds", "depth_seconds", "result_seconds", "gpu_peak_gib")})
    later = [each for times in workers_of.values() for each in times[1:]]
    good = sum(row["status"] == "done" for row in rows)
    print(f"{workers} worker(s): {good} of {len(rows)} jobs in {seconds:.1f} s, {good / seconds * 3600:.0f} per hour")
    if later:
        mean = sum(later) / len(later)
        print(f"  loaded: {mean:.1f} s per job, {workers * 3600 / mean:.0f} per hour")
    shares = ", ".join(f"GPU {gpu} {share:.0%}" for gpu, share in idle_shares(samples).items() if gpu < workers)
    print(f"  idle, loading included: {shares or 'nvidia-smi is not installed'}")


def main() -> None:
    """Measure each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clips-per-worker", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to try the benchmark on a CPU")
    arguments = parser.parse_args()
    started = time.monotonic()
    write_hub_cache(arguments.folder / "hub", TINY if arguments.tiny else REAL)
    print(f"weights written in {time.monotonic() - started:.0f} s")
    for workers in arguments.workers:
        measure(arguments.folder, workers, arguments)


if __name__ == "__main__":
    main()
