"""What the tests of the page share: a run of a few small frames, its page, and a browser without a window."""

from __future__ import annotations

import shutil
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import viser

from ex4d_core.types import Video
from ex4d_core.video_io import write_video
from ex4d_viewer.run_watcher import RunWatcher

FRAMES = 3
PATIENCE = 60
"""Seconds that anything on the page may take; the drawing is done without a GPU."""


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """A red box that goes to the right before a wall with a pattern, with its depth beside it."""
    folder = tmp_path_factory.mktemp("clip")
    rows, columns = np.mgrid[0:48, 0:64]
    wall = np.stack([columns * 4, rows * 5, np.full_like(rows, 90)], axis=-1).clip(0, 255).astype(np.uint8)
    frames, depth = np.repeat(wall[None], FRAMES, axis=0), np.full((FRAMES, 48, 64), 4.0, np.float32)
    for frame in range(FRAMES):
        box = np.s_[frame, 16:32, 12 + 12 * frame : 28 + 12 * frame]
        frames[box], depth[box] = (230, 40, 30), 2.0
    write_video(Video(frames=torch.from_numpy(frames), fps=Fraction(12)), folder / "clip.mp4")
    np.save(folder / "depth.npy", depth)
    return folder / "clip.mp4"


@pytest.fixture
def run(ex4d, clip, tmp_path) -> Path:
    """A finished run."""
    words = ("--cam", "20", "--renderer", "zbuffer", "--backbone", "inpaint")
    assert ex4d("run", clip, "--depth-file", clip.with_name("depth.npy"), *words)[0] == 0
    return tmp_path / "outputs" / "clip"


@pytest.fixture
def watch(run):
    """The finished run, looked at once."""
    found = RunWatcher(run)
    found.poll()
    return found


@pytest.fixture
def server():
    """A server without a guard, for parts of the page."""
    made = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def until():
    """Wait until something is so."""

    def wait(condition, what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"{what} did not come"
            time.sleep(0.1)

    return wait


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Chromium without a window, which draws without a GPU."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not here; on Debian: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--window-size=1200,600"),
        *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
        "--host-resolver-rules=MAP evil.example 127.0.0.1",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):
        options.add_argument(flag)
    service = Service(driver)
    found = webdriver.Chrome(options=options, service=service)
    found.set_page_load_timeout(PATIENCE)
    try:
        yield found
    finally:
        found.quit()
        service.stop()


@pytest.fixture
def browser(chromium):
    """The browser, without cookies of other tests."""
    yield chromium
    chromium.get("about:blank")
    for kind in ("Cookies", "Cache"):
        chromium.execute_cdp_cmd(f"Network.clearBrowser{kind}", {})
