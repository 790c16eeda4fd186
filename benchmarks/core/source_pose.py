"""How close guidance is to the clip where the target camera is close to the source camera.

    python -m benchmarks.core.source_pose [--clip FILE --depth FILE [--kind inverse]] [--size 256] [--num-frames 25]
        [--set SECTION.OPTION=VALUE ...]

Without a clip, the synthetic room with exact depth. PSNR is over all pixels, holes black, at the frames at which the
camera is at the source pose: all of `static`, the first and the last of `180`. `known` is the smallest visible share
there. `frame 1` is the visible share one frame after the start, and `opens` the largest loss of it from one frame to
the next in the first quarter of the path. The masks of EX-4D:
`--set mesh.max_stretch=0 --set renderer.min_patch=0 --set refine.enabled=false`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ex4d_core.config.run_config import make_config, merge, parse_settings
from ex4d_core.pipeline.clip_run import ClipRun
from ex4d_core.pipeline.session import Session
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import Guidance

CAMS = ("static", "2", "30", "-60", "180")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--depth", type=Path)
    parser.add_argument("--kind", default="auto")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--num-frames", type=int, default=25)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(open_clip(arguments, Path(folder)))


def report(run: ClipRun) -> None:
    """Print a line for each path."""
    print("cam     |  PSNR  known | frame 1  opens")
    for cam in CAMS:
        guidance = run.along(cam).guidance
        psnr, known = at_source(guidance, run.video.frames, cam)
        shares = guidance.mask.float().mean(dim=(1, 2)) * 100
        opens = float((-shares.diff())[: max(len(shares) // 4, 1)].max())
        print(f"{cam:7} | {psnr:5.1f} {known:5.1f}% | {shares[1]:6.2f}% {opens:5.2f}%", flush=True)


def open_clip(arguments: argparse.Namespace, folder: Path) -> ClipRun:
    """Return the clip of the arguments, or that of the room, whose depth is written to a folder."""
    clip, depth = arguments.clip, {"path": str(arguments.depth), "kind": arguments.kind}
    if clip is None:
        scene = room_scene().clip(num_frames=arguments.num_frames, width=arguments.size, height=arguments.size)
        clip, depth = scene.video, {"path": str(folder / "depth.npy"), "kind": "metric"}
        np.save(depth["path"], scene.depth.depth.numpy())
    tree = {"depth": {"name": "file", **depth}, "device": "cpu"}
    return Session(make_config(merge(tree, parse_settings(arguments.set)))).open_clip(clip)


def at_source(guidance: Guidance, frames: Tensor, cam: str) -> tuple[float, float]:
    """Return the smallest PSNR in dB and visible share in % of the frames at the source pose."""
    last = len(frames) - 1
    picked = {"static": list(range(last + 1)), "180": [0, last]}.get(cam, [0])
    error = (guidance.color[picked].float() - frames[picked].float()).square().mean(dim=(1, 2, 3)).clamp_min(1e-9)
    psnr = 10 * torch.log10(255**2 / error)
    return float(psnr.min()), float(guidance.mask[picked].float().mean(dim=(1, 2)).min()) * 100


if __name__ == "__main__":
    main()
