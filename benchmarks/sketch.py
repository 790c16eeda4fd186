"""Compare the depth estimator `sketch` with true inverse depth, beside a vertical ramp.

    python -m benchmarks.sketch [CLIPS] [--sheets FOLDER]
    python -m benchmarks.sketch [CLIPS] --focus

Correlations are means over the frames: Pearson's, which is that after the best affine fit of each frame, and
Spearman's. `worst` is the smallest difference to the ramp in a frame. The synthetic room is measured with a camera at
rest and with one that moves. CLIPS has `kitchen` (`source/rgb`, `source/depth` in 16-bit mm, 0 = unknown) and `bus`
(`input.mp4`, `relative_inverse_depth.npz` of Depth Anything V2). For things that stand in front of others, the second
table has the median inverse depth inside and in the ring behind them. `--focus` measures what sharpness, which `sketch`
does not use, adds to the ramp.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from ex4d_core.builtin.depth_sketch import SketchDepth
from ex4d_core.builtin.depth_sketch_options import SketchOptions
from ex4d_core.pictures.contact_sheet import contact_sheet
from ex4d_core.progress import silent
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import CameraPath, Intrinsics, Scene, Video
from ex4d_core.video_io import read_video

Mask = NDArray[np.bool_]

BUS_BOXES = np.array([[0.485, 0.66, 0.62, 0.835], [0.27, 0.58, 0.56, 0.845]])
"""Left, top, right and bottom of the bus in the first and the last frame, as fractions."""

LAMP_LINES = np.array([[91, 80, 88, 125], [67, 70, 65, 125]]) / [768, 432, 768, 432]
"""Upper and lower end of the lamp post above the roof in the first and the last frame, as fractions."""


@attrs.frozen(eq=False)
class Case:
    """A clip with true inverse depth, NaN where unknown, and masks of things with what is behind them."""

    video: Video
    inverse: np.ndarray
    things: dict[str, list[tuple[Mask, Mask]]] = attrs.field(factory=dict)


def room(moving: bool) -> Case:
    """Return the room with its walker, at 512x512 with a camera at rest or at 512x384 with one that moves."""
    if not moving:
        return _walker(room_scene().clip(num_frames=49))
    poses = torch.eye(4).repeat(24, 1, 1)
    poses[:, 0, 3], poses[:, 2, 3] = torch.linspace(0.3, -0.3, 24), torch.linspace(0, -0.2, 24)
    cameras = CameraPath(world_to_camera=poses, intrinsics=Intrinsics.from_fov(width=512, height=384))
    return _walker(room_scene(seed=3).clip(cameras=cameras))


def _walker(scene: Scene) -> Case:
    depth = scene.depth.depth.numpy()
    changes = np.abs(np.diff(depth, axis=0)).max(axis=0) > 0.3
    masks = []
    for frame in depth:
        walker = (frame < 4.6) & changes
        walker[: int(0.4 * len(walker))] = False  # the balloon
        masks.append((walker, _ring(walker, 3, 15) & (frame > 5)))
    return Case(scene.video, 1 / depth, {"walker": masks})


def kitchen(folder: Path) -> Case:
    """Return the real room."""
    pictures = [cv2.imread(str(path))[..., ::-1] for path in sorted((folder / "source/rgb").iterdir())]
    depth = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((folder / "source/depth").iterdir())]
    known = np.where(np.stack(depth) > 0, np.stack(depth), np.nan)
    return Case(Video(frames=torch.from_numpy(np.stack(pictures)), fps=Fraction(30)), 1000 / known)


def bus(folder: Path) -> Case:
    """Return the street with a bus and a lamp post."""
    video = read_video(folder / "input.mp4")
    stored = np.load(folder / "relative_inverse_depth.npz")
    inverse = stored[stored.files[0]].astype(np.float32) / 65535
    size = (video.height, video.width)
    boxes, lamps = [], []
    for part in np.linspace(0, 1, video.num_frames):
        left, top, right, bottom = (1 - part) * BUS_BOXES[0] + part * BUS_BOXES[1]
        box = np.zeros(size, np.uint8)
        corners = np.array([[left, top], [right, bottom]]) * (video.width, video.height)
        cv2.rectangle(box, *corners.astype(int).tolist(), 1, cv2.FILLED)
        inside, ring = cv2.erode(box, np.ones((25, 25))) > 0, _ring(box > 0, 15, 61)
        ring[int(bottom * video.height) :] = False  # the road in front of it
        boxes.append((inside, ring))
        ends = ((1 - part) * LAMP_LINES[0] + part * LAMP_LINES[1]).reshape(2, 2) * (video.width, video.height)
        near_post = cv2.line(np.zeros(size, np.uint8), *ends.round().astype(int).tolist(), 1, 7) > 0
        near = inverse[len(lamps)] > 0.2
        lamps.append((near_post & near, _ring(near_post, 1, 15) & ~near))
    return Case(video, inverse, {"bus": boxes, "lamp post": lamps})


def _ring(mask: Mask, inner: int, outer: int) -> Mask:
    near, far = (cv2.dilate(mask.astype(np.uint8), np.ones((side, side))) > 0 for side in (inner, outer))
    return far & ~near


def cases(folder: Path | None) -> Iterator[tuple[str, Case]]:
    yield "room", room(moving=False)
    yield "moving room", room(moving=True)
    if folder is not None:
        yield from ((read.__name__, read(folder / read.__name__)) for read in (kitchen, bus))


def correlations(maps: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return Pearson's and Spearman's correlation of every second pixel in each frame, [T, 2]."""
    found = []
    for ours, true in zip(maps[:, ::2, ::2], truth[:, ::2, ::2], strict=True):
        known = np.isfinite(true)
        pair = ours[known], true[known]
        found.append((np.corrcoef(*pair)[0, 1], spearmanr(*pair).statistic))
    return np.array(found)


