"""A run is watched while it goes on: what has come is found, and nothing is made."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from ex4d_core.errors import InputNotFound
from ex4d_core.runs.export import open_run
from ex4d_viewer.run_watcher import RunWatcher


def test_a_finished_run_is_there_at_the_first_look(run):
    watch = RunWatcher(run)
    assert watch.poll()
    assert watch.scene.video.num_frames == 3
    assert (list(watch.paths), list(watch.guidance), list(watch.results)) == (["20"], ["20"], ["20"])
    assert not watch.poll()


def test_depth_guidance_and_result_come_one_after_the_other(ex4d, clip, tmp_path):
    folder = tmp_path / "outputs" / "clip"
    flags = ("--depth-file", clip.with_name("depth.npy"), "--cam", "20", "--renderer", "zbuffer")
    ex4d("recon", clip, *flags, "-o", folder)
    clip_run = open_run(folder)
    artifacts = {path.name.partition("-")[0]: path for path in (folder / "artifacts").iterdir()}
    for name, path in artifacts.items():
        path.rename(folder / name)
    watch = RunWatcher(folder)
    assert not watch.poll()
    assert watch.scene is None
    (folder / "depth").rename(artifacts["depth"])
    assert watch.poll()
    assert (watch.scene is not None, list(watch.paths), watch.guidance) == (True, ["20"], {})
    (folder / "guidance").rename(artifacts["guidance"])
    assert watch.poll()
    assert (list(watch.guidance), watch.results) == (["20"], {})
    assert len(clip_run.records) == 0
    ex4d("run", clip, *flags, "--backbone", "inpaint")
    assert watch.poll()
    assert list(watch.results) == ["20"]


def test_another_path_of_the_same_clip_is_added(run, ex4d, clip):
    watch = RunWatcher(run)
    watch.poll()
    words = ("--renderer", "zbuffer", "--backbone", "inpaint")
    ex4d("run", clip, "--depth-file", clip.with_name("depth.npy"), "--cam", "zoom_in", *words)
    assert watch.poll()
    assert set(watch.results) == {"20", "zoom_in"}


def test_what_keeps_it_from_looking_is_said_and_the_rest_stays(run):
    watch = RunWatcher(run)
    watch.poll()
    (run / "config.toml").write_text("cam = [")
    assert watch.poll()
    assert "is not valid TOML" in watch.trouble
    assert watch.scene is not None
    watch.poll()
    assert "is not valid TOML" in watch.trouble, "until it is"


def test_a_path_whose_file_is_gone_does_not_hide_the_others(run, ex4d, clip):
    keys = {"camera_to_world": [np.eye(4).tolist()] * 3}
    words = ("--depth-file", clip.with_name("depth.npy"), "--renderer", "zbuffer", "--backbone", "inpaint")
    Path("gone.json").write_text(json.dumps(keys))
    for cam in ("gone.json", "zoom_in"):
        assert ex4d("run", clip, *words, "--cam", cam)[0] == 0
    Path("gone.json").unlink()
    watch = RunWatcher(run)
    watch.poll()
    assert set(watch.results) == {"20", "zoom_in"}
    assert "the camera file gone.json does not exist" in watch.trouble


def test_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(InputNotFound, match="is not a run folder"):
        RunWatcher(tmp_path)


def tree(folder):
    """All files below a folder with what is in them, links unresolved."""
    return {path: path.is_dir() or path.is_symlink() or path.read_bytes() for path in sorted(folder.rglob("*"))}


def test_an_artifact_that_cannot_be_read_now_is_told_of_and_stays(run, monkeypatch):
    def fail(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    before = tree(run)
    watch = RunWatcher(run)
    with monkeypatch.context() as broken:
        broken.setattr("ex4d_core.pipeline.store.file_hash", fail)
        assert watch.poll()
        assert "Input/output error" in watch.trouble
        assert watch.scene is None
        watch.poll()
        assert "Input/output error" in watch.trouble, "until it is tried again"
    monkeypatch.setattr("ex4d_viewer.run_watcher.RETRY_AFTER", 0)
    watch._later.clear()
    assert watch.poll()
    assert (watch.trouble, list(watch.results)) == ("", ["20"])
    assert tree(run) == before


def test_a_damaged_artifact_is_told_of_and_stays(run):
    (artifact,) = (run / "artifacts").glob("result-*/*.mkv")
    artifact.write_bytes(artifact.read_bytes()[:-5])
    before = tree(run)
    watch = RunWatcher(run)
    watch.poll()
    assert "result" in watch.trouble
    assert "is damaged" in watch.trouble
    assert (list(watch.guidance), list(watch.results)) == (["20"], [])
    assert tree(run) == before


def test_nothing_is_made_where_the_depth_is_not_there(run):
    watch = RunWatcher(run)
    watch.poll()
    (depth,) = (run / "artifacts").glob("depth-*")
    depth.rename(run / "elsewhere")
    before = tree(run)
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(
        f"seed = 7\n{text}" if "seed" not in text else text.replace("seed = 0", "seed = 7")
    )
    watch.poll()
    before |= {run / "config.toml": (run / "config.toml").read_bytes()}
    assert tree(run) == before


deep = "[" * 10_000 + "]" * 10_000


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "3",
        '{"takes": 3}',
        '{"takes": [1]}',
        f'{{"takes": {deep}}}',
        deep,
        '{"takes": NaN}',
        "9" * 5000,
        "\x00",
    ],
    ids=lambda record: record[:15],
)
def test_a_record_that_is_none_is_told_of_and_survived(run, record):
    watch = RunWatcher(run)
    (run / "run.json").write_text(record)
    watch.poll()
    assert (watch.scene is not None, list(watch.results)) == (True, ["20"])
    assert "run.json" in watch.trouble


@pytest.mark.parametrize(
    "takes",
    [
        ["", "\ud800", "a\x1b[2J", "{}", "[[1]]", "/dev/zero", '"/dev/zero"', "/etc", "roll", "<b>x</b>"],
        [*(f"yaw_{number}" for number in range(1000)), "x" * 10**6],
    ],
)
def test_paths_of_any_name_and_number_are_survived(run, takes):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"takes": {path_run: {} for path_run in ["20", *takes]}}))
    watch = RunWatcher(run)
    watch.poll()
    assert (watch.scene is not None, list(watch.results)) == (True, ["20"])
    assert len(watch.cams) <= 200
    assert all(cam.isprintable() for cam in watch.cams)
    assert "cannot be displayed" in watch.trouble
    assert "unexpected" not in watch.trouble


@pytest.mark.parametrize(
    ("config", "is_valid"),
    [(broken, False) for broken in ("[", deep, f"x = {deep}", f"seed = {'9' * 5000}", "\x00")]
    + [("cam = 3", True), ("clips = []", True)],
)
def test_any_configuration_is_survived(run, config, is_valid):
    watch = RunWatcher(run)
    watch.poll()
    (run / "config.toml").write_text(config)
    watch.poll()
    assert (watch.trouble == "") == is_valid
    assert "20" in watch.results


@pytest.mark.parametrize("kind", ["pipe", "deep", "folder", "empty"])
def test_any_camera_file_is_survived(run, ex4d, clip, kind):
    file = Path("keys.json")
    file.write_text(json.dumps({"camera_to_world": [np.eye(4).tolist()] * 3}))
    words = ("--depth-file", clip.with_name("depth.npy"), "--renderer", "zbuffer", "--backbone", "inpaint")
    assert ex4d("run", clip, *words, "--cam", "keys.json")[0] == 0
    file.unlink()
    {
        "pipe": lambda: os.mkfifo(file),
        "deep": lambda: file.write_text(deep),
        "folder": file.mkdir,
        "empty": file.touch,
    }[kind]()
    watch = RunWatcher(run)
    watch.poll()
    assert "20" in watch.results
    assert "keys.json" in watch.trouble
