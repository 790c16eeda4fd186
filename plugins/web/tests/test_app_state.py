"""Projects that nobody uses are removed while the server runs, also if nobody uploads anything."""

from __future__ import annotations

import os
import threading
import time

import pytest

from ex4d_core.errors import InputNotFound
from ex4d_web.app_state import AppState, find_examples
from ex4d_web.limits import Limits
from ex4d_web.projects import Projects


def test_unused_projects_are_removed_unless_a_job_of_theirs_runs(tmp_path, until, monkeypatch):
    monkeypatch.setattr("ex4d_web.app_state.REMOVE_EVERY", 0.02)
    (tmp_path / "clip.mp4").write_bytes(b"video")
    projects = Projects(tmp_path / "app", hours=1)
    unused, busy, new = (projects.create(tmp_path / "clip.mp4") for _ in range(3))
    state, gate = AppState(projects.root, limits=Limits(hours=1), device="cpu"), threading.Event()
    try:
        state.jobs.submit(busy.name, "Depth", lambda job: gate.wait())
        for project in (unused, busy):
            os.utime(project.folder, (time.time() - 7200,) * 2)
        until(lambda: not unused.folder.exists(), "the removal")
        assert busy.folder.exists()
        gate.set()
        until(lambda: not busy.folder.exists(), "the removal after the job")
        assert new.folder.exists()
        assert state.jobs.latest(busy.name) is None
    finally:
        gate.set()
        state.close()


def test_a_folder_without_examples_is_one_sentence(tmp_path):
    with pytest.raises(InputNotFound, match=r"contains no example; use a folder with NAME/clip\.mp4"):
        find_examples(tmp_path)