def focus(frame: np.ndarray) -> dict[str, np.ndarray]:
    """Return the logarithms of the energy of the Laplacian, and of its ratio to that of the slope."""
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    side = max(gray.shape) // 20

    def energy(*maps: np.ndarray) -> np.ndarray:
        return np.log(cv2.blur(np.square(maps).sum(axis=0), (side, side)) + 1)

    bends = energy(cv2.Laplacian(gray, cv2.CV_32F))
    slopes = energy(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    return {"energy": bends, "ratio": bends - slopes}


def print_focus(folder: Path | None) -> None:
    """Print the partial correlation of sharpness and true inverse depth, given the ramp, of every fourth frame."""
    table = Table("clip", "measure", "partial correlation", "smallest", "largest")
    for name, case in cases(folder):
        found: dict[str, list[float]] = {}
        for frame, truth in zip(case.video.frames[::4].numpy(), case.inverse[::4], strict=True):
            known = np.isfinite(truth)
            ramp = np.broadcast_to(np.arange(len(truth), dtype=float)[:, None], truth.shape)[known]
            for measure, values in focus(frame).items():
                a, b, c = np.corrcoef([truth[known], values[known], ramp])[np.triu_indices(3, 1)]
                found.setdefault(measure, []).append((a - b * c) / np.sqrt((1 - b * b) * (1 - c * c)))
        for measure, each in found.items():
            table.add_row(name, measure, *(f"{value:+.3f}" for value in (np.mean(each), min(each), max(each))))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="?")
    parser.add_argument("--sheets", type=Path, help="write contact sheets of the depth here")
    parser.add_argument("--focus", action="store_true", help="measure sharpness instead")
    arguments = parser.parse_args()
    if arguments.focus:
        print_focus(arguments.clips)
        return
    figures = Table("clip", "affine", "ramp", "worst", "Spearman", "ramp", "worst", "s/frame")
    regions = Table("clip", "thing", "inside", "behind", "nearer in frames", "smallest difference")
    for name, case in cases(arguments.clips):
        started = time.perf_counter()
        depth = SketchDepth(SketchOptions(), device=torch.device("cpu")).estimate(case.video, progress=silent).depth
        took = (time.perf_counter() - started) / case.video.num_frames
        ours = 1 / depth.numpy()
        ramp = np.broadcast_to(np.arange(ours.shape[1], dtype=float)[:, None], ours.shape)
        found, plain = correlations(ours, case.inverse), correlations(ramp, case.inverse)
        columns = [(found.mean(0)[k], plain.mean(0)[k], (found - plain).min(0)[k]) for k in range(2)]
        figures.add_row(name, *(f"{value:.3f}" for group in columns for value in group), f"{took:.3f}")
        for thing, masks in case.things.items():
            pairs = zip(ours, masks, strict=True)
            medians = np.array(
                [(np.median(m[inside]), np.median(m[ring])) for m, (inside, ring) in pairs if ring.any()]
            )
            apart = medians[:, 0] - medians[:, 1]
            means = (f"{value:.3f}" for value in medians.mean(0))
            regions.add_row(name, thing, *means, f"{(apart > 0).sum()} of {len(apart)}", f"{apart.min():+.3f}")
        if arguments.sheets:
            picture = contact_sheet(
                {"clip": case.video.frames, "sketch": _colored(ours), "truth": _colored(case.inverse)}
            )
            cv2.imwrite(
                str(arguments.sheets / f"{name.replace(', ', '_').replace(' ', '_')}.png"), picture.numpy()[..., ::-1]
            )
    Console().print(figures)
    Console().print(regions)


def _colored(inverse: np.ndarray) -> torch.Tensor:
    low, high = np.nanpercentile(inverse, (1, 99))
    levels = (np.nan_to_num((inverse - low) / (high - low)).clip(0, 1) * 255).astype(np.uint8)
    return torch.from_numpy(np.stack([cv2.applyColorMap(each, cv2.COLORMAP_INFERNO)[..., ::-1] for each in levels]))


if __name__ == "__main__":
    main()
