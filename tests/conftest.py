"""What many tests share: a small clip with depth, as files, and the command line."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from tests.helpers.fresh_environment import FreshEnvironment, build_wheels, make_environment, projects
from tests.helpers.hub_server import FILES, HubServer

FRAMES, HEIGHT, WIDTH = 6, 48, 64


class ClipFiles(NamedTuple):
    video: Path
    depth: Path


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory) -> ClipFiles:
    """A wall 4 units away and a box 2 units away that moves to the right: 6 frames of 64x48 and their depth."""
    from ex4d_core.types import Video
    from ex4d_core.video_io import write_video

    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    wall = np.stack([columns * 4, rows * 5, np.full_like(rows, 90)], axis=-1).clip(0, 255).astype(np.uint8)
    frames = np.repeat(wall[None], FRAMES, axis=0)
    depth = np.full((FRAMES, HEIGHT, WIDTH), 4.0, np.float32)
    for frame in range(FRAMES):
        box = np.s_[frame, 16:32, 20 + 2 * frame : 36 + 2 * frame]
        frames[box] = (230, 40, 30)
        depth[box] = 2.0
    folder = tmp_path_factory.mktemp("clip")
    write_video(Video(frames=torch.from_numpy(frames), fps=Fraction(12)), folder / "clip.mp4")
    np.save(folder / "depth.npy", depth)
    return ClipFiles(folder / "clip.mp4", folder / "depth.npy")


@pytest.fixture(scope="session")
def fresh(tmp_path_factory) -> FreshEnvironment:
    """An environment with wheels of the core and of every plugin, and without the checkout."""
    folder = tmp_path_factory.mktemp("fresh")
    environment = make_environment(folder, folder / "wheels")
    environment.install(*build_wheels(environment.wheels, projects()))
    environment.take_compiled()
    return environment


@pytest.fixture
def server() -> Iterator[HubServer]:
    """The hub, on this machine."""
    server = HubServer(dict(FILES))
    yield server
    server.close()
