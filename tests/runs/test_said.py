"""A run says what it replaces, what it ignores, and what it will not see."""

import shutil

import pytest
import torch

from ex4d_core.pipeline.differences import differences
from ex4d_core.pipeline.session import Session
from ex4d_core.types import Guidance

FLAGS = ("--renderer", "zbuffer", "--backbone", "telea", "--cam", "3")


@pytest.fixture
def run(ex4d, small_clip):
    """Run the small clip; return what is said."""

    def run(*more, command="run"):
        code, _, err = ex4d(command, small_clip.video, "--depth-file", small_clip.depth, *more, "--quiet")
        assert code == 0, err
        return err

    return run


def test_a_replaced_result_is_named_with_the_options_that_made_it(run):
    assert run(*FLAGS) == ""
    assert run(*FLAGS) == ""
    said = run(*FLAGS, "--num-frames", "4", "--fov", "70")
    assert said.startswith("warning: replaces outputs/clip/result_3.mp4, made with num_frames 6 (now 4), intrinsics ")
    assert said.count("\n") == 1
    assert "intrinsics fx=45.7007 fy=45.7007 (now of the depth)" in run(*FLAGS, "--num-frames", "4")
    assert run(*FLAGS[:2], "--cam", "4", "--backbone", "telea") == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({"seed": 1}, {"seed": 2}, "seed 1 (now 2)"),
        ({"seed": 1}, {"seed": 1}, ""),
        ({"seed": 1}, {}, ""),
        (
            {"backbone": {"name": "wan", "options": {"steps": 4}}},
            {"backbone": {"name": "inpaint", "options": {"steps": 5}}},
            "backbone wan (now inpaint)",
        ),
        ({"backbone": {"fingerprint": "a"}}, {"backbone": {"fingerprint": "b"}}, "other files of backbone"),
        (
            {"guidance": {"depth": {"clip": {"file": "a", "selection": {"start": 0}}}}},
            {"guidance": {"depth": {"clip": {"file": "b", "selection": {"start": 3}}}}},
            "other content of the clip, start 0 (now 3)",
        ),
        (
            dict.fromkeys("abcdef", 1),
            dict.fromkeys("abcdef", 2),
            "a 1 (now 2), b 1 (now 2), c 1 (now 2), d 1 (now 2), 2 more",
        ),
    ],
)
def test_differences_are_options_with_both_values(old, new, words):
    assert differences(old, new) == words


def test_settings_without_effect_are_said(run, ex4d, small_clip):
    run("--cam", "3", "--renderer", "zbuffer", "-o", "first", command="recon")
    shutil.copy("first/camera_3.npz", "path.npz")
    flags = ("--renderer", "zbuffer", "--backbone", "telea", "--prompt", "a dog", "--seed", "7", "--look-at", "nearest")
    said = run(*flags, "--cam", "path.npz", "--cam", "orbit:yaw=2")
    assert said.splitlines() == [
        "warning: --prompt has no effect: the backbone telea does not read it",
        "warning: --seed has no effect: the backbone telea does not read it",
        "warning: trajectory.look_at (--look-at) has no effect on --cam path.npz, which does not read it",
    ]
    assert run(*flags[2:4], "--look-at", "nearest", "--cam", "path.npz:unit=subject", command="run") == ""


def test_a_path_that_sees_mostly_holes_is_said(run):
    said = run("--renderer", "zbuffer", "--backbone", "telea", "--cam", "88")
    assert "warning: --cam 88: " in said
    assert "mostly holes, from frame" in said
    assert run("--renderer", "zbuffer", "--backbone", "telea", "--cam", "88") == ""


def test_a_run_that_sees_nothing_stops_before_the_backbone(small_clip, monkeypatch):
    session = Session(depth={"name": "file", "path": str(small_clip.depth)}, backbone="telea", renderer="zbuffer")
    path_run = session.open_clip(small_clip.video).along("3")
    seen = path_run.guidance
    empty = Guidance(color=seen.color, mask=torch.zeros_like(seen.mask), cameras=seen.cameras, fps=seen.fps)
    monkeypatch.setitem(path_run.__dict__, "guidance", empty)
    monkeypatch.setattr(session, "backbone", lambda: pytest.fail("loaded"))
    with pytest.raises(ValueError, match="--cam 3 sees no pixel of the clip in any frame, so there is nothing to"):
        _ = path_run.video
