"""`score`: the table of methods, and inputs that do not match."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from ex4d_core.cameras.files import write_camera_path
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.types import CameraPath, Intrinsics
from ex4d_evaluation import score
from ex4d_evaluation.layout import GEOMETRY, SOURCE
from ex4d_evaluation.scores import read_scores
from ex4d_evaluation.tables import table


def values(scores):
    return [row.values for row in scores.rows]


def test_known_answers(desk):
    truth, known = desk.truth()
    desk.result("same", truth)
    desk.result("brighter", truth + 1)
    desk.result("half", np.where(known[..., None], truth, truth + 2))
    desk.result(GEOMETRY, np.where(known[..., None], truth, 0))
    scores = score(desk.folder)
    assert scores.methods == ("brighter", GEOMETRY, "half", "same")
    assert scores.summary("same", "psnr/all").mean == math.inf
    assert scores.summary("same", "ssim/hidden").mean == pytest.approx(1)
    assert scores.summary("brighter", "psnr/all").mean == pytest.approx(20 * math.log10(255))
    assert scores.summary("half", "psnr/known").mean == math.inf
    assert scores.summary("half", "psnr/hidden").mean == pytest.approx(20 * math.log10(255 / 2))
    assert scores.summary("half", "known_psnr/all").mean == math.inf
    assert scores.summary("brighter", "flicker/all").mean == 0


def test_the_table_has_each_method_and_each_definition(desk):
    truth, _ = desk.truth()
    desk.result("mine", truth + 1)
    text = table(score(desk.folder))
    assert text == (desk.folder / "table.md").read_text()
    assert "| mine | 1 | 48.13 | 48.13 | 48.13 |" in text
    assert "- **PSNR**: PSNR of the mean squared error" in text
    assert "LPIPS is not computed" in text
    assert "there is one clip only" in text


def test_infinite_means_and_short_videos_are_explained(desk):
    truth, known = desk.truth()
    desk.result("half", np.where(known[..., None], truth, truth + 2))
    notes = score(desk.folder).notes
    assert any(note.startswith("1 of 1 videos have fewer than 16 frames, such as half/a__30") for note in notes)
    assert any("half/a__30 (PSNR, known pixels, dB ↑); their PSNR is infinite" in note for note in notes)


def test_results_with_and_without_seeds_are_noted(desk):
    truth, _ = desk.truth()
    for name in ("mine", "mine@42"):
        desk.result(name, truth + 1)
    scores = score(desk.folder)
    assert scores.summary("mine", "psnr/all").count == 2
    assert any(note.startswith("mine has results with and without seeds") for note in scores.notes)


def test_scores_are_read_back(desk):
    truth, _ = desk.truth()
    desk.result("mine", truth)
    scores = score(desk.folder)
    assert table(read_scores(desk.folder / "scores.json")) == table(scores)
    tree = json.loads((desk.folder / "scores.json").read_text())
    assert tree["rows"][0]["values"]["psnr/all"] == "inf"
    assert tree["facts"]["libraries"]["numpy"] == np.__version__


def test_other_scores_files_are_refused(desk):
    desk.folder.mkdir()
    (desk.folder / "scores.json").write_text('{"rows": [{}]}')
    with pytest.raises(InvalidInput, match=r"scores.json is not a file of scores: 'values'; run ex4d eval score again"):
        read_scores(desk.folder / "scores.json")


def test_values_are_cached_by_the_content_of_files(desk, monkeypatch):
    truth, _ = desk.truth()
    desk.result("mine", truth + 1)
    first = score(desk.folder)
    monkeypatch.setattr("ex4d_evaluation.scoring.read_pair", lambda pair: pytest.fail("was decoded again"))
    assert values(score(desk.folder)) == values(first)
    monkeypatch.undo()
    desk.result("mine", truth + 2)
    assert values(score(desk.folder)) != values(first)


def test_intervals_are_those_of_clips(desk):
    for seed, clip in enumerate("abc"):
        truth, _ = desk.truth(f"{clip}__30", seed=seed)
        desk.result("mine", truth + np.uint8(seed + 1), f"{clip}__30")
    summary = score(desk.folder).summary("mine", "psnr/all")
    levels = [20 * math.log10(255 / each) for each in (1, 2, 3)]
    assert (summary.count, summary.mean) == (3, pytest.approx(np.mean(levels)))
    assert (summary.low, summary.high) == pytest.approx((min(levels), max(levels)))


def test_a_missing_video_is_told(desk):
    for case in ("a__30", "b__30"):
        desk.result("whole", desk.truth(case)[0], case)
    desk.result("part", desk.truth("a__30")[0], "a__30")
    assert "part lacks 1 of 2 videos, such as b__30" in score(desk.folder).notes


def test_videos_without_truth_have_the_rest_of_the_table(desk):
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 20, 3))
    desk.result("mine", frames)
    scores = score(desk.folder)
    assert scores.measured == ("frame_ssim/all",)
    assert "1 of 1 cases have no truth" in scores.notes[0]


def save_path(file, poses, fov=60.0):
    file.parent.mkdir(parents=True, exist_ok=True)
    lens = Intrinsics.from_fov(fov, width=20, height=16)
    write_camera_path(CameraPath(world_to_camera=torch.from_numpy(poses).float(), intrinsics=lens), file)


def test_cameras_are_compared_with_the_estimators_own_error(desk):
    desk.result("mine", desk.truth()[0])
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, 0, 3] = range(4)
    save_path(desk.folder / "cases/a__30/camera.npz", poses)
    save_path(desk.folder / "cases/a__30/source_camera.npz", poses)
    save_path(desk.folder / "cameras/mine/a__30.json", poses * [[[1], [1], [1], [1]]], fov=50)
    save_path(desk.folder / f"cameras/{SOURCE}/a__30.npz", poses, fov=58)
    scores = score(desk.folder)
    assert scores.summary("mine", "fov/all").mean == pytest.approx(10, abs=1e-4)
    assert scores.summary("mine", "rot_sum/all").mean == pytest.approx(0, abs=1e-5)
    assert scores.summary(SOURCE, "fov/all").mean == pytest.approx(2, abs=1e-4)
    assert "| source |" in (desk.folder / "table.md").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 3}, "mine/a__30.mkv has 4 frames but its truth .*truth.mkv has 3; they must be equal"),
        ({"size": (24, 16)}, "has frames of 20x16 but its truth .* of 24x16; they must be equal, since scores"),
    ],
)
def test_a_truth_of_another_shape_is_refused(desk, change, message):
    desk.result("mine", desk.truth()[0])
    desk.truth(**change)
    with pytest.raises(InvalidInput, match=message):
        score(desk.folder)


def test_another_rate_is_refused(desk):
    desk.result("mine", desk.truth()[0], fps=Fraction(16))
    with pytest.raises(InvalidInput, match=r"has 16 frames per second but its truth .* has 8; they must be equal"):
        score(desk.folder)


def test_odd_sides_that_h264_repeats_are_cut(desk):
    truth, _ = desk.truth(size=(21, 17))
    desk.result("mine", np.pad(truth, [(0, 0), (0, 1), (0, 1), (0, 0)], mode="edge"))
    assert score(desk.folder).summary("mine", "psnr/all").mean == math.inf


def test_a_missing_method_is_named(desk):
    desk.result("inpaint", desk.truth()[0])
    with pytest.raises(InputNotFound, match="has no method 'inpant'; did you mean 'inpaint'"):
        score(desk.folder, methods=["inpant"])


def test_folders_without_results_are_refused(desk):
    with pytest.raises(InputNotFound, match="does not exist"):
        score(desk.folder)
    desk.truth()
    with pytest.raises(InputNotFound, match=r"results has no videos; create them with ex4d eval run"):
        score(desk.folder)


def test_names_without_a_camera_are_refused(desk):
    desk.result("mine", desk.truth()[0], "clip")
    with pytest.raises(InvalidInput, match=r"clip.mkv must be named CLIP__CAMERA.mkv"):
        score(desk.folder)


def test_a_truncated_video_is_refused(desk):
    desk.result("mine", desk.truth()[0])
    file = desk.folder / "results/mine/a__30.mkv"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InvalidInput, match=r"a__30.mkv"):
        score(desk.folder)


def test_damaged_caches_are_computed_again(desk):
    desk.result("mine", desk.truth()[0])
    first = score(desk.folder)
    for file in (desk.folder / "cache").iterdir():
        file.write_text("{")
    assert values(score(desk.folder)) == values(first)
