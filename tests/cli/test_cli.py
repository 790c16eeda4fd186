"""The command line: what it makes, and what it says to those who get it wrong."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from ex4d_core.builtin.path_file import PathFile
from ex4d_core.errors import Ex4dError
from ex4d_core.pipeline.stage_order import describe_stages
from ex4d_core.roles import ROLES
from ex4d_core.video_io import read_video


@pytest.fixture
def run(ex4d, small_clip):
    """Run the small clip with its depth."""
    return lambda *arguments: ex4d("run", small_clip.video, "--depth-file", small_clip.depth, *arguments)


def test_a_run_leaves_videos_cameras_a_sheet_and_its_configuration(run, tmp_path):
    code, out, _ = run("--cam", "30")
    assert code == 0
    folder = tmp_path / "outputs" / "clip"
    names = {"color_30.mp4", "mask_30.mp4", "camera_30.npz", "result_30.mp4", "sheet_30.png", "run.json", "config.toml"}
    assert names | {"artifacts"} == {path.name for path in folder.iterdir()}
    assert all(stage in out for stage in ("depth", "guidance", "result", "outputs/clip/result_30.mp4"))
    video = read_video(folder / "result_30.mp4")
    assert (video.num_frames, video.height, video.width, video.fps) == (6, 48, 64, 12)


def test_running_again_makes_nothing_anew(run):
    run("--cam", "30")
    _, out, _ = run("--cam", "30", "--json")
    assert [stage["reused"] for stage in json.loads(out)[0]["stages"]] == [True, True]


def test_a_finished_run_imports_no_library_of_its_stages(run, small_clip):
    run("--cam", "30")
    code = (
        "import os, sys, typer_cli\n"
        "arguments = sys.argv[1:]\n"
        "try: typer_cli.main(['run', arguments[0], '--depth-file', arguments[1], '--cam', '30', '--json'])\n"
        "except SystemExit: pass\n"
        "heavy = {'scipy', 'numba', 'cv2', 'trimesh', 'diffusers', 'transformers', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(small_clip.video), str(small_clip.depth)], check=True, capture_output=True
    )
    assert [stage["reused"] for stage in json.loads(done.stdout)[0]["stages"]] == [True, True]


def test_a_second_path_reuses_the_depth(run):
    run("--cam", "30")
    _, out, _ = run("--cam", "-20", "--json")
    stages = {stage["stage"]: stage["reused"] for stage in json.loads(out)[0]["stages"]}
    assert stages == {"depth": True, "read": False, "refine": False, "guidance": False, "result": False}


def test_the_written_configuration_runs_again(run, ex4d, tmp_path):
    run("--cam", "30", "--seed", "7", "--set", "mesh.min_angle=3.5")
    _, out, _ = ex4d("run", "--config", tmp_path / "outputs" / "clip" / "config.toml", "--json")
    assert all(stage["reused"] for stage in json.loads(out)[0]["stages"])


def test_the_references_recon_command_runs_as_it_is(ex4d, small_clip, tmp_path):
    code, _, _ = ex4d(
        *("recon", "--input_video", small_clip.video, "--cam", "180", "--output_dir", "out", "--save_mesh"),
        *("--depth_file", small_clip.depth),
    )
    assert code == 0
    assert {"color_180.mp4", "mask_180.mp4", "camera_180.npz", "DW-Mesh.ply"} <= {
        p.name for p in (tmp_path / "out").iterdir()
    }
    with np.load(tmp_path / "out" / "camera_180.npz") as cameras:
        assert np.allclose(cameras["extrinsics"][0], np.diag([1, -1, -1, 1]), atol=1e-12)


def test_the_references_generate_command_runs_as_it_is(ex4d, small_clip, tmp_path):
    code, _, err = ex4d("recon", small_clip.video, "--depth-file", small_clip.depth, "--cam", "30", "-o", "out")
    assert (code, "error" in err) == (0, False), err
    code, out, err = ex4d(
        *("generate", "--color_video", "out/color_30.mp4", "--mask_video", "out/mask_30.mp4"),
        *("--output_video", "out/result.mp4"),
    )
    assert (code, out.strip()) == (0, "out/result.mp4"), err
    assert read_video(tmp_path / "out" / "result.mp4").num_frames == 6


def test_a_mesh_for_each_frame(run, tmp_path):
    assert run("--cam", "30", "--save-mesh", "all")[0] == 0
    meshes = sorted((tmp_path / "outputs" / "clip").glob("*.ply"))
    assert [mesh.name for mesh in meshes] == [f"DW-Mesh_0000{frame}.ply" for frame in range(6)]


def test_a_mesh_for_other_programs(run, tmp_path):
    assert run("--cam", "30", "--save-mesh", "--mesh-format", "glb")[0] == 0
    assert (tmp_path / "outputs" / "clip" / "DW-Mesh.glb").read_bytes()[:4] == b"glTF"


def test_a_batch_goes_on_after_a_bad_clip_and_says_what_failed(ex4d, small_clip, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    code, out, _ = ex4d(
        "run", "bad.mp4", small_clip.video, "--depth-file", small_clip.depth, "--cam", "30", "--cam", "-30"
    )
    assert code == 1
    assert out.count("failed: bad.mp4 --cam") == 2
    assert (tmp_path / "outputs" / "clip" / "result_30.mp4").exists()
    assert (tmp_path / "outputs" / "clip" / "result_-30.mp4").exists()


def test_several_clips_that_all_fail_say_so_on_standard_error(ex4d, small_clip, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    code, out, err = ex4d("run", "bad.mp4", "none.mp4", "--depth-file", small_clip.depth, "--cam", "30")
    assert (code, out) == (2, "")
    assert err.count("error: bad.mp4 --cam 30: bad.mp4 is not a video") == 1
    assert err.count("error: none.mp4 --cam 30: ") == 1


def test_quiet_prints_only_the_outputs(run):
    code, out, err = run("--cam", "3", "--quiet")
    assert (code, err) == (0, "")
    assert all(line.startswith("outputs/clip/") for line in out.splitlines())


def test_json_is_all_that_json_prints(run):
    _, out, err = run("--cam", "3", "--json")
    (outcome,) = json.loads(out)
    assert outcome["error"] is None
    assert outcome["files"]["result"] == "outputs/clip/result_3.mp4"
    assert err == ""


def test_a_log_has_a_line_for_each_stage(run):
    _, _, err = run("--cam", "30")
    stages = [stage.name for stage in describe_stages()]
    stages[2:2] = ["refine"]  # a part of the guidance stage
    done = re.compile(r"(\w+): .* in [\d.]+ s")
    assert [found[1] for line in err.splitlines() if (found := done.match(line))] == stages


def test_masks_leave_a_sheet_and_statistics(ex4d, small_clip, tmp_path):
    code, out, _ = ex4d(
        "masks", small_clip.video, "--depth-file", small_clip.depth, "--count", "2", "--seed", "3", "--json"
    )
    assert code == 0
    (clip,) = json.loads(out)
    assert (clip["sheet"], clip["error"]) == ("outputs/clip/masks_mixed.png", None)
    assert [mask["seed"] for mask in clip["masks"]] == [3, 4]
    assert all(mask["known_by_frame"][0] == 1 and len(mask["known_by_frame"]) == 6 for mask in clip["masks"])
    assert (tmp_path / clip["sheet"]).exists()


def test_masks_of_a_clip_without_depth_follow_regions(ex4d, small_clip):
    code, out, _ = ex4d("masks", small_clip.video, "--no-depth", "--count", "1", "--json")
    assert (code, json.loads(out)[0]["masks"][0]["kind"]) == (0, "tracking")
    code, _, err = ex4d("masks", small_clip.video, "--no-depth", "--kind", "rendering")
    assert (code, "depth" in err) == (2, True)


def test_every_option_of_masks_can_be_set_in_a_file_and_on_the_command_line(ex4d, small_clip, tmp_path):
    (tmp_path / "masks.toml").write_text('[masks]\nkind = "tracking"\nalone = [0, 0]\n')
    call = ("masks", small_clip.video, "--no-depth", "--config", tmp_path / "masks.toml", "--count", "1", "--json")
    for more, hides in ((), False), (("--set", "masks.alone=[0.9, 0.9]"), True):
        code, out, _ = ex4d(*call, *more)
        (mask,) = json.loads(out)[0]["masks"]
        assert (code, mask["kind"], min(mask["known_by_frame"]) < 1) == (0, "tracking", hides)
    code, _, err = ex4d(*call, "--set", "masks.angle=3")
    assert (code, "unknown option masks.angle; did you mean 'angles'?" in err) == (2, True)


WRONG = {
    "missing file": (["run", "none.mp4", "--depth-file", "DEPTH"], "does not exist"),
    "not a video": (["run", "text.mp4", "--depth-file", "DEPTH"], "text.mp4 is not a video"),
    "unknown component": (
        ["run", "VIDEO", "--depth", "depthcrofter"],
        "; docs/plugins.md lists others",
    ),
    "unknown renderer": (["run", "VIDEO", "--depth-file", "DEPTH", "--renderer", "zbufer"], "did you mean 'zbuffer'"),
    "unknown option": (
        ["run", "VIDEO", "--depth-file", "DEPTH", "--set", "mesh.min_angel=3"],
        "did you mean 'min_angle'",
    ),
    "angle out of range": (["run", "VIDEO", "--depth-file", "DEPTH", "--cam", "120"], "between -90 and 90 degrees"),
    "unknown move": (["run", "VIDEO", "--depth-file", "DEPTH", "--cam", "orbt:yaw=3"], "did you mean 'orbit'"),
    "unwritable output": (
        ["run", "VIDEO", "--depth-file", "DEPTH", "-o", "text.mp4"],
        "text.mp4 cannot be written: it is not a folder; choose another --output-dir",
    ),
    "size not allowed": (["run", "VIDEO", "--depth-file", "DEPTH", "--size", "big"], "must be WIDTHxHEIGHT"),
    "size of nothing": (["run", "VIDEO", "--depth-file", "DEPTH", "--size", "0x5"], "each from 1 to 8192"),
    "tiny size": (["run", "VIDEO", "--depth-file", "DEPTH", "--size", "4x4"], "16x16"),
    "no config": (["run", "VIDEO", "--config", "none.toml"], "the configuration file none.toml does not exist"),
    "broken config": (["run", "VIDEO", "--config", "broken.toml"], "is not valid TOML"),
    "missing depth": (["run", "VIDEO", "--depth-file", "none.npy"], "the depth file none.npy does not exist"),
    "short depth": (["run", "VIDEO", "--depth-file", "short.npy"], "4 depth maps but the video has 6 frames"),
    "depth of NaN": (["run", "VIDEO", "--depth-file", "nan.npy"], "no valid depth in"),
    "wrong kind": (["run", "VIDEO", "--depth-file", "DEPTH", "--depth-kind", "nearness"], "depth.kind: must be one of"),
    "lens twice": (
        ["run", "VIDEO", "--depth-file", "DEPTH", "--fov", "50", "--focal-px", "9"],
        "both set the focal length",
    ),
    "wrong lens": (["run", "VIDEO", "--depth-file", "DEPTH", "--fov", "190"], "field of view must be"),
    "no device": (["run", "VIDEO", "--depth-file", "DEPTH", "--device", "warp9"], "device 'warp9' is not available"),
    "start past the end": (["run", "VIDEO", "--depth-file", "DEPTH", "--start", "99"], "6 frames"),
    "empty folder": (["run", "empty", "--depth-file", "DEPTH"], "has no images"),
    "empty pattern": (["run", "*.webm", "--depth-file", "DEPTH"], "*.webm does not exist"),
    "unknown mesh format": (
        ["run", "VIDEO", "--depth-file", "DEPTH", "--mesh-format", "obj"],
        "Invalid value for '--mesh-format': 'obj' is not one of 'ply', 'glb'",
    ),
    "decimal rate out of range": (["run", "VIDEO", "--depth-file", "DEPTH", "--fps", "1e9"], "fps must be <= 1000"),
    "endless focal length": (["run", "VIDEO", "--depth-file", "DEPTH", "--focal-px", "inf"], "must be a finite number"),
    "empty intrinsics": (
        ["run", "VIDEO", "--depth-file", "DEPTH", "--intrinsics", "empty.npy"],
        "empty.npy is not a readable",
    ),
    "unknown path option": (
        ["run", "VIDEO", "--depth-file", "DEPTH", "--set", "trajectory.yow=3"],
        "did you mean 'yaw'",
    ),
    "preset of a wrong type": (["run", "VIDEO", "--config", "compat.toml"], "unknown preset 3"),
    "no path": (["run", "VIDEO", "--config", "nocam.toml"], "cam"),
    "backbone of recon": (["recon", "VIDEO", "--depth-file", "DEPTH", "--backbone", "x"], "No such option"),
    "no clip": (["run"], "no clip given"),
    "unknown kind of mask": (
        ["masks", "VIDEO", "--no-depth", "--kind", "trackin"],
        "'trackin' is not one of 'rendering', 'tracking', 'mixed'",
    ),
    "masks without number": (["masks", "VIDEO", "--no-depth", "--count", "10" * 40], "--count"),
    "a preview of frames without number": (["preview", "VIDEO", "--max-frames", "10" * 400], "--max-frames"),
    "wrong flag": (["run", "VIDEO", "--camera", "30"], "No such option"),
    "mask of another clip": (
        ["generate", "--color-video", "VIDEO", "--mask-video", "text.mp4", "--output-video", "o.mp4"],
        "text.mp4",
    ),
    "unknown plugin": (["plugins", "show", "zbufer"], "did you mean 'zbuffer'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_one_sentence_and_exit_code_2(ex4d, small_clip, tmp_path, name):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "broken.toml").write_text("cam = [")
    (tmp_path / "compat.toml").write_text("compat = 3")
    (tmp_path / "nocam.toml").write_text("cam = []")
    (tmp_path / "empty.npy").write_text("")
    (tmp_path / "empty").mkdir()
    depth = np.load(small_clip.depth)
    np.save(tmp_path / "short.npy", depth[:4])
    np.save(tmp_path / "nan.npy", np.full_like(depth, np.nan))
    arguments, says = WRONG[name]
    files = {"VIDEO": small_clip.video, "DEPTH": small_clip.depth}
    code, _, err = ex4d(*(files.get(argument, argument) for argument in arguments))
    assert code == 2
    assert says in err
    assert "unexpected" not in err
    assert "Traceback" not in err
    assert err.count("error: ") + err.count("Error ") == 1


def test_a_camera_file_that_cannot_be_read_is_said_before_anything_is_made(ex4d, small_clip, tmp_path):
    (tmp_path / "bad.json").write_text("{}")
    code, _, err = ex4d("run", small_clip.video, "--depth-file", small_clip.depth, "--cam", "bad.json")
    assert code == 2
    assert err.startswith("error: bad.json is not a camera path")
    assert not (tmp_path / "outputs").exists()


def test_a_path_that_a_plugin_cannot_make_is_said_before_anything_is_made(ex4d, small_clip, monkeypatch):
    monkeypatch.setattr(PathFile, "__init__", lambda *_, **__: {}["horse"])
    code, _, err = ex4d("run", small_clip.video, "--depth-file", small_clip.depth, "--cam", "path.npz")
    assert code == 1
    assert err.startswith("error: --cam path.npz: in ex4d-core ")
    assert ": KeyError: 'horse'; rerun with" in err
    assert err.count("\n") == 1


def test_names_with_brackets_are_shown_as_they_are(ex4d, small_clip, tmp_path):
    shutil.copy(small_clip.video, tmp_path / "x[final].mp4")
    code, out, _ = ex4d("run", "x[final].mp4", "--depth-file", small_clip.depth, "--cam", "30")
    assert code == 0
    assert out.count("x[final]") > 1


def test_an_error_of_a_plugins_own_kind_is_one_sentence_too(ex4d, small_clip, monkeypatch):
    class NoWeights(Ex4dError):
        pass

    def fail(*_):
        raise NoWeights("the weights are missing; type: ex4d fetch them")

    monkeypatch.setattr("ex4d_core.runs.generate.read_guidance", fail)
    call = ("--color-video", small_clip.video, "--mask-video", small_clip.video, "--output-video", "o.mp4")
    code, _, err = ex4d("generate", *call)
    assert (code, err) == (2, "error: the weights are missing; type: ex4d fetch them\n")


def test_ctrl_c_says_how_to_go_on(ex4d, small_clip, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ex4d_core.runs.batch.run_batch", interrupt)
    code, _, err = ex4d("run", small_clip.video, "--depth-file", small_clip.depth)
    assert code == 130
    assert "run the same command again to resume" in err


def test_two_paths_of_one_clip_are_both_in_its_run_file(run, tmp_path):
    run("--cam", "30")
    run("--cam", "-30")
    facts = json.loads((tmp_path / "outputs" / "clip" / "run.json").read_text())
    assert set(facts["takes"]) == {"30", "-30"}
    assert {"result_30.mp4", "result_-30.mp4"} <= set(facts["files"])


def test_one_frame_is_enough(run):
    assert run("--cam", "30", "--num-frames", "1")[0] == 0


def test_plugins_list_names_what_is_installed(ex4d):
    code, out, _ = ex4d("plugins", "list")
    assert code == 0
    assert all(name in out for name in ("watertight", "zbuffer", "inpaint", "orbit", "built in", "Apache-2.0"))
    components = json.loads(ex4d("plugins", "list", "--json")[1])["components"]
    assert set(ROLES) == {component["role"] for component in components}


def test_plugins_show_lists_the_options(ex4d):
    code, out, _ = ex4d("plugins", "show", "watertight")
    assert code == 0
    assert "--set mesh.min_angle=..." in out
    assert "degrees" in out


def test_doctor_says_what_is_here(ex4d):
    code, out, _ = ex4d("doctor")
    assert code == 0
    assert out.startswith("depth: ")
    assert "renderer zbuffer" not in out
    assert "renderer zbuffer" in ex4d("doctor", "--all")[1]


def test_version(ex4d):
    assert ex4d("--version")[1].startswith("ex4d ")


@pytest.mark.parametrize("arguments", [["--help"], ["plugins", "list"]])
def test_help_and_plugins_list_import_nothing_heavy(arguments):
    code = (
        "import sys, typer_cli\n"
        "try: typer_cli.main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'open3d', 'diffusers', 'numba', 'cv2', 'av'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_importing_the_core_imports_nothing_heavy():
    code = "import ex4d_core, sys; assert not {'torch', 'numpy', 'rich', 'typer'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_exists():
    import ex4d_core

    assert [name for name in ex4d_core.__all__ if getattr(ex4d_core, name, None) is None] == []
