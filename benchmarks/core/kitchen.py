"""Compare rendered views with true ones: a real room, recorded with depth along two camera paths.

    python -m benchmarks.core.kitchen FOLDER [--frames 49] [--register] [--sheet sheet.png]

FOLDER has `source/rgb/*.jpg`, `source/depth/*.png` (16 bit, 0 = unknown), `target/rgb/*.jpg` (frame k is the ground
truth of frame k) and `cameras.npz` (`K`, `source_camera_to_world`, `target_camera_to_world` in OpenCV axes,
`depth_scale`).
Exposure may drift between the recordings, so results are also given with the best gain for each frame and channel.
Poses may too: `--register` repeats the measurement with poses fitted to the images.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.geometry.projective import transform_points, unproject_depth
from ex4d_core.geometry.refine_depth import refine_depth
from ex4d_core.geometry.refine_options import RefineOptions
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.pictures.contact_sheet import contact_sheet
from ex4d_core.types import Intrinsics

CPU = torch.device("cpu")
CORNER_ORIGIN = 0.5
"""Offset of principal points from the center of the first pixel to its corner, the origin in ex4d."""

ENOUGH_MATCHES = 20
"""Smallest number of matches that must agree on a pose."""


@attrs.frozen(eq=False)
class Shot:
    """One moment: what the source camera saw, and what the target camera saw at that time."""

    color: torch.Tensor
    """uint8 [H, W, 3]."""
    depth: torch.Tensor
    """float32 [H, W], 0 = unknown."""
    truth: np.ndarray
    """uint8 [H, W, 3]."""
    source_to_target: torch.Tensor
    """float32 [4, 4]: from the source camera's frame to the target camera's."""
    intrinsics: Intrinsics
    """Of both cameras, as the file has them."""


View = tuple[np.ndarray, np.ndarray]
"""Color uint8 [H, W, 3] and mask bool [H, W]."""
Method = Callable[[Shot], View]


def read_shots(folder: Path, count: int) -> list[Shot]:
    cameras = np.load(folder / "cameras.npz")
    names = sorted(path.stem for path in (folder / "source" / "depth").glob("*.png"))[:count]
    moves = np.linalg.inv(cameras["target_camera_to_world"]) @ cameras["source_camera_to_world"]
    return [_read_shot(folder, name, cameras, move) for name, move in zip(names, moves[: len(names)], strict=True)]


def _read_shot(folder: Path, name: str, cameras: Mapping[str, np.ndarray], move: np.ndarray) -> Shot:
    depth = cv2.imread(str(folder / "source" / "depth" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    matrix, (height, width) = cameras["K"], depth.shape
    return Shot(
        color=torch.from_numpy(_read_rgb(folder / "source" / "rgb" / f"{name}.jpg")),
        depth=torch.from_numpy((depth / float(cameras["depth_scale"])).astype(np.float32)),
        truth=_read_rgb(folder / "target" / "rgb" / f"{name}.jpg"),
        source_to_target=torch.from_numpy(move.astype(np.float32)),
        intrinsics=Intrinsics(
            fx=matrix[0, 0], fy=matrix[1, 1], cx=matrix[0, 2], cy=matrix[1, 2], width=width, height=height
        ),
    )


def _read_rgb(path: Path) -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])


def register(shot: Shot) -> Shot:
    """Return the shot with the pose that its own pictures give: SIFT matches, seen in depth, and RANSAC PnP.

    The poses of the file come from tracking depth, at slightly other times than the color, and are pixels off.
    A frame with few matches keeps its pose.
    """
    points, pixels = _matches(shot)
    # OpenCV counts key points from the center of the first pixel, so its K is the file's.
    matrix = shot.intrinsics.matrix()
    found, turn, shift, inliers = cv2.solvePnPRansac(
        points, pixels, matrix, None, iterationsCount=5000, reprojectionError=3.0, flags=cv2.SOLVEPNP_SQPNP
    )
    if not found or len(inliers) < ENOUGH_MATCHES:
        return shot
    kept = inliers[:, 0]
    turn, shift = cv2.solvePnPRefineLM(points[kept], pixels[kept], matrix, None, turn, shift)
    pose = np.eye(4, dtype=np.float32)
    pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(turn)[0], shift[:, 0]
    return attrs.evolve(shot, source_to_target=torch.from_numpy(pose))


def _matches(shot: Shot) -> tuple[np.ndarray, np.ndarray]:
    """Return points [N, 3] in the source camera's frame and where the target sees them, [N, 2]."""
    sift = cv2.SIFT_create(8000)
    ours, our_words = sift.detectAndCompute(cv2.cvtColor(shot.color.numpy(), cv2.COLOR_RGB2GRAY), None)
    theirs, their_words = sift.detectAndCompute(cv2.cvtColor(shot.truth, cv2.COLOR_RGB2GRAY), None)
    pairs = [a for a, b in cv2.BFMatcher().knnMatch(our_words, their_words, k=2) if a.distance < 0.85 * b.distance]
    column, row = np.array([ours[pair.queryIdx].pt for pair in pairs]).round().astype(int).T
    points = unproject_depth(shot.depth, _shifted(shot.intrinsics, CORNER_ORIGIN)).double().numpy()[row, column]
    pixels = np.array([theirs[pair.trainIdx].pt for pair in pairs])
    known = points[:, 2] > 0
    return points[known], pixels[known]


