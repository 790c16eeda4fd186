"""Plot camera paths from above and from the side, with the scene and the visible coverage of each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from ex4d_core.files import atomic_write
from ex4d_core.preview.path_checks import MIN_VISIBLE, PathWarning, eyes_of, scene_points
from ex4d_core.terminal import printable
from ex4d_core.types import CameraPath, Scene

MOST_POINTS = 6000
"""Largest number of drawn points of the scene."""

BACKGROUND = 4.0
"""Points beyond this multiple of the distance to the subject, such as the sky, are not drawn."""

FRUSTA = 7
"""Number of drawn camera frusta of a path."""

_COLORS = ("#d95f02", "#1b6ca8", "#1b9e77", "#7b3294", "#b8860b", "#c51b7d")


@attrs.frozen(kw_only=True)
class DrawnPath:
    """One path of the plot."""

    path: CameraPath
    visible: Tensor
    """Visible fraction of N frames, [N]."""
    frames: Sequence[int]
    """Numbers of these frames in the path."""
    warnings: Sequence[PathWarning] = ()


def write_plot(paths: Mapping[str, DrawnPath], scene: Scene, file: Path, *, subject: float) -> None:
    """Write the plot as an image.

    Args:
        paths: by `--cam` text.
        scene: the clip and its depth; the first frame is drawn.
        file: the image, `.png`.
        subject: distance from the source camera to the subject, which determines the size of the frusta.

    Raises:
        OutputFailed: the file cannot be written.
    """
    # Without pyplot, matplotlib has no global state and does not look for a window system.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    above, side, coverage = figure.subplot_mosaic(
        [["above", "side"], ["coverage", "coverage"]], height_ratios=[3, 1]
    ).values()
    points, colors = _drawn_points(scene, subject)
    for axes, (across, up), labels in (
        (above, (_x, _z), ("from above", "right", "forward")),
        (side, (_z, _y), ("from the side", "forward", "up")),
    ):
        axes.scatter(across(points), up(points), c=colors, s=3, linewidths=0, rasterized=True)
        for (cam, drawn), color in zip(paths.items(), _cycled(len(paths)), strict=True):
            _draw_path(axes, drawn, cam, color, across, up, subject)
        axes.plot(0, 0, marker="s", color="black", markersize=7, linestyle="none", label="source camera")
        if scene.depth.cameras is not None:
            source = eyes_of(scene.depth.cameras).numpy()
            axes.plot(across(source), up(source), "--", color="black", linewidth=1.2, label="path of the source camera")
        axes.set(title=labels[0], xlabel=f"{labels[1]} (units of the depth)", ylabel=labels[2], aspect="equal")
        _set_limits(axes, paths, points, across, up, subject)
        axes.grid(alpha=0.3)
    legend = figure.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    for entry in legend.get_texts():
        entry.set_parse_math(False)  # a file name may contain two $
    _draw_coverage(coverage, paths)
    with atomic_write(file) as temporary:
        figure.savefig(temporary, format="png")


def _x(points: np.ndarray) -> np.ndarray:
    return points[..., 0]


def _y(points: np.ndarray) -> np.ndarray:
    """Return the height; y of the world points down."""
    return -points[..., 1]


def _z(points: np.ndarray) -> np.ndarray:
    return points[..., 2]


def _cycled(count: int) -> list[str]:
    return [_COLORS[index % len(_COLORS)] for index in range(count)]


def _drawn_points(scene: Scene, subject: float) -> tuple[np.ndarray, np.ndarray]:
    """Return some points of the first frame with their colors, without those far behind the subject."""
    points = scene_points(scene.depth, 0)
    colors = scene.video.frames[0][scene.depth.valid_at(0)]
    near = points[:, 2] <= BACKGROUND * subject
    points, colors = points[near], colors[near]
    step = max(1, len(points) // MOST_POINTS)
    return points[::step].numpy(), colors[::step].numpy() / 255


def _draw_path(axes: Any, drawn: DrawnPath, cam: str, color: str, across: Any, up: Any, subject: float) -> None:
    eyes = eyes_of(drawn.path).numpy()
    axes.plot(across(eyes), up(eyes), color=color, linewidth=2, label=f"--cam {printable(cam)}", zorder=3)
    axes.plot(across(eyes[-1]), up(eyes[-1]), marker="o", color=color, markersize=6, zorder=4)
    for frame in np.linspace(0, len(eyes) - 1, min(FRUSTA, len(eyes))).round().astype(int):
        corners = _frustum(drawn.path, int(frame), subject * 0.15)
        for corner in corners:
            line = np.stack([eyes[frame], corner])
            axes.plot(across(line), up(line), color=color, linewidth=0.7, alpha=0.8, zorder=3)
        around = np.concatenate([corners, corners[:1]])
        axes.plot(across(around), up(around), color=color, linewidth=0.9, alpha=0.8, zorder=3)
    wrong = sorted({frame for warning in drawn.warnings if warning.kind != "holes" for frame in warning.frames})
    if wrong:
        axes.plot(
            across(eyes[wrong]), up(eyes[wrong]), "x", color="red", markersize=9, markeredgewidth=2, zorder=5,
            label="intersects the scene, or jumps",
        )  # fmt: skip


def _frustum(path: CameraPath, frame: int, length: float) -> np.ndarray:
    """Return the corners of the image at a distance in front of the camera, [4, 3] in world coordinates."""
    lens = path.intrinsics_at(frame)
    corners = [
        [(u - lens.cx) / lens.fx, (v - lens.cy) / lens.fy, 1.0]
        for u, v in ((0, 0), (lens.width, 0), (lens.width, lens.height), (0, lens.height))
    ]
    pose = torch.linalg.inv(path.world_to_camera[frame].double())
    placed: np.ndarray = (torch.tensor(corners).double() * length @ pose[:3, :3].T + pose[:3, 3]).numpy()
    return placed


def _set_limits(
    axes: Any, paths: Mapping[str, DrawnPath], points: np.ndarray, across: Any, up: Any, subject: float
) -> None:
    """Set limits that include the paths and the points without outliers."""
    eyes = np.concatenate([eyes_of(drawn.path).numpy() for drawn in paths.values()])
    for pick, setter in ((across, axes.set_xlim), (up, axes.set_ylim)):
        values = pick(eyes)
        shown = np.percentile(pick(points), (2, 98)) if len(points) else values
        low, high = min(values.min(), shown.min()), max(values.max(), shown.max())
        margin = 0.05 * (high - low) + 0.2 * subject
        setter(low - margin, high + margin)


def _draw_coverage(axes: Any, paths: Mapping[str, DrawnPath]) -> None:
    for drawn, color in zip(paths.values(), _cycled(len(paths)), strict=True):
        axes.plot(drawn.frames, 100 * drawn.visible.numpy(), color=color, marker=".")
    axes.axhline(100 * MIN_VISIBLE, color="red", linewidth=0.8, linestyle="--")
    axes.set(title="visible fraction", xlabel="frame of the path", ylabel="% of the image", ylim=(0, 103))
    axes.grid(alpha=0.3)
