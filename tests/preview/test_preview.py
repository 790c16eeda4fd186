"""`ex4d preview`: a look at camera paths before anything costly is done."""

import json

import cv2
import numpy as np
import pytest
import torch

from ex4d_core.pictures.contact_sheet import contact_sheet
from ex4d_core.pipeline.session import Session
from ex4d_core.preview.build import make_preview
from ex4d_core.preview.pictures import sheet_rows, tiles, visible_fractions, with_holes
from ex4d_core.types import Guidance, Video
from ex4d_core.video_io import read_video

pytestmark = pytest.mark.slow


@pytest.fixture
def preview(ex4d, small_clip):
    """Preview the small clip with its depth."""
    return lambda *arguments: ex4d("preview", small_clip.video, "--depth-file", small_clip.depth, *arguments)


@pytest.fixture
def place(tmp_path):
    """Where a preview of the small clip is."""
    return tmp_path / "outputs" / "clip" / "preview"


def test_it_leaves_a_video_a_sheet_a_plot_and_facts_in_the_run_folder(preview, place):
    code, out, err = preview("--cam", "30", "--cam", "zoom_in")
    assert code == 0, err
    names = ["guidance.mp4", "sheet.png", "path.png", "preview.json"]
    assert out.splitlines() == [f"outputs/clip/preview/{name}" for name in names]
    assert {path.name for path in place.iterdir()} == set(names)
    assert read_video(place / "guidance.mp4").num_frames == 6
    for name in ("sheet.png", "path.png"):
        picture = cv2.imread(str(place / name))
        assert picture.std() > 20, name


def test_the_json_says_how_much_each_path_knows(preview, place):
    code, out, err = preview("--cam", "20", "--cam", "static", "--json")
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert facts == json.loads((place / "preview.json").read_text())
    arc, static = facts["paths"]
    assert (arc["cam"], arc["frames"]) == ("20", [0, 1, 2, 3, 4, 5])
    assert arc["known"][0] == 1
    assert arc["known"][-1] < 0.9
    assert min(static["known"]) > 0.8  # all but the rim
    assert static["warnings"] == []


def test_the_depth_of_a_run_is_used(preview, ex4d, small_clip):
    assert json.loads(preview("--cam", "30", "--json")[1])["depth"] == "estimated"
    ex4d("depth", small_clip.video, "--depth-file", small_clip.depth)
    assert json.loads(preview("--cam", "30", "--json")[1])["depth"] == "run"


def test_it_knows_as_much_with_the_depth_of_a_run_as_without(preview, ex4d, small_clip):
    before = json.loads(preview("--cam", "20", "--json")[1])["paths"][0]["known"]
    ex4d("depth", small_clip.video, "--depth-file", small_clip.depth)
    after = json.loads(preview("--cam", "20", "--json")[1])["paths"][0]["known"]
    assert after == pytest.approx(before, abs=1e-3)


def test_it_agrees_with_the_run(preview, ex4d, small_clip, tmp_path):
    known = json.loads(preview("--cam", "20", "--json")[1])["paths"][0]["known"]
    ex4d("recon", small_clip.video, "--depth-file", small_clip.depth, "--cam", "20", "-o", "out")
    mask = read_video(tmp_path / "out" / "mask_20.mp4").frames[..., 0] > 127
    assert known == pytest.approx(mask.double().mean(dim=(1, 2)).tolist(), abs=0.01)


def test_few_frames_show_the_poses_that_the_run_has_at_these_times(preview):
    every = json.loads(preview("--cam", "30", "--json")[1])["paths"][0]
    some = json.loads(preview("--cam", "30", "--json", "--max-frames", "3")[1])["paths"][0]
    assert some["frames"] == [0, 2, 4]
    assert some["known"][:1] == every["known"][:1]  # later frames show the box elsewhere in neither


def test_time_that_is_changed_is_shown_so(preview, place):
    code, out, err = preview("--cam", "static with freeze:frame=3", "--cam", "orbit:yaw=20", "--json")
    assert code == 0, err
    frames = read_video(place / "guidance.mp4").frames[:, :48, :64].int()
    assert (frames[1:] - frames[:-1]).abs().float().mean() < 2  # all are frame 3
    assert [len(path["frames"]) for path in json.loads(out)["paths"]] == [6, 6]


