"""A run that fails before it makes anything leaves nothing; one that made something keeps it with its record."""

import os
from pathlib import Path

import pytest

from ex4d_core.builtin.backbone_telea import TeleaBackbone
from ex4d_core.errors import InvalidInput
from ex4d_core.pipeline.failed_runs import leaving_nothing_if_failed
from ex4d_core.pipeline.session import Session


def tree(folder="."):
    return sorted(os.path.relpath(Path(top, name), folder) for top, _, files in os.walk(folder) for name in files)


def fail(*_, **__):
    raise InvalidInput("no room")


@pytest.mark.parametrize("command", ["run", "recon", "depth", "preview", "masks"])
def test_a_command_that_fails_leaves_nothing(ex4d, small_clip, command):
    Path("short.npy").write_bytes(b"no array")
    code, _, err = ex4d(command, small_clip.video, "--depth-file", "short.npy", "-o", "new/outputs")
    assert (code, "short.npy" in err) == (2, True), err
    assert os.listdir() == ["short.npy"]


def test_a_clip_that_does_not_exist_leaves_no_output_folder(ex4d):
    assert ex4d("run", "none.mp4", "--no-download")[0] == 2
    assert os.listdir() == []


def test_generation_that_fails_leaves_no_output_folder(ex4d, small_clip, monkeypatch):
    files = ("--color-video", small_clip.video, "--mask-video", small_clip.video, "--output-video", "new/out.mp4")
    monkeypatch.setattr(TeleaBackbone, "generate", fail)
    code, _, err = ex4d("generate", *files, "--backbone", "telea")
    assert (code, "no room" in err, os.listdir()) == (2, True, [])


def test_a_session_that_fails_leaves_nothing(small_clip, tmp_path):
    (tmp_path / "depth.npy").write_bytes(b"no array")
    session = Session(depth={"name": "file", "path": str(tmp_path / "depth.npy")}, backbone="telea")
    with pytest.raises(InvalidInput, match=r"depth\.npy"):
        session.run(small_clip.video, folder=tmp_path / "a" / "b")
    assert os.listdir(tmp_path) == ["depth.npy"]


def test_what_was_made_or_was_there_stays(tmp_path):
    made, mine, fresh = tmp_path / "made", tmp_path / "mine", tmp_path / "fresh"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    for folder, files in ((made, ("run.json", "artifacts/depth-1/meta.json")), (mine, ("config.toml",)), (fresh, ())):
        with pytest.raises(KeyboardInterrupt), leaving_nothing_if_failed(folder):
            (folder / "artifacts").mkdir(parents=True)
            for name in files:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text("{}")
            raise KeyboardInterrupt
    assert tree(tmp_path) == ["made/artifacts/depth-1/meta.json", "made/run.json", "mine/notes.txt"]
    assert not fresh.exists()
    assert not (mine / "artifacts").exists()
