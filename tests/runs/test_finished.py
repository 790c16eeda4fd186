"""A finished run is answered without torch, as by a run that imports it; whatever has changed is computed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ex4d_core.pipeline import devices
from ex4d_core.pipeline.session import Session
from ex4d_core.runs import finished
from ex4d_core.runs.finished import finished_session
from ex4d_core.video_io import read_video, write_video

CODE = """
import sys, typer_cli
try: typer_cli.main(sys.argv[1:])
except SystemExit: pass
sys.stderr.write(f"torch: {'torch' in sys.modules}")
"""


@pytest.fixture
def done(ex4d, small_clip, tmp_path, monkeypatch):
    """Run a copy of the small clip; return a function that runs it again and returns the stages and their state."""
    monkeypatch.setenv("EX4D_CACHE", str(tmp_path / "cache"))
    clip, depth = (Path(shutil.copy(file, tmp_path)) for file in (small_clip.video, small_clip.depth))

    def again(*more: object) -> dict[str, bool]:
        code, out, err = ex4d("run", clip.name, "--depth-file", depth.name, "--cam", "30", *more, "--json")
        assert code == 0, err
        return {stage["stage"]: stage["reused"] for stage in json.loads(out)[-1]["stages"]}

    again()
    return again


@pytest.fixture
def answered(monkeypatch):
    """Whether runs were answered as finished, in order."""
    answers = []

    def recorded(*args, **values):
        session = finished_session(*args, **values)
        answers.append(session is not None)
        return session

    monkeypatch.setattr(finished, "finished_session", recorded)
    return answers


REUSED = {"guidance": True, "result": True}


def process(tmp_path, clip, cache):
    command = ("run", clip.video, "--depth-file", clip.depth, "--cam", "30")
    return subprocess.run(
        [sys.executable, "-c", CODE, *map(str, command)],
        check=True, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "EX4D_CACHE": cache},
    )  # fmt: skip


def test_torch_is_not_imported_and_the_words_are_the_same(small_clip, tmp_path):
    process(tmp_path, small_clip, str(tmp_path / "cache"))
    without = process(tmp_path, small_clip, str(tmp_path / "cache"))
    facts = json.loads(Path(tmp_path, "outputs/clip/run.json").read_text())
    usual = process(tmp_path, small_clip, "")
    assert (without.stderr[-12:], usual.stderr[-11:]) == ("torch: False", "torch: True")
    assert without.stdout == usual.stdout
    assert without.stderr.removesuffix("torch: False") == usual.stderr.removesuffix("torch: True")
    assert facts == json.loads(Path(tmp_path, "outputs/clip/run.json").read_text())


def test_a_finished_run_is_answered(done, answered):
    assert done() == REUSED
    assert answered == [True]


def test_a_changed_clip_is_run(done, answered, tmp_path):
    video = read_video("clip.mp4")
    write_video(type(video)(frames=255 - video.frames, fps=video.fps), tmp_path / "clip.mp4")
    assert done()["result"] is False
    assert answered == [False]


def test_changed_depth_is_run(done, answered, small_clip):
    import numpy as np

    name = Path(small_clip.depth).name
    np.save(name, np.load(name) * 1.01)
    assert done() == dict.fromkeys(["read", "depth", "refine", "guidance", "result"], False)
    assert answered == [False]


@pytest.mark.parametrize(
    "option", [("--set", "mesh.min_angle=3"), ("--backbone", "telea"), ("--cam", "20"), ("--fps", "6")]
)
def test_another_option_is_run(done, answered, option):
    assert done(*option)["result"] is False
    assert answered == [False]


def test_another_version_of_a_component_is_run(done, answered, monkeypatch):
    monkeypatch.setattr("ex4d_core.plugins.discovery.__version__", "0.1.1")
    assert done()["guidance"] is False
    assert answered == [False]


@pytest.mark.parametrize("name", ["result_30.mp4", "sheet_30.png", "camera_30.npz"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_a_missing_or_damaged_output_is_written_again(done, answered, name, damage):
    path = Path("outputs/clip", name)
    content = path.read_bytes()
    damage(path)
    done()
    assert answered == [False]
    assert path.read_bytes() == content


def test_meshes_that_are_missing_are_written(done, answered):
    done("--save-mesh", "first")
    assert done("--save-mesh", "first") == REUSED
    assert answered == [False, True]


def test_a_damaged_record_is_started_anew(done, answered):
    Path("outputs/clip/run.json").write_text("{")
    done()
    assert answered == [False]
    assert json.loads(Path("outputs/clip/run.json").read_text())["takes"]["30"]


def test_a_missing_clip_is_an_error(done, ex4d):
    Path("clip.mp4").unlink()
    code, _, err = ex4d("run", "clip.mp4", "--depth-file", "depth.npy", "--cam", "30")
    assert code == 2
    assert "clip.mp4" in err


@pytest.mark.parametrize("change", ["driver", "environment", "torch"])
def test_the_device_of_another_machine_is_found_anew(done, answered, monkeypatch, tmp_path, change):
    if change == "driver":
        driver = tmp_path / "version"
        driver.write_text("580.1")
        monkeypatch.setattr(devices, "_DRIVER", driver)
    elif change == "environment":
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    else:
        monkeypatch.setattr(devices, "find_spec", lambda name: None)
    assert done() == REUSED
    assert answered == [False]


def test_only_the_first_type_of_device_is_taken_from_the_record(monkeypatch, tmp_path):
    monkeypatch.setenv("EX4D_CACHE", str(tmp_path))
    assert devices.recalled_type("auto") is None
    assert devices.device_of("auto").type == devices.recalled_type("auto")
    assert devices.recalled_type("cpu") == "cpu"
    assert devices.recalled_type("cuda:1") is None


def test_a_session_with_a_known_device_chooses_for_it():
    session = Session(device="auto")
    assert session.changed(session.config, device_type="cuda").device_name == "cuda"
    assert session.changed(session.config).device_name == str(session.device)
