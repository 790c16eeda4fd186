"""Table and pictures of the results of tiny.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from benchmarks.training.tiny_clips import View

WIDTH, HEIGHT, MARGIN = 860, 460, 70
COLORS = {"30": (40, 140, 40), "60": (200, 110, 20), "90": (40, 40, 200)}
"""Colors of lines by angle, BGR."""


def table(results: Mapping[str, Any]) -> str:
    """Return PSNR and SSIM on hidden pixels in Markdown: mean over seeds, and the spread between them."""
    lines = [
        "| hidden pixels | known in the view | inpaint | frozen, first frame only | adapter, simulated masks |",
        "|---|---|---|---|---|",
    ]
    for angle, known in results["known"].items():
        ours = [curve[-1][1][angle] for curve in results["curves"]]
        frozen = [each[angle] for each in results["frozen"]]
        cells = [_cell([results["inpaint"][angle]]), _cell(frozen), _cell(ours)]
        lines.append(f"| {angle} degrees | {known:.0%} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(found: Sequence[Mapping[str, float]]) -> str:
    psnr, ssim = ([each[name] for each in found] for name in ("psnr", "ssim"))
    if len(found) == 1:
        return f"{psnr[0]:.2f} dB, {ssim[0]:.3f}"
    return f"{np.mean(psnr):.2f} ± {np.std(psnr):.2f} dB, {np.mean(ssim):.3f} ± {np.std(ssim):.3f}"


def draw_curve(results: Mapping[str, Any], path: Path) -> None:
    """Draw PSNR on hidden pixels over the adapter's steps: a line for each seed and angle, `inpaint` dashed."""
    curves = results["curves"]
    dashed = {angle: each["psnr"] for angle, each in results["inpaint"].items()}
    all_values = [each["psnr"] for curve in curves for _, found in curve for each in found.values()] + [
        *dashed.values()
    ]
    low, high = np.floor(min(all_values)) - 0.5, np.ceil(max(all_values)) + 0.5
    last = max(curve[-1][0] for curve in curves) or 1
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)

    def at(step: float, value: float) -> tuple[int, int]:
        across = MARGIN + (WIDTH - 3 * MARGIN) * step / last
        return round(across), round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / (high - low))

    for value in np.arange(np.ceil(low), high, max(1, round((high - low) / 8))):
        cv2.line(picture, at(0, value), at(last, value), (225, 225, 225))
        _write(picture, f"{value:g}", (MARGIN - 35, at(0, value)[1] + 5))
    for step in np.linspace(0, last, 6):
        _write(picture, f"{step:.0f}", (at(step, low)[0] - 15, HEIGHT - MARGIN + 25))
    for angle, color in COLORS.items():
        for curve in curves:
            points = np.array([at(step, found[angle]["psnr"]) for step, found in curve])
            cv2.polylines(picture, [points], False, color, 2, cv2.LINE_AA)
        _dashes(picture, at(0, dashed[angle]), at(last, dashed[angle]), color)
        ours = np.mean([curve[-1][1][angle]["psnr"] for curve in curves])
        _write(picture, f"{angle} deg", (at(last, 0)[0] + 8, at(last, ours)[1] + 5), color)
    _write(picture, "PSNR on hidden pixels of held-out true views, dB; a line a seed; dashed: inpaint", (MARGIN, 30))
    _write(picture, "steps of the adapter on simulated masks (0: the frozen model)", (MARGIN, HEIGHT - 15))
    cv2.imwrite(str(path), picture)


def _write(picture: Any, text: str, at: tuple[int, int], color: tuple[int, int, int] = (60, 60, 60)) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.48, color, 1, cv2.LINE_AA)


def _dashes(picture: Any, start: tuple[int, int], end: tuple[int, int], color: tuple[int, int, int]) -> None:
    for x in range(start[0], end[0], 14):
        cv2.line(picture, (x, start[1]), (min(x + 7, end[0]), start[1]), color, 1, cv2.LINE_AA)


def draw_views(
    views: Mapping[float, Sequence[View]], made: Mapping[str, Mapping[float, Tensor]], path: Path, *, each: int = 3
) -> None:
    """Draw some views of each angle: rows of frames with visible region, result and ground truth."""
    rows = []
    for angle, of_angle in views.items():
        for number, view in enumerate(of_angle[:each]):
            filled = [frames[angle][number].numpy() for frames in made.values()]
            rows += [_row(frames) for frames in (view.color, *filled, view.truth)] + [None]
    width = next(row.shape[1] for row in rows if row is not None)
    gap = np.full((6, width, 3), 255, np.uint8)
    picture = np.concatenate([gap if row is None else row for row in rows])
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def _row(frames: Any) -> Any:
    row = np.concatenate(list(frames), axis=1)
    return row.repeat(2, axis=0).repeat(2, axis=1)
