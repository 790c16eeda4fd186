"""`config.toml` of a run folder repeats the run from any folder, and finds what is there."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ex4d_core.config.run_config import make_config
from ex4d_core.plugins.registry import Registry
from ex4d_core.runs.export import open_run
from ex4d_core.runs.saved_config import read_run_config, run_config_toml

FLAGS = ("--renderer", "zbuffer", "--backbone", "telea")


@pytest.fixture
def project(ex4d, small_clip, tmp_path):
    """A folder with a clip, its depth, a camera path and intrinsics, and the run of them in `results/clip`."""
    folder = tmp_path / "project"
    (folder / "paths").mkdir(parents=True)
    shutil.copy(small_clip.video, folder / "clip.mp4")
    shutil.copy(small_clip.depth, folder / "depth.npy")
    np.save(folder / "lens.npy", np.array([[64.0, 0, 32], [0, 64, 24], [0, 0, 1]]))
    code, _, err = ex4d("recon", small_clip.video, "--depth-file", small_clip.depth, "--cam", "3", "-o", "first")
    assert code == 0, err
    shutil.copy("first/camera_3.npz", folder / "paths" / "swing.npz")
    os.chdir(folder)
    code, _, err = ex4d(
        *("run", "clip.mp4", "--depth-file", "depth.npy", "--cam", "paths/swing.npz", "-o", "results", *FLAGS),
        *("--intrinsics", "lens.npy", "--source-cameras", "paths/swing.npz"),
    )
    assert code == 0, err
    return folder


def contents(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix == ".mp4"}


@pytest.mark.parametrize("place", ["project", "run folder", "elsewhere"])
def test_a_run_is_found_from_any_folder(ex4d, project, tmp_path, place):
    run_folder, before = project / "results" / "clip", contents(project)
    text = (run_folder / "config.toml").read_text()
    os.chdir({"project": project, "run folder": run_folder, "elsewhere": tmp_path}[place])
    config = os.path.relpath(run_folder / "config.toml")
    code, out, err = ex4d("run", "--config", config, "--json")
    assert code == 0, err
    [outcome] = json.loads(out)
    assert all(stage["reused"] for stage in outcome["stages"])
    assert outcome["folder"] == os.path.dirname(config) or place == "run folder"
    assert contents(project) == before
    assert (run_folder / "config.toml").read_text() == text
    code, out, _ = ex4d("run", "--config", config, "-o", tmp_path / "new", "--quiet")
    assert (code, "new/clip/result_swing" in out) == (0, True)


def test_a_moved_project_is_found(ex4d, project, tmp_path):
    os.chdir(tmp_path)
    project.rename("moved")
    shutil.rmtree("first")
    code, out, err = ex4d("run", "--config", "moved/results/clip/config.toml", "--json")
    assert code == 0, err
    assert all(stage["reused"] for stage in json.loads(out)[0]["stages"])


def test_a_moved_run_folder_finds_its_clip(ex4d, project, tmp_path):
    os.chdir(tmp_path)
    os.rename(project / "results" / "clip", "moved")
    code, out, err = ex4d("run", "--config", "moved/config.toml", "--json")
    assert code == 0, err
    [outcome] = json.loads(out)
    assert outcome["folder"] == "moved"
    assert all(stage["reused"] for stage in outcome["stages"])
    assert open_run(Path("moved")).along("paths/swing.npz").stored_video().num_frames == 6


def test_other_clips_go_beside_the_run(ex4d, project, tmp_path):
    os.chdir(tmp_path)
    shutil.copy(project / "clip.mp4", "other.mp4")
    code, out, err = ex4d("recon", "other.mp4", "--config", "project/results/clip/config.toml", "--cam", "2", "--quiet")
    assert code == 0, err
    code, out, err = ex4d("run", "other.mp4", "--config", "project/results/clip/config.toml", "--cam", "2", "--quiet")
    assert "project/results/other/result_2.mp4" in out


def test_a_file_by_hand_names_files_beside_it(tmp_path, monkeypatch):
    (tmp_path / "settings").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("settings/depth.npy", "here.mp4", "settings/take1.mp4", "settings/lora.safetensors"):
        Path(name).write_bytes(b"")
    file = tmp_path / "settings" / "my.toml"
    file.write_text(
        'clips = ["here.mp4", "take*.mp4", "/none.mp4", "missing.mp4", "../gone.mp4"]\n'
        'cam = ["30", "swing.npz"]\ndepth.path = "depth.npy"\n[backbone]\nadapter = "yihouxiang/EX-4D"\n'
    )
    (tmp_path / "settings" / "swing.npz").write_bytes(b"")
    config = make_config(read_run_config(file, Registry()))
    assert config.clips == ("here.mp4", "settings/take*.mp4", "/none.mp4", "missing.mp4", "gone.mp4")
    assert config.depth.options == {"path": "settings/depth.npy"}
    assert config.backbone.options == {"adapter": "yihouxiang/EX-4D"}
    assert (config.cam, config.cam_folder, config.run_folder) == (("30", "swing.npz"), "settings", None)


def test_a_copied_configuration_continues_its_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    Path("clip.mp4").write_bytes(b"")
    text = run_config_toml(make_config({"clips": ["clip.mp4"], "cam": "paths/a.npz"}), Path("run"), Registry())
    assert text.startswith("# Relative paths are relative to this file.\n")
    Path("copy").mkdir()
    Path("copy/config.toml").write_text(text)
    config = make_config(read_run_config(Path("copy/config.toml"), Registry()))
    assert (config.clips, config.run_folder) == (("clip.mp4",), None)
    Path("run/run.json").write_text("{}")
    config = make_config(read_run_config(Path("copy/config.toml"), Registry()))
    assert config.run_folder == os.path.realpath("run")
