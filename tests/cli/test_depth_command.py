"""`ex4d depth`: what it leaves, that nothing is estimated twice, and that edited depth is kept and used."""

import json

import cv2
import numpy as np
import pytest

from ex4d_core.pipeline.codecs import load_depth
from ex4d_core.pipeline.session import Session
from ex4d_core.video_io import read_video


@pytest.fixture
def depth(ex4d, small_clip):
    """Write the depth of the small clip."""
    return lambda *arguments: ex4d("depth", small_clip.video, "--depth-file", small_clip.depth, *arguments)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "outputs" / "clip"


def stages(out):
    return {stage["stage"]: stage["reused"] for stage in json.loads(out)[0]["stages"]}


def depth_used(folder):
    (artifact,) = (folder / "artifacts").glob("depth-*")
    return load_depth(artifact).depth


def test_it_leaves_an_archive_and_a_preview(depth, folder):
    code, out, _ = depth()
    assert code == 0
    names = {"depth.npz", "depth_preview.mp4", "run.json", "config.toml", "artifacts"}
    assert {path.name for path in folder.iterdir()} == names
    assert "outputs/clip/depth_preview.mp4" in out
    assert "cam" not in out
    assert read_video(folder / "depth_preview.mp4").num_frames == 6


def test_it_leaves_what_is_asked_for(depth, folder):
    code, out, err = depth("--format", "png", "--format", "exr", "--no-preview", "--quiet")
    assert (code, err) == (0, "")
    assert out.split() == [f"outputs/clip/{name}" for name in ("depth.npz", "depth_png", "depth_exr")]
    for suffix in ("png", "exr"):
        names = [path.name for path in sorted((folder / f"depth_{suffix}").iterdir())]
        assert names == [*(f"{n:06d}.{suffix}" for n in range(6)), "depth.json"]
    image = cv2.imread(str(folder / "depth_png" / "000000.png"), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint16
    assert (image[0, 0], image[20, 24]) == (4000, 2000)


def test_json_is_all_that_json_prints(depth):
    _, out, err = depth("--json")
    (outcome,) = json.loads(out)
    assert (outcome["cam"], outcome["error"], err) == (None, None, "")
    assert outcome["files"] == {"depth": "outputs/clip/depth.npz", "preview": "outputs/clip/depth_preview.mp4"}


def test_a_run_in_the_same_folder_reuses_the_depth_and_the_other_way_round(depth, ex4d, small_clip):
    depth()
    _, out, _ = ex4d("run", small_clip.video, "--depth-file", small_clip.depth, "--cam", "30", "--json")
    assert stages(out)["depth"] is True
    _, out, _ = depth("--format", "png", "--json")
    assert stages(out) == {"depth": True, "read": False}


def test_the_run_file_keeps_what_the_run_wrote(depth, ex4d, small_clip, folder):
    ex4d("run", small_clip.video, "--depth-file", small_clip.depth, "--cam", "30")
    before = json.loads((folder / "run.json").read_text())
    config = (folder / "config.toml").read_text()
    depth()
    after = json.loads((folder / "run.json").read_text())
    assert after["takes"] == before["takes"]
    assert set(after["files"]) == set(before["files"]) | {"depth.npz", "depth_preview.mp4"}
    assert (folder / "config.toml").read_text() == config


def test_running_again_makes_nothing_anew(depth, folder, monkeypatch):
    depth("--format", "png")
    monkeypatch.setattr("ex4d_core.pipeline.clips.read_video", lambda *_, **__: pytest.fail("decoded"))
    _, out, _ = depth("--format", "png", "--json")
    assert stages(out) == {"depth": True}


def test_the_lens_that_was_given_is_in_the_files(depth, folder):
    depth("--focal-px", "40")
    with np.load(folder / "depth.npz") as arrays:
        assert arrays["intrinsics"].tolist() == [[[40, 0, 32], [0, 40, 24], [0, 0, 1]]]


@pytest.mark.parametrize("name", ["depth.npz", "depth_png", "depth_exr"])
@pytest.mark.parametrize("kind", ["relative", "inverse"])
def test_it_comes_back_by_depth_file_as_it_was(depth, small_clip, folder, name, kind):
    depth("--depth-kind", kind, "--focal-px", "40", "--format", "png", "--format", "exr")
    session = Session(depth={"name": "file", "path": str(folder / name)})
    found = session.open_clip(small_clip.video).scene.depth
    first = depth_used(folder)
    assert found.kind.value == {"relative": "relative", "inverse": "affine-inverse"}[kind]
    assert found.intrinsics[0].fx == 40
    assert ((found.depth / first - 1).abs().max() == 0) == (name != "depth_png")
    assert (found.depth / first - 1).abs().max() < 1e-3


def test_an_edited_frame_makes_another_video(depth, ex4d, small_clip, folder):
    depth("--format", "png")
    file = folder / "depth_png" / "000002.png"
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    image[:8, :8] = 1500
    cv2.imwrite(str(file), image)
    code, _, err = ex4d("run", small_clip.video, "--depth-file", folder / "depth_png", "--cam", "30", "-o", "edited")
    assert code == 0, err
    found = depth_used(folder.parent.parent / "edited" / "clip")
    assert np.allclose(found[2, :8, :8], 1.5)
    assert np.allclose(found[1, :8, :8], 4)


def test_edited_depth_is_kept(depth, folder):
    depth("--format", "png")
    file = folder / "depth_png" / "000002.png"
    cv2.imwrite(str(file), np.full((48, 64), 1500, np.uint16))
    edited = file.read_bytes()
    said = depth("--format", "png")[2]
    assert said.count("warning") == 0
    assert said.count("was changed since it was written; it is not overwritten") == 1
    assert file.read_bytes() == edited
    _, _, err = depth("--format", "png", "--depth-kind", "relative")
    assert err.count("warning") == 1
    assert "depth_png was changed since it was written; it was renamed to depth_png-edited-1" in err
    assert (folder / "depth_png-edited-1" / file.name).read_bytes() == edited
    assert file.read_bytes() != edited
    assert not (folder / "depth-edited-1.npz").exists()


def test_depth_that_nobody_edited_makes_way_though_the_run_before_was_stopped(depth, folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            "ex4d_core.pictures.depth_video.write_preview", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        assert depth("--format", "png")[0] == 130
    assert (folder / "depth.npz").exists()
    code, _, err = depth("--format", "png", "--depth-kind", "relative")
    assert (code, err.count("warning")) == (0, 0)
    assert not list(folder.glob("*-edited-*"))


def test_a_file_of_ones_own_is_kept(depth, folder):
    folder.mkdir(parents=True)
    (folder / "depth.npz").write_text("mine")
    code, _, err = depth()
    assert (code, "it was renamed to depth-edited-1.npz" in err) == (0, True)
    assert (folder / "depth-edited-1.npz").read_text() == "mine"


def test_edited_depth_can_be_looked_at_where_it_is(depth, ex4d, small_clip, folder):
    depth("--format", "png")
    file = folder / "depth_png" / "000002.png"
    cv2.imwrite(str(file), np.full((48, 64), 1500, np.uint16))
    code, _, _ = ex4d("depth", small_clip.video, "--depth-file", folder / "depth_png", "--format", "png")
    assert code == 0
    assert (cv2.imread(str(file), cv2.IMREAD_UNCHANGED) == 1500).all()
    with np.load(folder / "depth.npz") as arrays:
        assert np.allclose(arrays["depth"][2], 1.5)


def test_a_png_too_coarse_for_the_depth_is_said(ex4d, small_clip, tmp_path):
    values = np.full((6, 48, 64), 4000.0)
    values[:, :10] = 1
    np.save(tmp_path / "deep.npy", values)
    _, _, err = ex4d("depth", small_clip.video, "--depth-file", "deep.npy", "--format", "png")
    assert "warning: 16 bits are too few for this depth: errors in outputs/clip/depth_png reach 3%" in err


def test_several_clips_have_a_folder_each_and_a_bad_one_stops_no_other(ex4d, small_clip, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    code, out, _ = ex4d("depth", "bad.mp4", small_clip.video, "--depth-file", small_clip.depth)
    assert code == 1
    assert out.count("failed: bad.mp4: ") == 1
    assert (tmp_path / "outputs" / "clip" / "depth.npz").exists()


def test_a_device_that_is_not_there_is_said_before_the_clip_is_read(depth):
    code, _, err = depth("--device", "tpu9")
    assert code == 2
    assert err.strip() == "error: device 'tpu9' is not available; use auto, cpu, cuda or mps"


WRONG = {
    "missing file": (["none.mp4", "--depth-file", "DEPTH"], "none.mp4 does not exist"),
    "not a video": (["text.mp4", "--depth-file", "DEPTH"], "text.mp4 is not a video"),
    "empty file": (["nothing.mp4", "--depth-file", "DEPTH"], "nothing.mp4 is"),
    "unwritable output": (["VIDEO", "--depth-file", "DEPTH", "-o", "text.mp4"], "text.mp4 cannot be written"),
    "unknown format": (
        ["VIDEO", "--depth-file", "DEPTH", "--format", "tiff"],
        "'tiff' is not one of 'npz', 'png', 'exr'",
    ),
    "unknown estimator": (["VIDEO", "--depth", "depthcrofter"], "unknown depth estimator 'depthcrofter'"),
    "no clip": ([], "no clip given"),
    "camera path": (["VIDEO", "--depth-file", "DEPTH", "--cam", "30"], "No such option"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_one_sentence_and_exit_code_2(ex4d, small_clip, tmp_path, name):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "nothing.mp4").touch()
    arguments, says = WRONG[name]
    files = {"VIDEO": small_clip.video, "DEPTH": small_clip.depth}
    code, _, err = ex4d("depth", *(files.get(argument, argument) for argument in arguments))
    assert code == 2
    assert says in err
    assert "Traceback" not in err
    assert err.count("error: ") + err.count("Error ") == 1
