"""Clips of any name have a run folder each, in one call and in several, and none leaves the output folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ex4d_core.pipeline.clip_run import ClipRun
from ex4d_core.pipeline.session import Session
from ex4d_core.runs.batch import find_clips, run_folders
from ex4d_core.runs.export import export, open_run
from ex4d_core.types import Video
from ex4d_core.video_io import read_video, write_video


@pytest.fixture
def clips(small_clip, tmp_path):
    """Two clips of one name and other content."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    shutil.copy(small_clip.video, tmp_path / "a" / "c.mp4")
    video = read_video(small_clip.video)
    write_video(Video(frames=255 - video.frames, fps=video.fps), tmp_path / "b" / "c.mp4")
    return "a/c.mp4", "b/c.mp4"


@pytest.fixture
def depth(ex4d, small_clip):
    """Write the depth of a clip."""
    return lambda clip, *more: ex4d("depth", clip, "--depth-file", small_clip.depth, "--no-preview", *more)


def test_clips_of_one_name_have_a_folder_each_in_several_calls_too(depth, clips):
    a, b = clips
    assert depth(a)[2].count("belongs to") == 0
    before = Path("outputs/c/depth.npz").stat()
    code, out, err = depth(b, "--quiet")
    assert (code, out) == (0, "outputs/b-c/depth.npz\n")
    assert "outputs/c belongs to a/c.mp4; the outputs of b/c.mp4 are in outputs/b-c" in err
    for clip, folder in ((a, "c"), (b, "b-c")):
        assert depth(clip, "--quiet")[1] == f"outputs/{folder}/depth.npz\n"
    assert Path("outputs/c/depth.npz").stat().st_mtime_ns == before.st_mtime_ns
    assert {path.name for path in Path("outputs").iterdir()} == {"c", "b-c"}


def test_a_clip_that_was_moved_or_edited_keeps_its_folder(depth, clips):
    a, b = clips
    depth(a)
    Path("elsewhere").mkdir()
    os.rename(a, "elsewhere/c.mp4")
    assert depth("elsewhere/c.mp4", "--quiet")[1] == "outputs/c/depth.npz\n"
    shutil.copy(b, "elsewhere/c.mp4")
    assert depth("elsewhere/c.mp4", "--quiet")[1] == "outputs/c/depth.npz\n"
    assert json.loads(Path("outputs/c/run.json").read_text())["source"]["path"] == os.path.realpath("elsewhere/c.mp4")


def test_masks_of_another_clip_are_not_replaced(ex4d, clips):
    for clip in clips:
        assert ex4d("masks", clip, "--no-depth", "--count", "1")[0] == 0
    assert {path.name for path in Path("outputs").iterdir()} == {"c", "b-c"}


def test_the_last_seed_is_followed_by_the_first(ex4d, small_clip):
    code, out, _ = ex4d("masks", small_clip.video, "--no-depth", "--seed", str(2**64 - 1), "--count", "2", "--json")
    assert code == 0
    assert [mask["seed"] for mask in json.loads(out)[0]["masks"]] == [2**64 - 1, 0]


@pytest.mark.parametrize("name", ["...mp4", "..mp4", " .mp4", ".part-x.mp4", "con.mp4", "a\x1b]0;x.mp4"])
def test_no_clip_is_written_outside_of_the_output_folder(depth, small_clip, tmp_path, monkeypatch, name):
    (tmp_path / "work").mkdir()
    shutil.copy(small_clip.video, tmp_path / "work" / name)
    monkeypatch.chdir("work")
    assert depth(name)[0] == 0
    assert {path.name for path in Path().iterdir()} == {name, "outputs"}
    assert len(list(Path("outputs").iterdir())) == 1
    assert len(list(Path("outputs").glob("*/depth.npz"))) == 1


def test_names_that_some_systems_take_for_one_are_two(tmp_path):
    folders = run_folders([Path("Clip.mp4"), Path("clip.mp4"), Path("clip.mov")], tmp_path)
    assert len({folder.name.casefold() for folder in folders}) == 3


def test_a_folder_is_named_after_what_it_is_not_how_it_is_reached(tmp_path, monkeypatch):
    (tmp_path / "frames").mkdir()
    monkeypatch.chdir(tmp_path / "frames")
    assert [folder.name for folder in run_folders([Path()], tmp_path / "out")] == ["frames"]
    assert [folder.name for folder in run_folders([Path("../frames/..")], tmp_path / "out")] == [tmp_path.name]


