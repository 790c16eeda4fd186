"""Time to prepare a clip for training, by stage.

    python -m benchmarks.training.data [--device auto] [--sizes 14B] [--frames 49] [--size 512] [--masks 4] [--repeat 3]

A synthetic clip with exact depth, and encoders of the real sizes with random weights. Depth estimation and the
embedding of captions, which is done once, are not included. Results are medians in seconds, without the first run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.wan.networks import RandomNetworks, Setting
from ex4d_backbone_wan.conditioning import Known
from ex4d_backbone_wan.options import WanOptions
from ex4d_core.masks import FlowTracker, MaskOptions, simulate_masks
from ex4d_core.pipeline.measure import measure
from ex4d_core.pipeline.session import Session
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import Scene
from ex4d_core.video_io import read_video, write_video
from ex4d_training.data import Job
from ex4d_training.data.encode import VideoEncoder
from ex4d_training.data.options import DataOptions
from ex4d_training.data.shot_detection import find_cuts


def steps(args: argparse.Namespace, scene: Scene, path: Path) -> dict[str, Callable[[int], object]]:
    """Return the timed functions, each of the number of the run."""
    session = Session(device=args.device)
    setting = Setting(device=session.device, clip=(args.frames, args.size, args.size), name=args.sizes)
    job = Job(data=DataOptions(frames=args.frames, size=f"{args.size}x{args.size}", masks_per_clip=args.masks))
    networks = RandomNetworks(WanOptions(adapter="none"), setting)
    encoder = VideoEncoder(job, texts=path.parent, networks=networks)
    frames = scene.video.frames
    color = frames.movedim(-1, 1).float() / 255
    mask = torch.rand(frames.shape[:3], generator=torch.Generator().manual_seed(0)) > 0.3
    mask[0] = True  # as in simulated masks, so that the first frame is encoded once
    made = {"builder": session.mesh_builder(), "renderer": session.renderer(), "device": session.device}

    def masked(seed: int, kind: str) -> object:
        make = partial(simulate_masks, scene, options=MaskOptions(kind=kind), tracker=FlowTracker(), **made)
        return [make(seed=100 * seed + number) for number in range(args.masks)]

    def encoded(seed: int) -> object:
        shown = [encoder.shown(Known(color=color, mask=mask.roll(seed + n, 1))) for n in range(args.masks)]
        return [encoder.latents(color * 2 - 1), shown]

    return {
        "read": lambda seed: read_video(path),
        "cuts": lambda seed: find_cuts(frames),
        f"{args.masks} rendering masks": partial(masked, kind="rendering"),
        f"{args.masks} tracking masks": partial(masked, kind="tracking"),
        f"latents of the clip and {args.masks} masks": encoded,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sizes", default="14B", choices=("14B", "tiny"))
    for name, default in (("frames", 49), ("size", 512), ("masks", 4), ("repeat", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    scene = room_scene().clip(num_frames=args.frames, width=args.size, height=args.size)
    table = Table("step", title=f"{args.frames} frames of {args.size}x{args.size}", title_justify="left")
    table.add_column("seconds", justify="right")
    table.add_column("GPU, GiB", justify="right")
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "clip.mp4"
        write_video(scene.video, path)
        for name, step in steps(args, scene, path).items():
            seconds, peak = [], 0
            for run in range(args.repeat + 1):
                with measure() as cost:
                    step(run)
                seconds.append(cost.seconds)
                peak = max(peak, cost.peak_gpu_bytes)
            table.add_row(name, f"{statistics.median(seconds[1:]):.2f}", f"{peak / 2**30:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
