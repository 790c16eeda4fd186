"""Compare simulated masks with masks of renderings, at 30, 60 and 90 degrees.

    python -m benchmarks.core.masks [FOLDER] [--seeds 6] [--frames 49] [--clips room bus kitchen flower] [--json]

*real* masks are those of renderings along the arc of EX-4D to either side, eroded as at inference; *rendering* and
*tracking* masks are simulated, with the same angle. FOLDER has `bus/` (`input.mp4`, `relative_inverse_depth.npz`),
`kitchen/` (`source/rgb`, `source/depth`, `cameras.npz`) and `flower/` (`input.mp4`, `mask_180.mp4`, a
rendering of EX-4D; it has no depth, so its masks are tracked random regions). Without FOLDER, only the synthetic room
is measured. Exits with 1 if a mean is out of bounds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import attrs
import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.core.mask_comparison import differences, pooled
from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.geometry.paths import arc_eye, normalized_times
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.masks import FlowTracker, MaskOptions, MaskStatistics, measure, simulate_masks
from ex4d_core.masks.erosion import erode, sample_erosion_sizes
from ex4d_core.pipeline.session import Session
from ex4d_core.pipeline.stages import render_guidance
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import DepthVideo, Intrinsics, Scene, Video
from ex4d_core.video_io import read_mask, read_video

ANGLES = (30, 60, 90)
EROSION = (2, 8)
BOUNDS = {"known": 0.12, "known_last": 0.2, "sizes": 0.2, "flicker": 2.0, "holes": 2.5}
"""Largest deviations of means: differences of fractions; factors of flicker and holes."""


def synthetic(seed: int, frames: int) -> Scene:
    return room_scene(seed=seed).clip(num_frames=frames, width=512, height=512)


def bus(folder: Path, frames: int) -> Scene:
    path = folder / "bus" / "relative_inverse_depth.npz"
    session = Session(
        depth={"name": "file", "path": str(path), "kind": "inverse"}, video={"num_frames": frames}, device="cpu"
    )
    return session.open_clip(folder / "bus" / "input.mp4").scene


def kitchen(folder: Path, frames: int) -> Scene:
    """Real depth, a quarter of it unknown; the source camera's poses are left out, as an ordinary clip has none."""
    source = folder / "kitchen" / "source"
    cameras = np.load(folder / "kitchen" / "cameras.npz")
    raw = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((source / "depth").glob("*.png"))[:frames]]
    depth = torch.from_numpy(np.stack(raw) / float(cameras["depth_scale"])).float()
    video = read_video(source / "rgb", num_frames=frames)
    k, (height, width) = cameras["K"], depth.shape[1:]
    lens = Intrinsics(fx=k[0, 0], fy=k[1, 1], cx=k[0, 2] + 0.5, cy=k[1, 2] + 0.5, width=width, height=height)
    return Scene(
        video=Video(frames=video.frames, fps=Fraction(30)),
        depth=DepthVideo(depth=depth, kind="metric", intrinsics=lens, valid=depth > 0),
    )


def real(scene: Scene, angle: float) -> MaskStatistics:
    """Return the figures of renderings along the arc, to the right and to the left."""
    radius = subject_distance(scene.depth)
    builder = WatertightMesh(WatertightOptions(), device=torch.device("cpu"))
    renderer = ZBufferRenderer(RasterOptions(), device=torch.device("cpu"))
    rows = []
    for seed, end in enumerate((angle, -angle)):
        eyes = [arc_eye(share * end, radius) for share in normalized_times(scene.video.num_frames)]
        path = path_of_eyes(eyes, center=(0.0, 0.0, radius), intrinsics=scene.depth.intrinsics_at(0))
        mask = render_guidance(scene, path, builder, renderer).mask
        rows.append(measure(erode(mask, sample_erosion_sizes(len(mask), EROSION, seed=seed))))
    return pooled(rows)


