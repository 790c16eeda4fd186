"""A run is watched while it goes on: what has come is found, and nothing is made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ex4d_core.errors import InputNotFound
from ex4d_core.run_folder import open_run
from ex4d_viewer.watching import RunWatch


def test_a_finished_run_is_there_at_the_first_look(run):
    watch = RunWatch(run)
    assert watch.poll()
    assert watch.scene.video.num_frames == 3
    assert (list(watch.paths), list(watch.guidance), list(watch.results)) == (["20"], ["20"], ["20"])
    assert not watch.poll()


def test_depth_guidance_and_result_come_one_after_the_other(ex4d, clip, tmp_path):
    folder = tmp_path / "outputs" / "clip"
    flags = ("--depth-file", clip.with_name("depth.npy"), "--cam", "20", "--renderer", "zbuffer")
    ex4d("recon", clip, *flags, "-o", folder)
    shot = open_run(folder)
    artifacts = {path.name.partition("-")[0]: path for path in (folder / "artifacts").iterdir()}
    for name, path in artifacts.items():
        path.rename(folder / name)
    watch = RunWatch(folder)
    assert not watch.poll()
    assert watch.scene is None
    (folder / "depth").rename(artifacts["depth"])
    assert watch.poll()
    assert (watch.scene is not None, list(watch.paths), watch.guidance) == (True, ["20"], {})
    (folder / "guidance").rename(artifacts["guidance"])
    assert watch.poll()
    assert (list(watch.guidance), watch.results) == (["20"], {})
    assert len(shot.records) == 0
    ex4d("run", clip, *flags, "--backbone", "inpaint")
    assert watch.poll()
    assert list(watch.results) == ["20"]


def test_another_path_of_the_same_clip_is_added(run, ex4d, clip):
    watch = RunWatch(run)
    watch.poll()
    words = ("--renderer", "zbuffer", "--backbone", "inpaint")
    ex4d("run", clip, "--depth-file", clip.with_name("depth.npy"), "--cam", "zoom_in", *words)
    assert watch.poll()
    assert set(watch.results) == {"20", "zoom_in"}


def test_what_keeps_it_from_looking_is_said_and_the_rest_stays(run):
    watch = RunWatch(run)
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
    watch = RunWatch(run)
    watch.poll()
    assert set(watch.results) == {"20", "zoom_in"}
    assert "there is no camera file gone.json" in watch.trouble


def test_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(InputNotFound, match="is no run folder"):
        RunWatch(tmp_path)
