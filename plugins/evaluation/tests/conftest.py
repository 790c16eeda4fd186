"""Small evaluation folders."""

from fractions import Fraction
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from ex4d_core.plugins.registry import Registry
from ex4d_core.types import Video
from ex4d_core.video_io import write_mask, write_video
from ex4d_evaluation.weights import WEIGHTS

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
def cached(tmp_path, monkeypatch):
    """Return a function that makes the folder of a network in a cache of the hub, which is empty otherwise."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def folder_of(network: str) -> Path:
        files = WEIGHTS[network]
        folder = tmp_path / "hub" / f"{files.kind}s--{files.repo.replace('/', '--')}"
        commit = files.revision if len(files.revision) == 40 else "c" * 40
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / files.revision).write_text(commit)
        place = folder / "snapshots" / commit / files.patterns[0]
        place.parent.mkdir(parents=True)
        return place.parent

    return folder_of


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "eval")


class Seeded:
    """A backbone whose result depends on the seed."""

    def __init__(self, options, *, device):
        """Need nothing."""

    def generate(self, guidance, scene, *, seed, **_):
        return Video(frames=torch.full_like(guidance.color, seed), fps=guidance.fps)


@pytest.fixture
def seeded(monkeypatch):
    """Let the selected backbone be `Seeded`."""
    find = Registry.find

    def found(self, role, name, **given):
        offer = find(self, role, name, **given)
        spec = attrs.evolve(offer.spec, ignores=("prompt",), component=f"{__name__}:Seeded")
        return attrs.evolve(offer, spec=spec) if role == "backbone" else offer

    monkeypatch.setattr(Registry, "find", found)
