"""A path is run in this process: with progress, until it is finished, canceled, or fails with one sentence."""

from __future__ import annotations

import threading

import pytest

from ex4d_core.cameras.language import cam_of_file
from ex4d_core.errors import InvalidInput
from ex4d_viewer.editor import Editor
from ex4d_viewer.path_runner import PathRunner, RunStatus
from ex4d_viewer.run_panel import status_text
from ex4d_viewer.run_watcher import RunWatcher

PATIENCE = 120
"""Seconds that a run of the tests may take."""


class Listener:
    """Records each status of a run."""

    def __init__(self) -> None:
        self.seen: list[RunStatus] = []
        self.ended = threading.Event()
        self.at_each = lambda status: None

    def __call__(self, status: RunStatus) -> None:
        self.seen.append(status)
        self.at_each(status)
        if status.state != "running":
            self.ended.set()

    def end(self) -> RunStatus:
        assert self.ended.wait(PATIENCE), "the run did not end"
        self.ended.clear()
        return self.seen[-1]


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def runner(listener):
    made = PathRunner(listener)
    yield made
    made.cancel()
    made.join(PATIENCE)


def test_a_path_is_run_and_the_next_one_uses_the_loaded_components(runner, listener, watch, run):
    runner.start(watch.clip_run, "zoom_in")
    status = listener.end()
    assert (status.state, status.error) == ("finished", "")
    assert status.files["result"].exists()
    stages = {each.stage for each in listener.seen}
    assert {"guidance", "result"} <= stages
    assert any(each.done == each.total == 3 for each in listener.seen if each.stage == "guidance")
    assert watch.poll()
    assert set(watch.results) == {"20", "zoom_in"}

    renderer = runner._session.renderer()
    runner.start(watch.clip_run, "10")
    assert listener.end().state == "finished"
    assert runner._session.renderer() is renderer


def test_a_path_of_ones_own_is_run_from_its_file(runner, listener, watch, run, server):
    editor = Editor(server, watch.scene, size=0.3, changed=lambda _: None)
    editor.begin(watch.paths["20"], 3)
    cam = cam_of_file(editor.save(run / "paths", "mine"))
    runner.start(watch.clip_run, cam, cam_folder="")
    assert listener.end().state == "finished"
    again = RunWatcher(run)
    again.poll()
    assert cam in again.results
    assert "20" in again.results, "earlier paths are kept"
    assert not again.trouble


def test_a_path_that_cannot_be_run_is_one_sentence(runner, listener, watch):
    runner.start(watch.clip_run, "no_such_move")
    status = listener.end()
    assert status.state == "failed"
    assert "no_such_move" in status.error
    assert "Traceback" not in status.error
    assert status_text(status).startswith("**Failed**: `")


def test_a_run_that_is_canceled_stops_and_the_same_one_can_be_started_again(runner, listener, watch, run):
    listener.at_each = lambda status: runner.cancel() if status.stage == "guidance" else None
    runner.start(watch.clip_run, "zoom_in")
    assert listener.end().state == "canceled"
    assert not list(run.glob("result_zoom_in*"))
    listener.at_each = lambda status: None
    runner.start(watch.clip_run, "zoom_in")
    assert listener.end().state == "finished"


def test_one_path_runs_at_a_time(runner, listener, watch):
    hold = threading.Event()
    listener.at_each = lambda status: hold.wait(PATIENCE)
    runner.start(watch.clip_run, "zoom_in")
    with pytest.raises(InvalidInput, match="a run is in progress on this page; wait for it, or cancel it"):
        runner.start(watch.clip_run, "10")
    runner.cancel()
    hold.set()
    assert listener.end().state == "canceled"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (RunStatus(cam="20", state="running", stage="guidance", done=1, total=3), "` --cam 20 `: ` guidance ` 1 of 3"),
        (RunStatus(cam="20", state="running", stage="starting"), "` --cam 20 `: ` starting `"),
        (RunStatus(cam="20", state="failed", error="a <b>"), "**Failed**: ` a <b> `"),
        (RunStatus(cam="20", state="finished", warnings=("hm",)), "` --cam 20 `: finished\n\n- ` hm `"),
    ],
)
def test_the_status_is_text_and_never_html(status, text):
    assert status_text(status) == text
