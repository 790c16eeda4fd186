"""Tiny videos, and a depth estimator that is installed for a test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ex4d_core.testing.scenes import room_scene
from ex4d_core.video_io import write_video
from ex4d_training.data import make_job

CAPTIONS = {"a.mp4": "a red ball", "b.mp4": "a blue ball", "d.mp4": "a ball"}
"""Of the videos that can be read; c.mp4, in the middle, is none."""

FLAT = """
import attrs
import torch
from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider
from ex4d_core.types import DepthKind, DepthVideo, Intrinsics

@attrs.frozen
class Options:
    pass

class Slope:
    def __init__(self, options, *, device):
        pass

    def estimate(self, video, *, progress):
        depth = torch.full((video.num_frames, video.height, video.width), 4.0)
        depth[:, :, : video.width // 2] = 2.0
        lens = (Intrinsics.from_fov(width=video.width, height=video.height),)
        return DepthVideo(depth=depth, kind=DepthKind.METRIC, intrinsics=lens)

@hookimpl
def ex4d_depth_estimators():
    return [Provider(name="step", summary="s", license="MIT", component="step_depth:Slope", options=Options)]
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Keep embeddings of prompts where only this test finds them."""
    monkeypatch.setenv("EX4D_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def some_videos(tmp_path_factory) -> Path:
    """Three videos of 12 frames of 64x48 with captions beside them, and a file in the middle that is not a video."""
    folder = tmp_path_factory.mktemp("videos")
    for seed, (name, caption) in enumerate(CAPTIONS.items()):
        write_video(room_scene(seed=seed).clip(num_frames=12, width=64, height=48, fps=12).video, folder / name)
        (folder / name).with_suffix(".txt").write_text(caption)
    (folder / "c.mp4").write_bytes(b"this is not a video")
    (folder / "c.txt").write_text("nothing")
    return folder


@pytest.fixture
def videos(some_videos, tmp_path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(some_videos, tmp_path / "videos"))


@pytest.fixture(scope="session")
def job(tiny_wan):
    """Make a job of 9 frames of 48x32 with 2 masks that need no depth, in float32, 2 videos to a shard."""

    def make(*, masks=None, depth="none", seed=42, **data):
        own = {"frames": 9, "size": "48x32", "min_side": 16, "masks_per_clip": 2, "dtype": "float32", "shard_videos": 2}
        return make_job(
            {
                "data": {**own, **data},
                "masks": {"kind": "tracking"} if masks is None else masks,
                "depth": {"name": depth},
                "backbone": {"model": str(tiny_wan)},
                "renderer": {"name": "zbuffer"},
                "device": "cpu",
                "seed": seed,
            }
        )

    return make


@pytest.fixture
def step_depth(tmp_path, monkeypatch) -> str:
    """Install a depth estimator of that name: a step from 2 to 4 meters."""
    site = tmp_path / "site"
    facts = site / "step_depth-1.0.dist-info"
    facts.mkdir(parents=True)
    (site / "step_depth.py").write_text(FLAT)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: step-depth\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[ex4d]\nstep = step_depth\n")
    monkeypatch.syspath_prepend(str(site))
    return "step"