def test_a_path_of_another_length_is_seen_whole(preview):
    (path,) = json.loads(preview("--cam", "20", "--output-frames", "10", "--max-frames", "5", "--json")[1])["paths"]
    assert path["frames"] == [0, 2, 4, 6, 8]


def test_frames_are_made_small(preview, place):
    preview("--cam", "30", "--size", "640x480", "--max-side", "80")
    assert read_video(place / "guidance.mp4").frames.shape[1:3] == (60 + 24, 80 + 4 + 80)


def test_a_lens_in_pixels_of_the_run_is_scaled(small_clip, tmp_path):
    def known(**options):
        settings = {"depth": {"name": "file", "path": str(small_clip.depth)}, "cam": ["20"], **options}
        session = Session(**settings, video={"size": "160x120"})
        return make_preview(session, small_clip.video, folder=tmp_path / "f", side=64).paths[0].visible

    assert known(lens={"focal_px": 100.0, "of": "frame"}) == pytest.approx(known(lens={"focal_px": 40.0}), abs=1e-3)


def test_warnings_are_said_and_in_the_json(preview):
    _, _, err = preview("--cam", "90")
    assert "warning: --cam 90: 4 of 6 tested frames are mostly holes" in err
    _, out, _ = preview("--cam", "90", "--json")
    assert [warning["kind"] for warning in json.loads(out)["paths"][0]["warnings"]] == ["holes"]


def test_a_path_through_the_box_is_noticed(preview):
    _, out, _ = preview("--cam", "orbit:pitch=0", "--json")
    assert json.loads(out)["paths"][0]["warnings"] == []
    _, out, _ = preview("--cam", "zoom_in:amount=0.99", "--json")
    assert "geometry" in [warning["kind"] for warning in json.loads(out)["paths"][0]["warnings"]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.mp4", "--cam", "30"], "none.mp4 does not exist"),
        (["empty.mp4", "--cam", "30"], "empty.mp4"),
        (["VIDEO", "--cam", "orbt"], "did you mean 'orbit'"),
        (["VIDEO", "--max-frames", "0"], "greater than or equal to 1"),
        (["VIDEO", "--start", "99"], "6 frames"),
        (["VIDEO", "-o", "empty.mp4"], "cannot be written"),
        ([], "no clip given"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(ex4d, small_clip, tmp_path, arguments, says):
    (tmp_path / "empty.mp4").touch()
    words = [small_clip.video if word == "VIDEO" else word for word in arguments]
    code, _, err = ex4d("preview", *words, "--depth-file", small_clip.depth)
    assert (code, says in err, "Traceback" in err) == (2, True, False), err


def test_one_frame_is_enough(preview):
    assert preview("--cam", "30", "--num-frames", "1")[0] == 0


@pytest.fixture
def guidance():
    """Two frames, the second of them half known."""
    mask = torch.ones(2, 40, 60, dtype=torch.bool)
    mask[1, :, 30:] = False
    return Guidance(color=mask[..., None] * torch.tensor([200, 100, 50], dtype=torch.uint8), mask=mask, fps=12)


def test_holes_are_shown_as_a_pattern_and_all_else_as_it_is(guidance):
    shown = with_holes(guidance.color, guidance.mask)
    assert torch.equal(shown[guidance.mask], guidance.color[guidance.mask])
    assert set(shown[1, :, 30:].flatten().tolist()) == {64, 92}
    assert visible_fractions(guidance).tolist() == [1, 0.5]


@pytest.mark.parametrize(("paths", "shape"), [(1, (64, 124)), (2, (64, 188)), (4, (132, 188))])
def test_paths_are_side_by_side_and_then_below(guidance, paths, shape):
    video = Video(frames=guidance.color, fps=12)
    shown = tiles(video, {f"path {index}": guidance for index in range(paths)})
    assert tuple(shown.shape) == (2, *shape, 3)


def test_the_sheet_has_room_for_the_longest_name(guidance):
    video = Video(frames=guidance.color, fps=12)
    short, long = (contact_sheet(sheet_rows(video, {name: guidance})) for name in ("30", "orbit:yaw=-75,pitch=10"))
    assert short.shape[0] == long.shape[0]
    assert short.shape[1] < long.shape[1]
    assert np.array_equal(short[:, -10:].numpy(), long[:, -10:].numpy())
