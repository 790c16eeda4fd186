"""Ten users upload at the same time: nothing is lost, nothing is mixed up, and memory stays bounded."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import psutil
import pytest
import torch
from gradio_client import Client, handle_file

from ex4d_core.types import Video
from ex4d_core.video_io import read_video, write_video

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),  # Gradio counts its events with pandas
]

USERS = 10


def gray_clip(path: Path, shade: int) -> Path:
    """Write a clip of one gray, of 4 frames."""
    frames = torch.full((4, 64, 96, 3), shade, dtype=torch.uint8)
    frames[:, :, 40:60] = 255 - shade
    write_video(Video(frames=frames, fps=Fraction(12)), path)
    return path


def test_ten_uploads_at_once_are_neither_lost_nor_mixed_up(served, tmp_path):
    shades = [20 + 8 * user for user in range(USERS)]
    # All files have one name; two of them are the same file.
    shades[1] = shades[0]

    def use(user: int) -> tuple[str, Path]:
        folder = tmp_path / str(user)
        folder.mkdir()
        clip = gray_clip(folder / "clip.mp4", shades[user])
        client = Client(served.headers["Origin"], headers=served.headers, download_files=folder, verbose=False)
        try:
            opened = client.predict(
                clip_file=handle_file(clip), frames=3, depth_estimator="sketch", api_name="/open_clip"
            )
            _, files = client.predict(project=opened["project"], cam="static", backbone="telea", api_name="/generate")
            return opened["project"], Path(files[0]["path"] if isinstance(files[0], dict) else files[0])
        finally:
            client.close()

    with warnings.catch_warnings(), ThreadPoolExecutor(USERS) as pool:
        warnings.simplefilter("ignore")
        warm = use_first(use, tmp_path)
        before = psutil.Process().memory_info().rss
        results = list(pool.map(use, range(USERS)))
        growth = psutil.Process().memory_info().rss - before
    assert warm
    assert len({project for project, _ in results}) == USERS
    for shade, (_, result) in zip(shades, results, strict=True):
        frames = read_video(result).frames
        assert frames.shape == (3, 64, 96, 3)
        assert abs(float(frames[:, :, :30].float().mean()) - shade) < 3
    assert growth < 200e6, f"{growth / 1e6:.0f} MB more after {USERS} users"


def use_first(use, tmp_path):
    """Load what every job needs, so that it does not count as memory of a user."""
    found = use(0)
    (tmp_path / "0").rename(tmp_path / "warm")
    return found
