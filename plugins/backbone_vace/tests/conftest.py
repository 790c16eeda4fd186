"""Tiny guidance and options for the tiny VACE."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from ex4d_backbone_vace.backbone import VaceBackbone
from ex4d_backbone_vace.options import VaceOptions
from ex4d_core.progress import silent
from ex4d_core.types import Guidance, Scene, Video
from ex4d_core.workspace import NO_WORKSPACE


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Keep embeddings of prompts where only this test finds them."""
    monkeypatch.setenv("EX4D_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def options(tiny_vace):
    """Make options for the tiny VACE: 2 steps, windows of 9 frames that share 5, 32x32."""

    def make(**given) -> VaceOptions:
        settings = {"steps": 2, "num_frames": 9, "overlap": 5, "size": "32x32", "erode": "0", "model": str(tiny_vace)}
        return VaceOptions(**{**settings, **given})

    return make


@pytest.fixture
def guidance():
    """Make guidance of smooth moving colors whose right half is hidden, but for the first frame."""

    def make(num_frames=9, *, width=32, height=32, hidden=0.5) -> Guidance:
        t, y, x = (torch.linspace(0, 1, count) for count in (num_frames, height, width))
        wave = torch.sin(6 * (t[:, None, None] + y[None, :, None] + x[None, None, :]))
        color = torch.stack([wave, wave.roll(3, 1), wave.roll(3, 2)], dim=-1) * 100 + 128
        mask = torch.ones(num_frames, height, width, dtype=torch.bool)
        mask[1:, :, round(width * (1 - hidden)) :] = False
        return Guidance(color=color.byte() * mask[..., None], mask=mask, fps=Fraction(24))

    return make


@pytest.fixture
def scene():
    """A scene whose first frame is no square."""
    from ex4d_core.testing.contracts._values import room

    found = room(2, width=48, height=32)
    assert isinstance(found, Scene)
    assert isinstance(found.video, Video)
    return found


@pytest.fixture
def generate():
    """Generate with given options, or with a backbone."""

    def generate(options, guidance, scene=None, *, seed=0, backbone=None, progress=silent, workspace=NO_WORKSPACE):
        backbone = backbone or VaceBackbone(options, device=torch.device("cpu"))
        return backbone.generate(guidance, scene, prompt="", seed=seed, progress=progress, workspace=workspace)

    return generate