def simulated(scene: Scene | Video, options: MaskOptions, seeds: int) -> tuple[MaskStatistics, float]:
    """Return the figures of masks and the seconds of processors that one took; every mask starts from nothing."""
    rows, started = [], time.process_time()
    for seed in range(seeds):
        rows.append(measure(simulate_masks(scene, options=options, seed=seed, tracker=FlowTracker()).mask))
    return pooled(rows), (time.process_time() - started) / seeds


def rows_of(name: str, scene: Scene, seeds: int) -> list[dict]:
    rows = []
    for angle in ANGLES:
        rows.append({"clip": name, "angle": angle, "kind": "real", "figures": real(scene, angle), "seconds": None})
        for kind in ("rendering", "tracking"):
            options = MaskOptions(kind=kind, angles=(angle, angle), return_probability=0, erosion=EROSION)
            figures, seconds = simulated(scene, options, seeds)
            rows.append({"clip": name, "angle": angle, "kind": kind, "figures": figures, "seconds": seconds})
    return rows


def flower(folder: Path, frames: int, seeds: int) -> list[dict]:
    """EX-4D's own rendering of its look around, 45 degrees to either side, and masks made without depth."""
    mask = read_mask(folder / "flower" / "mask_180.mp4")[0][:frames]
    figures = measure(erode(mask, sample_erosion_sizes(len(mask), EROSION, seed=0)))
    video = read_video(folder / "flower" / "input.mp4", num_frames=frames)
    made, seconds = simulated(video, MaskOptions(kind="tracking", erosion=EROSION), seeds)
    return [
        {"clip": "flower", "angle": 180, "kind": "real", "figures": figures, "seconds": None},
        {"clip": "flower", "angle": 180, "kind": "tracking", "figures": made, "seconds": seconds},
    ]


def pool(rows: list[dict]) -> list[dict]:
    """Return the mean over clips and angles of each kind."""
    kinds = ("real", "rendering", "tracking")
    with_depth = [row for row in rows if row["angle"] in ANGLES]
    return [
        {"clip": "all with depth", "angle": "", "kind": kind, "seconds": None,
         "figures": pooled(row["figures"] for row in with_depth if row["kind"] == kind)}
        for kind in kinds
    ]  # fmt: skip


def show(rows: list[dict]) -> Table:
    head = ("clip", "angle", "masks", "known", "in the last frame", "holes", "tiny", "small", "middling", "large")
    table = Table(*head, "flicker", "CPU s")
    for row in rows:
        figures = row["figures"]
        shares = [f"{share:.1%}" for share in (figures.known, figures.known_last)]
        parts = [f"{share:.1%}" for share in figures.hidden_in]
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        table.add_row(
            row["clip"], str(row["angle"]), row["kind"], *shares, f"{figures.holes:.1f}", *parts,
            f"{figures.flicker:.2%}", seconds,
        )  # fmt: skip
    return table


def outside(rows: list[dict]) -> list[str]:
    """Return which pooled figures of simulated masks are too far from the real ones."""
    truth, *made = (row["figures"] for row in rows)
    apart = [(row["kind"], differences(figures, truth)) for row, figures in zip(rows[1:], made, strict=True)]
    return [
        f"{kind}: {name} is off by {off[name]:.2f}, more than {limit}"
        for kind, off in apart
        for name, limit in BOUNDS.items()
        if off[name] > limit
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--clips", nargs="+", default=["room", "bus", "kitchen", "flower"])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    scenes: dict[str, Callable[[], Scene]] = {"room": lambda: synthetic(0, given.frames)}
    if given.folder:
        scenes |= {
            "bus": lambda: bus(given.folder, given.frames),
            "kitchen": lambda: kitchen(given.folder, given.frames),
        }
    rows = []
    for name, make in scenes.items():
        if name in given.clips:
            rows += rows_of(name, make(), given.seeds)
    mean = pool(rows) if rows else []
    if given.folder and "flower" in given.clips:
        rows += flower(given.folder, given.frames, given.seeds)
    if given.json:
        print(json.dumps([row | {"figures": attrs.asdict(row["figures"])} for row in rows + mean], indent=2))
    else:
        Console(width=160).print(show(rows + mean))
    problems = outside(mean) if mean else []
    print(*problems, sep="\n", file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
