"""Colors of the fill of the `inpaint` backbone beside those of the visible region, on a clip without true views.

    python -m benchmarks.core.fill_colors --clip FILE --depth FILE [--kind inverse] [--cam 30 -60 90 180]

`quarter` is the difference between the mean colors of filled and visible pixels in the lower quarter of a frame, mean
and largest over frames, and `median` the largest difference to the median of the visible ones. `jump` is the largest
change of the mean color of the fill, of any channel, from one frame to the next, where at least 2 % are hidden. All are
in levels.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.core.source_pose import open_clip
from ex4d_backbone_inpaint.backbone import InpaintBackbone
from ex4d_backbone_inpaint.options import InpaintOptions
from ex4d_core.pipeline.stages import generate_video

LEAST = 0.005
"""Smallest hidden share of the lower quarter, and smallest visible one, of frames that count."""

HIDDEN = 0.02
"""Smallest hidden share of frames between which the color of the fill is compared."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--depth", type=Path, required=True)
    parser.add_argument("--kind", default="auto")
    parser.add_argument("--cam", nargs="+", default=["30", "-60", "90", "180"])
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE")
    arguments = parser.parse_args()
    print("cam     | quarter: mean largest median |  jump")
    with tempfile.TemporaryDirectory() as folder:
        run = open_clip(arguments, Path(folder))
        for cam in arguments.cam:
            guidance = run.along(cam).guidance
            backbone = InpaintBackbone(InpaintOptions(), device=torch.device("cpu"))
            report(cam, generate_video(guidance, run.scene, backbone).frames.float(), ~guidance.mask)


def report(cam: str, frames: Tensor, hidden: Tensor) -> None:
    """Print a line for a path."""
    rows = slice(3 * frames.shape[1] // 4, None)
    quarters = [
        (picture[hole].mean(dim=0), picture[~hole])
        for picture, hole in zip(frames[:, rows], hidden[:, rows], strict=True)
        if LEAST < hole.float().mean() < 1 - LEAST
    ]
    to_mean = torch.stack([(fill - visible.mean(dim=0)).abs().mean() for fill, visible in quarters])
    to_median = torch.stack([(fill - visible.median(dim=0).values).abs().mean() for fill, visible in quarters])
    counts = [hole.float().mean() > HIDDEN for hole in hidden]
    fills = [picture[hole].mean(dim=0) for picture, hole in zip(frames, hidden, strict=True)]
    jumps = [(fills[n] - fills[n - 1]).abs().max() for n in range(1, len(fills)) if counts[n] and counts[n - 1]]
    print(
        f"{cam:7} | {to_mean.mean():13.1f} {to_mean.max():7.1f} {to_median.max():6.1f} | {max(jumps):5.1f}", flush=True
    )


if __name__ == "__main__":
    main()
