"""The page previews and runs paths; here without a browser."""

from __future__ import annotations

import pytest

from ex4d_viewer.serving import serve


@pytest.fixture
def page(run, until):
    with serve(run, host="127.0.0.1", port=0, detail=16, most_frames=2) as served:
        until(lambda: "meshes 2 of 2" in served.page.state, "the scene")
        yield served.page


def test_a_path_is_previewed_while_it_changes_until_another_one_is_selected(page, until):
    assert page.pictures.guidance_label == "Visible region: 100%"
    page._begin_keyframes()
    page.go_to(2)
    until(lambda: "preview" in page.pictures.guidance_label, "the preview")
    before = page.pictures.guidance_label
    page._drop_keyframe()
    page._drop_keyframe()
    until(lambda: page.pictures.guidance_label != before, "the preview of the changed path")
    page._panel.path.value = "20"
    until(lambda: "preview" not in page.pictures.guidance_label, "the guidance of the run")
    assert page.pictures.shown == ("input", "guidance", "result")
    assert not page.alert


def test_a_preview_that_fails_is_told_and_the_next_one_is_shown(page, until, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("ex4d_viewer.small_guidance.with_holes", lambda *_: 1 / 0)
        page._begin_keyframes()
        until(lambda: "ZeroDivisionError" in page.alert, "the error")
    page.go_to(1)
    until(lambda: "preview" in page.pictures.guidance_label and not page.alert, "the preview")


def test_a_run_is_canceled_on_the_page(page, until, run):
    page._begin_keyframes()
    page._start_run()
    page._cancel_run()
    until(lambda: "canceled. Finished" in page.run_text, "the end of the run")
    assert not list(run.glob("result_my_path*"))
    assert not page._run_panel.start.disabled
    assert not page._run_panel.cancel.visible


def test_a_path_that_is_not_there_is_not_run(run, until):
    (depth,) = (run / "artifacts").glob("depth-*")
    depth.rename(run / "elsewhere")
    with serve(run, host="127.0.0.1", port=0, detail=16, most_frames=2) as served:
        served.page._start_run()
        assert served.page.run_text.startswith("**Not run**: ` no path is selected yet")
        served.page._save()
        assert "the run has no depth yet" in served.page._panel.save_result.content


def test_the_run_ends_with_the_page(run, until):
    with serve(run, host="127.0.0.1", port=0, detail=16, most_frames=2) as served:
        until(lambda: "meshes 2 of 2" in served.page.state, "the scene")
        served.page._begin_keyframes()
        served.page._start_run()
    assert not served.page._runner.is_running
    assert not list(run.glob("result_my_path*"))
