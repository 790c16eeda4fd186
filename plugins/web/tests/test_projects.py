"""Each upload is a project in a folder of its own, which only its random name opens."""

from __future__ import annotations

import os
import time

import pytest

from ex4d_core.errors import InputNotFound
from ex4d_web.projects import Projects


@pytest.fixture
def projects(tmp_path):
    return Projects(tmp_path / "app", hours=1)


@pytest.fixture
def upload(tmp_path):
    def make(name="clip.mp4", content=b"video"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return make


def test_projects_have_folders_that_others_cannot_guess(projects, upload):
    first, second = projects.create(upload()), projects.create(upload())
    assert len(first.name) == 32
    assert first.name != second.name
    assert first.clip.read_bytes() == b"video"
    assert first.folder.stat().st_mode & 0o077 == 0
    assert projects.root.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["..", "../x", "a" * 32, "A" * 32, "gradio", None, 3, "%2e%2e"])
def test_other_names_open_nothing(projects, name):
    with pytest.raises(InputNotFound, match=r"no longer on the server|upload a clip first"):
        projects.open(name)


def test_a_project_survives_a_restart_of_the_server(projects, upload):
    project = projects.create(upload())
    project.change(cam="orbit:yaw=20", num_frames=5, count=3)
    project.record(depth={"choice": list(project.settings.depth_choice), "files": {"preview": "run/x.mp4"}})
    again = Projects(projects.root, hours=1).open(project.name)
    assert again.settings == project.settings
    assert again.has_depth
    again.change(start=1)
    assert not again.has_depth


def test_a_damaged_record_is_a_project_that_is_gone(projects, upload):
    project = projects.create(upload())
    project.change(cam="30")
    (project.folder / "project.json").write_text('{"settings": {"unknown": 1}, "made": {}}')
    with pytest.raises(InputNotFound):
        Projects(projects.root, hours=1).open(project.name)


def test_old_projects_are_unused(projects, upload):
    old, new = (projects.create(upload()) for _ in range(2))
    os.utime(old.folder, (time.time() - 7200,) * 2)
    assert projects.unused() == [old.name]
    projects.discard(old.name)
    assert [project.folder.exists() for project in (old, new)] == [False, True]
    with pytest.raises(InputNotFound):
        projects.open(old.name)


@pytest.mark.parametrize("name", ["project.json", "run", "PROJECT.json", "a\nb.mp4", ".mp4"])
def test_the_name_of_an_upload_does_not_matter(projects, upload, name):
    project = projects.create(upload(name))
    project.change(cam="30")
    assert project.clip.read_bytes() == b"video"
    assert project.clip.parent == project.folder
    assert Projects(projects.root, hours=1).open(project.name).clip == project.clip


def test_files_that_are_gone_are_not_shown(projects, upload):
    project = projects.create(upload())
    assert project.path("run/none.mp4") is None
    assert project.path("") is None
