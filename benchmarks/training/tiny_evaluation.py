"""Write the views of `tiny.py` as an evaluation folder, so that `ex4d eval score` scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.training.tiny_clips import FPS, View
from ex4d_core.types import Video
from ex4d_core.video_io import write_mask, write_video


def write_evaluation(
    views: Mapping[float, Sequence[View]], made: Mapping[str, Mapping[float, Tensor]], folder: Path
) -> None:
    """Write true views, masks and the results of methods, lossless.

    Args:
        views: the held-out views by their angle.
        made: by method, then angle: uint8 [N, T, H, W, 3], a video for each view.
        folder: the evaluation folder.
    """
    for angle, of_angle in views.items():
        for number, view in enumerate(of_angle):
            name = f"scene{number}__{angle:g}"
            case = folder / "cases" / name
            _write(torch.from_numpy(view.truth), case / "truth.mkv")
            write_mask(torch.from_numpy(view.mask), case / "known.mkv", fps=Fraction(FPS))
            _write(torch.from_numpy(view.color), folder / "results" / "geometry only" / f"{name}.mkv")
            for method, by_angle in made.items():
                _write(by_angle[angle][number], folder / "results" / method / f"{name}.mkv")


def _write(frames: Tensor, path: Path) -> None:
    write_video(Video(frames=frames, fps=Fraction(FPS)), path)
