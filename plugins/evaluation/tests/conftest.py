"""Small evaluation folders."""

from fractions import Fraction
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from ex4d_core.types import Video
from ex4d_core.video_io import write_mask, write_video

FPS = Fraction(8)


@attrs.frozen
class Desk:
    """Writes an evaluation folder of random videos; `.mkv` is lossless."""

    folder: Path

    def truth(self, case: str = "a__30", *, frames: int = 4, size: tuple[int, int] = (20, 16), seed: int = 0):
        """Write truth and mask of a case; return them as arrays."""
        rng = np.random.default_rng(seed)
        made = rng.integers(40, 200, (frames, size[1], size[0], 3)).astype(np.uint8)
        known = np.zeros(made.shape[:3], bool)
        known[:, :, : size[0] // 2] = True
        self.video(f"cases/{case}/truth.mkv", made)
        write_mask(torch.from_numpy(known), self.folder / "cases" / case / "known.mkv", fps=FPS)
        return made, known

    def result(self, method: str, frames, case: str = "a__30", *, fps: Fraction = FPS):
        self.video(f"results/{method}/{case}.mkv", frames, fps=fps)

    def video(self, name: str, frames, *, fps: Fraction = FPS):
        frames = torch.from_numpy(np.ascontiguousarray(frames, np.uint8))
        write_video(Video(frames=frames, fps=fps), self.folder / name)


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "eval")