def test_a_clip_whose_name_is_not_utf8_can_be_run_and_looked_at(ex4d, small_clip):
    name = os.fsdecode(b"n\xff.mp4")
    shutil.copy(small_clip.video, name)
    flags = ("--depth-file", small_clip.depth, "--cam", "20", "--renderer", "zbuffer")
    code, _, err = ex4d("recon", name, *flags, "-o", "out")
    assert (code, "config.toml has '?' in place of bytes that are not UTF-8" in err) == (0, True)
    assert open_run(Path("out")).along("20").stored_guidance().num_frames == 6


@pytest.mark.slow
def test_the_configuration_is_utf8_whatever_the_locale(small_clip, tmp_path):
    code = (
        "import sys; from ex4d_core.pipeline import session; from ex4d_core.runs import export\n"
        "shot = session.Session(prompt=sys.argv[2]).open_clip(sys.argv[1], folder='out')\n"
        "shot.folder.mkdir(); export._write_config(shot)"
    )
    command = [sys.executable, "-c", code, str(small_clip.video), "日本"]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    assert 'prompt = "日本"' in (tmp_path / "out/config.toml").read_text(encoding="utf-8")


def test_clips_that_cannot_be_looked_at_stay_in_the_list(tmp_path, monkeypatch):
    os.symlink("loop.mp4", tmp_path / "loop.mp4")
    (tmp_path / "closed").mkdir()
    odd = [str(tmp_path / "loop.mp4"), "a\0b.mp4", "a\0*/b.mp4", "x" * 5000, str(tmp_path / "closed")]

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert find_clips(odd) == [Path(text) for text in odd]
    assert len(run_folders(find_clips(odd), tmp_path)) == len(odd)


def test_a_record_that_cannot_be_read_stops_no_other_clip(depth, small_clip, tmp_path):
    (tmp_path / "outputs" / "clip" / "run.json").mkdir(parents=True)
    shutil.copy(small_clip.video, "other.mp4")
    code, _, err = depth(str(small_clip.video), "other.mp4", "--quiet")
    assert code == 1
    assert "run.json is a folder, not a regular file" in err
    assert (tmp_path / "outputs" / "other" / "depth.npz").exists()


@pytest.mark.parametrize("text", ['{"files": 3}', '{"takes": []}', "[" * 9999])
def test_a_damaged_record_stops_no_run(ex4d, small_clip, text):
    Path("out").mkdir()
    Path("out/run.json").write_text(text)
    flags = ("--depth-file", small_clip.depth, "--cam", "20", "--renderer", "zbuffer", "-o", "out")
    code, _, err = ex4d("recon", small_clip.video, *flags)
    assert (code, "run-damaged-1.json" in err) == (0, True)
    assert set(json.loads(Path("out/run.json").read_text())["takes"]) == {"20"}


def test_two_clips_in_one_named_folder_lose_nothing(ex4d, clips, small_clip):
    flags = ("--depth-file", small_clip.depth, "--cam", "20", "--renderer", "zbuffer", "-o", "out")
    ex4d("recon", clips[0], *flags)
    first = Path("out/color_20.mp4").read_bytes()
    code, _, err = ex4d("recon", clips[1], *flags)
    assert (code, "warning: out belonged to another clip, a/c.mp4" in err) == (0, True)
    assert Path("out/color_20-other-1.mp4").read_bytes() == first
    assert Path("out/color_20.mp4").read_bytes() != first


@pytest.mark.filterwarnings("ignore:.*another clip:UserWarning")
def test_two_runs_that_began_with_one_folder_keep_what_the_other_wrote(clips, small_clip, tmp_path):
    session = Session(depth={"name": "file", "path": str(small_clip.depth)}, backbone="inpaint", renderer="zbuffer")
    clip_runs = [ClipRun(session, tmp_path / clip, folder=tmp_path / "out") for clip in clips]
    for clip_run in clip_runs:
        clip_run.claim()  # each before the other has written anything
    first = export(clip_runs[0].along("30"), goal="guidance").files["color"].read_bytes()
    export(clip_runs[1].along("30"), goal="guidance")
    assert (tmp_path / "out" / "color_30-other-1.mp4").read_bytes() == first
