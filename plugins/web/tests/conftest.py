"""What the tests of the app share: a small clip, a server, and browsers without a window."""

from __future__ import annotations

import shutil
import time
import warnings
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ex4d_core.types import Video
from ex4d_core.video_io import write_video

with warnings.catch_warnings():  # libraries of Gradio use what Python will remove
    warnings.simplefilter("ignore")
    try:
        import gradio  # noqa: F401  # before filters of warnings apply
    except ImportError:
        collect_ignore_glob = ["test_api.py", "test_in_browser.py", "test_serving.py", "test_many_users.py"]

FRAMES = 6
PATIENCE = 90
"""Seconds that anything on the page may take."""


def write_clip(folder: Path, *, shade: int = 90, frames: int = FRAMES, name: str = "clip.mp4") -> Path:
    """Write a red box that goes to the right before a wall with a pattern, with its depth beside it."""
    rows, columns = np.mgrid[0:48, 0:64]
    wall = np.stack([columns * 4, rows * 5, np.full_like(rows, shade)], axis=-1).clip(0, 255).astype(np.uint8)
    colors, depth = np.repeat(wall[None], frames, axis=0), np.full((frames, 48, 64), 4.0, np.float32)
    for frame in range(frames):
        left = 8 + 24 * frame // frames
        box = np.s_[frame, 16:32, left : left + 16]
        colors[box], depth[box] = (230, 40, 30), 2.0
    folder.mkdir(parents=True, exist_ok=True)
    write_video(Video(frames=torch.from_numpy(colors), fps=Fraction(12)), folder / name)
    np.savez(folder / "depth.npz", depth=depth)
    return folder / name


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """A small clip, with its depth beside it."""
    return write_clip(tmp_path_factory.mktemp("clips") / "box")


@pytest.fixture(scope="session")
def until():
    """Wait until something is so."""

    def wait(condition, what: str, *, patience: float = PATIENCE) -> None:
        end = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < end, f"{what} did not come"
            time.sleep(0.1)

    return wait


@pytest.fixture(scope="module")
def served(tmp_path_factory, clip):
    """An app with one example."""
    from ex4d_web.limits import Limits
    from ex4d_web.serving import Access, serve

    limits = Limits(upload_mb=5, frames=24, side=256)
    folder = tmp_path_factory.mktemp("app")
    with serve(folder, access=Access(port=0), limits=limits, device="cpu", examples=clip.parent.parent) as found:
        yield found


@pytest.fixture(scope="module")
def open_browser(tmp_path_factory):
    """Return a function that starts another browser, with a profile of its own."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not here; on Debian: apt-get install chromium chromium-driver")
    pytest.importorskip("selenium")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    def start():
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update", "--window-size=1200,900"),
            f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
        ):
            options.add_argument(flag)
        service = Service(driver)
        found = webdriver.Chrome(options=options, service=service)
        stack.callback(service.stop)
        stack.callback(found.quit)
        found.set_page_load_timeout(PATIENCE)
        return found

    with ExitStack() as stack:
        yield start
