"""The picture of a path that is being edited: it is what a run would render, and only the newest one is made."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ex4d_core.preview.pictures import visible_fractions, with_holes
from ex4d_core.types import CameraPath, Video
from ex4d_core.video_io import write_video
from ex4d_viewer.live_preview import LivePreview, Wanted
from ex4d_viewer.page_state import OWN, PageState
from ex4d_viewer.run_watcher import RunWatcher
from ex4d_viewer.small_guidance import SmallFrame, SmallGuidance

SMALL = SmallFrame(picture=np.zeros((4, 4, 3), np.uint8), visible=0.5)


def test_a_preview_is_the_guidance_of_the_run(watch):
    """The clip is smaller than a preview may be, so that nothing is scaled down."""
    guidance = watch.guidance["20"]
    small = SmallGuidance(watch.clip_run)
    for frame in (0, 2, 1):
        found = small.render(watch.paths["20"], frame)
        assert found.visible == pytest.approx(float(visible_fractions(guidance)[frame]), abs=1e-9)
        assert np.array_equal(found.picture, with_holes(guidance.color[frame], guidance.mask[frame]).numpy())


def test_a_preview_is_small_and_sees_about_the_same(watch):
    found = SmallGuidance(watch.clip_run, side=32).render(watch.paths["20"], 2)
    assert found.picture.shape == (24, 32, 3)
    assert found.visible == pytest.approx(float(visible_fractions(watch.guidance["20"])[2]), abs=0.1)


def test_a_preview_has_the_static_background_of_the_run(ex4d, tmp_path):
    frames, depth = np.full((6, 48, 64, 3), 120, np.uint8), np.full((6, 48, 64), 4.0, np.float32)
    frames += (np.arange(64, dtype=np.uint8) % 16 * 4)[:, None]
    for frame in range(6):
        box = np.s_[frame, 16:32, 4 + 8 * frame : 16 + 8 * frame]
        frames[box], depth[box] = (230, 40, 30), 2.0
    write_video(Video(frames=torch.from_numpy(frames), fps=Fraction(12)), Path("moving.mp4"))
    np.save("depth.npy", depth)
    words = ("--depth-file", "depth.npy", "--cam", "20", "--renderer", "zbuffer", "--set", "guidance.background=static")
    assert ex4d("recon", "moving.mp4", *words, "-o", "moving")[0] == 0
    watch = RunWatcher(Path("moving"))
    watch.poll()
    guidance, small = watch.guidance["20"], SmallGuidance(watch.clip_run)
    assert guidance.background.any()
    for frame in range(6):
        found = small.render(watch.paths["20"], frame)
        assert found.visible == pytest.approx(float(visible_fractions(guidance)[frame]), abs=1e-9)


@pytest.fixture
def path(watch) -> CameraPath:
    return watch.paths["20"]


def test_only_the_newest_request_is_rendered(path):
    shown, rendered = [], []
    preview = LivePreview(lambda wanted, small: shown.append((wanted.frame, small)), threading.Event())

    def render(_, frame):
        rendered.append(frame)
        return SMALL

    for frame in range(3):
        preview.ask(Wanted("mine", path, frame))
    preview.work(render, timeout=1)
    preview.work(render, timeout=0)
    assert rendered == [2]
    assert shown == [(2, SMALL)]


def test_a_request_can_be_taken_back_and_asking_does_not_wait(path):
    rendering, finish, shown = threading.Event(), threading.Event(), []
    preview = LivePreview(lambda wanted, _: shown.append(wanted.frame), threading.Event())

    def render(*_):
        rendering.set()
        assert finish.wait(60)
        return SMALL

    preview.ask(Wanted("mine", path, 0))
    thread = threading.Thread(target=preview.work, args=(render,), kwargs={"timeout": 60})
    thread.start()
    assert rendering.wait(60)
    before = time.monotonic()
    preview.ask(Wanted("mine", path, 1))
    preview.ask(None)
    assert time.monotonic() - before < 5
    finish.set()
    thread.join()
    preview.work(render, timeout=0)
    assert shown == [0]


def test_nothing_is_rendered_once_the_page_closes(path):
    over = threading.Event()
    preview = LivePreview(lambda *_: pytest.fail("shown"), over)
    preview.ask(Wanted("mine", path, 0))
    over.set()
    preview.work(lambda *_: pytest.fail("rendered"), timeout=0)


def test_a_preview_is_shown_for_its_path_until_the_run_has_guidance(watch):
    state = PageState(watch)
    state.own = watch.paths["20"]
    assert state.pictures(OWN, 0).guidance is None
    state.preview = OWN, SMALL
    found = state.pictures(OWN, 1)
    assert (found.visible, found.is_preview, found.result) == (0.5, True, None)
    state.preview = "20", SMALL
    found = state.pictures("20", 1)
    assert not found.is_preview
    assert found.guidance.shape == (48, 64, 3)
    assert found.result is not None
    assert torch.equal(state.path(OWN).world_to_camera, watch.paths["20"].world_to_camera)
