"""A run never writes over a file that it reads."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from ex4d_core.config.run_config import make_config
from ex4d_core.errors import OutputFailed
from ex4d_core.pipeline.inputs import input_files, is_input, refuse_inputs
from ex4d_core.runs.batch import run_folders

FLAGS = ("--renderer", "zbuffer", "--cam", "3")


@pytest.fixture
def here(small_clip, tmp_path, monkeypatch):
    """A folder with `clip.mp4` and `depth.npy`."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(small_clip.video, "clip.mp4")
    shutil.copy(small_clip.depth, "depth.npy")
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "artifacts" not in path.parts}


@pytest.mark.parametrize("how", ["same", "link", "hard link", "link in its place"])
def test_an_input_is_recognized_through_links(here, how):
    clip, output = Path("clip.mp4"), Path("out/color_3.mp4")
    output.parent.mkdir()
    if how == "same":
        clip = output = clip.rename(output)
    elif how == "link":
        clip.rename(output)
        clip.symlink_to(output)
    elif how == "hard link":
        os.link(clip, output)
    else:
        output.symlink_to(clip.absolute())
    with pytest.raises(OutputFailed, match="is an input of this run, which is not overwritten; choose another"):
        refuse_inputs([output], [clip])


def test_all_files_that_options_name_are_inputs(here):
    Path("cams").mkdir()
    for name in ("cams/a.npz", "lens.json", "source.json", "lora.safetensors"):
        Path(name).write_bytes(b"")
    config = make_config(
        {
            "cam": ["a.npz", "30", "broken("],
            "cam_folder": "cams",
            "lens": {"intrinsics": "lens.json"},
            "path": {"source_cameras": "source.json"},
            "depth": {"name": "file", "path": "depth.npy", "kind": "metric"},
            "backbone": {"adapter": "lora.safetensors", "model": "OWNER/NAME", "text": "\0"},
        }
    )
    names = {str(path) for path in input_files(config, Path("clip.mp4"))}
    assert names == {"clip.mp4", "cams/a.npz", "lens.json", "source.json", "depth.npy", "lora.safetensors"}


def test_a_folder_that_contains_an_input_is_one(here):
    Path("maps").mkdir()
    Path("maps/0.png").write_bytes(b"")
    assert is_input(Path("maps"), [Path("maps/0.png")])
    assert not is_input(Path("other"), [Path("maps/0.png")])


@pytest.mark.parametrize("name", ["color_3.mp4", "mask_3.mp4", "result_3.mp4"])
def test_a_run_into_the_folder_of_its_clip_is_refused(ex4d, here, name):
    command = ("run", "-o", ".") if name.startswith("result") else ("recon", "-o", "out")
    Path("out").mkdir()
    clip = Path("out" if command[0] == "recon" else "", name)
    os.rename("clip.mp4", clip)
    if command[0] == "run":  # the run folder of this clip is the one with the name of the clip
        Path("result_3").mkdir()
        clip = clip.rename(Path("result_3") / name)
    before = clip.read_bytes()
    backbone = ("--backbone", "telea") if command[0] == "run" else ()
    code, _, err = ex4d(*command, clip, "--depth-file", "depth.npy", *FLAGS, *backbone)
    assert code == 2
    assert f"{clip} is an input of this run, which is not overwritten; choose another --output-dir" in err
    assert clip.read_bytes() == before


def test_a_result_can_be_the_clip_of_another_run(ex4d, here):
    flags = ("--depth-file", "depth.npy", *FLAGS, "--backbone", "telea")
    assert ex4d("run", "clip.mp4", *flags)[0] == 0
    before = contents(here / "outputs" / "clip")
    code, out, err = ex4d("run", "outputs/clip/result_3.mp4", *flags, "--quiet")
    assert code == 0, err
    assert "outputs/result_3/result_3.mp4" in out
    assert contents(here / "outputs" / "clip") == before


def test_the_folder_of_images_is_not_the_run_folder(here):
    Path("frames").mkdir()
    notes = []
    [folder] = run_folders([Path("frames")], Path(), note=notes.append)
    assert folder == Path(f"{here.name}-frames")
    assert notes == [f"frames is the clip; the outputs of frames are in {folder}"]


def test_nothing_is_written_into_a_folder_of_images(ex4d, here):
    Path("frames").mkdir()
    for index in range(2):
        cv2.imwrite(f"frames/{index}.png", np.full((32, 32, 3), 99, np.uint8))
    np.save("two.npy", np.full((2, 32, 32), 3.0))
    code, _, err = ex4d("recon", "frames", "--depth-file", "two.npy", *FLAGS, "-o", "frames")
    assert (code, "frames is an input of this run, which is not changed" in err) == (2, True)
    assert {path.name for path in Path("frames").iterdir()} == {"0.png", "1.png"}


def test_depth_in_the_run_folder_is_not_overwritten(ex4d, here):
    assert ex4d("depth", "clip.mp4", "--depth-file", "depth.npy", "--no-preview")[0] == 0
    exported = Path("outputs/clip/depth.npz")
    before = exported.read_bytes()
    code, _, err = ex4d("depth", "clip.mp4", "--depth-file", exported, "--focal-px", "40", "--format", "exr")
    assert code == 0, err
    assert f"{exported} is an input of this run; it is not overwritten" in err
    assert exported.read_bytes() == before
    assert Path("outputs/clip/depth_exr/000000.exr").exists()


@pytest.mark.parametrize("flag", ["--color-video", "--mask-video", "--camera"])
def test_generate_does_not_overwrite_its_inputs(ex4d, here, flag):
    os.link("clip.mp4", "out.mp4")
    files = {"--color-video": "clip.mp4", "--mask-video": "mask.mp4", "--camera": "camera.npz"} | {flag: "clip.mp4"}
    before = contents(here)
    arguments = [part for pair in files.items() for part in pair]
    code, _, err = ex4d("generate", *arguments, "--output-video", "out.mp4", "--backbone", "telea")
    assert code == 2
    assert "out.mp4 is an input of this run, which is not overwritten; choose another --output-video" in err
    assert contents(here) == before


@pytest.mark.parametrize(("command", "name"), [("preview", "preview/guidance.mp4"), ("masks", "masks_tracking.png")])
def test_previews_and_masks_do_not_overwrite_their_clip(ex4d, here, command, name):
    clip = Path("outputs/clip") / name
    clip.parent.mkdir(parents=True)
    os.rename("clip.mp4", clip)
    Path("link").mkdir()
    Path("link/clip.mp4").symlink_to(clip.absolute())
    flags = ("--no-depth", "--count", "1") if command == "masks" else ("--depth-file", "depth.npy")
    code, _, err = ex4d(command, "link/clip.mp4", *flags)
    assert (code, f"{clip} is an input of this run, which is not overwritten" in err) == (2, True)


def test_an_edited_configuration_is_kept(ex4d, here):
    flags = ("clip.mp4", "--depth-file", "depth.npy", "-o", "out", "--renderer", "zbuffer")
    assert ex4d("recon", *flags, "--cam", "3")[0] == 0
    config = Path("out/config.toml")
    config.write_text("# mine\n" + config.read_text())
    code, _, err = ex4d("recon", "--config", config)
    assert (code, config.read_text()[:6], "warning" in err) == (0, "# mine", False)
    code, _, err = ex4d("recon", *flags, "--cam", "4")
    assert code == 0
    assert "out/config.toml was changed since it was written; it was renamed to config-edited-1.toml" in err
    assert Path("out/config-edited-1.toml").read_text().startswith("# mine")