def _shifted(intrinsics: Intrinsics, shift: float) -> Intrinsics:
    return attrs.evolve(intrinsics, cx=intrinsics.cx + shift, cy=intrinsics.cy + shift)


def mesh_view(*, shift: float = CORNER_ORIGIN, refine: RefineOptions | None = None, **options: object) -> Method:
    """Return the method that renders the watertight mesh, of refined depth if asked."""
    builder = WatertightMesh(WatertightOptions(**options), device=CPU)
    renderer = ZBufferRenderer(RasterOptions(), device=CPU)

    def view(shot: Shot) -> View:
        intrinsics = _shifted(shot.intrinsics, shift)
        depth = shot.depth if refine is None else refine_depth(shot.color[None], shot.depth[None], None, refine)[0][0]
        mesh = builder.build(shot.color, depth, intrinsics)
        frame = renderer.render(mesh, shot.source_to_target, intrinsics)
        return frame.color.numpy(), frame.mask.numpy()

    return view


def splat_view(side: int) -> Method:
    """Return the method that paints each known pixel as `side` x `side` pixels, the nearest last."""
    reach = range(-(side // 2), side // 2 + 1)

    def view(shot: Shot) -> View:
        intrinsics = _shifted(shot.intrinsics, CORNER_ORIGIN)
        known = shot.depth > 0
        points = transform_points(shot.source_to_target, unproject_depth(shot.depth, intrinsics)[known]).numpy()
        colors = shot.color[known].numpy()
        order = np.argsort(-points[:, 2], kind="stable")
        points, colors = points[order], colors[order]
        points, colors = points[points[:, 2] > 0], colors[points[:, 2] > 0]
        column = np.floor(intrinsics.fx * points[:, 0] / points[:, 2] + intrinsics.cx).astype(int)
        row = np.floor(intrinsics.fy * points[:, 1] / points[:, 2] + intrinsics.cy).astype(int)
        # Every copy of a far point must be painted before any of a near one, so copies vary fastest.
        rows = (row[:, None] + np.array([i for i in reach for _ in reach])).ravel()
        columns = (column[:, None] + np.array([j for _ in reach for j in reach])).ravel()
        colors = colors.repeat(side * side, axis=0)
        inside = (rows >= 0) & (rows < intrinsics.height) & (columns >= 0) & (columns < intrinsics.width)
        color, mask = np.zeros_like(shot.truth), np.zeros(shot.truth.shape[:2], bool)
        color[rows[inside], columns[inside]] = colors[inside]
        mask[rows[inside], columns[inside]] = True
        return color, mask

    return view


METHODS: Mapping[str, Method] = {
    "watertight mesh": mesh_view(refine=RefineOptions()),
    "watertight mesh, depth not refined": mesh_view(),
    "watertight mesh, as EX-4D": mesh_view(max_stretch=0.0),
    "points, 1 pixel": splat_view(1),
    "points, 3x3 pixels": splat_view(3),
}
"""Compared with one another; all on the pixels that they have in common, too."""

CONVENTIONS: Mapping[str, Method] = {
    "mesh, K + 0.5 (corner origin)": METHODS["watertight mesh, depth not refined"],
    "mesh, K as given": mesh_view(shift=0.0),
    "mesh, depth at pixel corners": mesh_view(shift=0.0, pixel_center=0.0),
    "mesh, rule 'boundary'": mesh_view(occlusion="boundary"),
}
"""What the same mesh gives if pixels are read otherwise, or occlusion is judged otherwise."""


def psnr(color: np.ndarray, truth: np.ndarray, mask: np.ndarray, *, gain: bool) -> float:
    """Return the PSNR in dB on the pixels of a mask, after the best gain for each channel if asked; NaN for none."""
    if not mask.any():
        return float("nan")
    ours, target = color[mask].astype(np.float64), truth[mask].astype(np.float64)
    if gain:
        ours = np.clip(ours * ((ours * target).sum(0) / np.maximum((ours * ours).sum(0), 1e-9)), 0, 255)
    return float(10 * np.log10(255**2 / max(np.mean((ours - target) ** 2), 1e-9)))


def whole_psnr(color: np.ndarray, mask: np.ndarray, truth: np.ndarray) -> float:
    """Return the PSNR in dB on all pixels, after the best gain, with holes filled by `cv2.inpaint`."""
    filled = cv2.inpaint(color, np.where(mask, 0, 255).astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return psnr(filled, truth, np.ones_like(mask), gain=True)


def measure(shots: list[Shot], methods: Mapping[str, Method]) -> tuple[dict[str, list[float]], dict[str, torch.Tensor]]:
    """Return for each method coverage (%) and five PSNRs, means over the shots, and the pictures."""
    figures: dict[str, list[list[float]]] = {name: [] for name in methods}
    pictures: dict[str, list[np.ndarray]] = {name: [] for name in methods}
    for shot in shots:
        views = {name: method(shot) for name, method in methods.items()}
        common = np.logical_and.reduce([mask for _, mask in views.values()])
        for name, (color, mask) in views.items():
            scores = [psnr(color, shot.truth, where, gain=gain) for where in (mask, common) for gain in (False, True)]
            figures[name].append([100 * mask.mean(), *scores, whole_psnr(color, mask, shot.truth)])
            pictures[name].append(color)
    means = {name: np.nanmean(rows, axis=0).tolist() for name, rows in figures.items()}
    return means, {name: torch.from_numpy(np.stack(frames)) for name, frames in pictures.items()}


def report(console: Console, title: str, means: Mapping[str, list[float]]) -> None:
    table = Table(title=title)
    for heading in ("", "seen %", "own dB", "+ gain", "common dB", "+ gain", "filled dB"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=not heading)
    for name, values in means.items():
        table.add_row(name, *(f"{value:.2f}" for value in values))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--register", action="store_true", help="also with poses found by matching the pictures")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet here")
    arguments = parser.parse_args()

    console = Console()
    shots = read_shots(arguments.folder, arguments.frames)
    means, pictures = measure(shots, METHODS)
    report(console, f"{len(shots)} frames, PSNR in dB on pixels that a method shows, and that all show", means)
    report(console, "The same mesh read otherwise", measure(shots, CONVENTIONS)[0])
    if arguments.register:
        registered = [register(shot) for shot in shots]
        changed = sum(new is not old for new, old in zip(registered, shots, strict=True))
        means, pictures = measure(registered, METHODS)
        report(console, f"With poses registered by their pictures ({changed} of {len(shots)} frames)", means)
    if arguments.sheet:
        rows = {"source": torch.stack([shot.color for shot in shots]), **pictures}
        rows["truth"] = torch.from_numpy(np.stack([shot.truth for shot in shots]))
        sheet = contact_sheet(rows).numpy()
        if not cv2.imwrite(str(arguments.sheet), sheet[..., ::-1]):
            raise SystemExit(f"{arguments.sheet} cannot be written")
        console.print(f"Look at {arguments.sheet}.")


if __name__ == "__main__":
    main()
