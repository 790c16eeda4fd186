"""`ex4d eval run`: protocols, data sets, and work that is not repeated."""

import json
import shutil

import attrs
import numpy as np
import pytest
import torch

from ex4d_core.config import make_config
from ex4d_core.errors import ComponentNotFound, InputNotFound, InvalidConfig, InvalidInput
from ex4d_core.jobs.shards import Shard
from ex4d_core.pipeline.clip_run import ClipRun
from ex4d_core.plugins.registry import Registry
from ex4d_core.video_io import read_mask, read_video
from ex4d_evaluation import running, score
from ex4d_evaluation.cli import sentences
from ex4d_evaluation.datasets import data_set_of
from ex4d_evaluation.datasets.synthetic import depth_edges
from ex4d_evaluation.layout import GEOMETRY
from ex4d_evaluation.running import make_videos

from .layouts import FRAMES, LAYOUTS, SIZE, footage, save_video


def config_of(depth=None, **tables):
    given = {"depth": {"name": "file", "path": str(depth)}} if depth else {}
    return make_config({"backbone": {"name": "telea"}, "device": "cpu", **given, **tables})


@pytest.fixture
def depth(tmp_path):
    """Depth of the room, for data sets without depth."""
    np.savez(tmp_path / "depth.npz", depth=footage().source.depth.depth.numpy())
    return tmp_path / "depth.npz"


@pytest.fixture
def clips(tmp_path):
    for name in ("a", "b", "c"):
        save_video(footage().source.video.frames, tmp_path / "clips" / f"{name}.mp4")
    return tmp_path / "clips"


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_is_recognized(tmp_path, name):
    LAYOUTS[name](tmp_path / "data")
    assert data_set_of(tmp_path / "data").name == name


@pytest.mark.parametrize("name", ["kubric5d", "dycheck", "pair"])
def test_guidance_agrees_with_the_true_view(tmp_path, name, depth):
    """A wrong convention of poses, intrinsics or depth would show something else."""
    LAYOUTS[name](tmp_path / "data")
    made = make_videos(tmp_path / "data", tmp_path / "eval", protocol="truth", config=config_of(depth))
    assert (len(made.done), made.failed) == (1, {})
    scores = score(tmp_path / "eval", methods=[GEOMETRY])
    assert scores.summary(GEOMETRY, "psnr/known").mean > 21
    mask = read_mask(tmp_path / "eval" / "cases" / made.done[0] / "known.mp4")[0]
    assert 0.5 < mask.float().mean() < 0.95


def test_depth_of_dycheck_in_millimeters_is_scaled(tmp_path):
    LAYOUTS["dycheck"](tmp_path / "data")
    for file in (tmp_path / "data/spin/depth/2x").iterdir():
        np.save(file, np.load(file) * 1000)
    make_videos(tmp_path / "data", tmp_path / "eval", protocol="truth", config=config_of())
    assert score(tmp_path / "eval", methods=[GEOMETRY]).summary(GEOMETRY, "psnr/known").mean > 21


def test_co_visibility_masks_are_used(tmp_path):
    LAYOUTS["dycheck"](tmp_path / "data")
    make_videos(tmp_path / "data", tmp_path / "eval", protocol="truth", config=config_of())
    mask = read_mask(tmp_path / "eval" / "cases" / "spin__camera1" / "covisible.mkv")[0].numpy()
    assert mask[:, :, : SIZE[0] // 2].all()
    assert not mask[:, :, SIZE[0] // 2 :].any()
    assert "psnr/covisible" in score(tmp_path / "eval").measured


def test_depth_without_scale_is_refused_for_poses_with_one(tmp_path):
    LAYOUTS["kubric5d"](tmp_path / "data")
    config = make_config({"backbone": {"name": "telea"}, "depth": {"name": "sketch"}, "device": "cpu"})
    made = make_videos(tmp_path / "data", tmp_path / "eval", protocol="truth", config=config)
    (error,) = made.failed.values()
    assert "the depth of scn00001 has no scale" in error
    assert "--set depth.metric=true" in error


def test_components_are_loaded_once_for_all_views(tmp_path, monkeypatch):
    LAYOUTS["dycheck"](tmp_path / "data")
    plans_of, make, made = running.plans_of, Registry.make, []

    def twice(*arguments, **options):
        (plan,) = plans_of(*arguments, **options)
        other = attrs.evolve(plan.view, target_cameras=plan.view.source_cameras)
        return [plan, attrs.evolve(plan, name=f"{plan.name}-again", view=other)]

    def counted(registry, offer, *arguments, **options):
        made.append(offer.role)
        return make(registry, offer, *arguments, **options)

    monkeypatch.setattr(running, "plans_of", twice)
    monkeypatch.setattr(Registry, "make", counted)
    done = make_videos(tmp_path / "data", tmp_path / "eval", protocol="truth", config=config_of()).done
    assert len(done) == 2
    assert [made.count(role) for role in ("depth", "mesh", "renderer", "backbone")] == [1, 1, 1, 1]


def test_multicamvideo_relates_the_cameras(tmp_path):
    LAYOUTS["multicamvideo"](tmp_path / "data")
    (view,) = data_set_of(tmp_path / "data").views(tmp_path / "data", tmp_path / "staging", None)
    expected = np.linalg.inv(footage().target_poses) @ footage().source_poses[0]
    np.testing.assert_allclose(view.target_cameras.world_to_camera, expected, atol=1e-5)
    assert view.target_cameras.intrinsics[0].fx == pytest.approx(20 / 23.76 * 1280)


def test_vista4d_has_depth_and_no_truth(tmp_path):
    LAYOUTS["vista4d"](tmp_path / "data")
    make_videos(tmp_path / "data", tmp_path / "eval", protocol="truth", config=config_of())
    scores = score(tmp_path / "eval")
    assert {"known_psnr/all", "frame_ssim/all"} <= set(scores.measured)
    assert "psnr/all" not in scores.measured


def test_frames_are_selected_in_step(tmp_path):
    LAYOUTS["pair"](tmp_path / "data")
    config = config_of(video={"start": 1, "size": "32x24"})
    make_videos(tmp_path / "data", tmp_path / "eval", protocol="truth", config=config)
    truth = read_video(tmp_path / "eval" / "cases" / "data__target" / "truth.mkv")
    assert truth.frames.shape == (FRAMES - 1, 24, 32, 3)
    assert score(tmp_path / "eval").summary(GEOMETRY, "psnr/known").mean > 20


def test_ranges_run_each_clip_at_four_ranges(tmp_path, clips, depth, monkeypatch):
    estimates = []
    original = ClipRun._estimate
    monkeypatch.setattr(ClipRun, "_estimate", lambda *a, **k: estimates.append(a) or original(*a, **k))
    config = config_of(depth)
    made = make_videos(clips, tmp_path / "eval", protocol="ranges", config=config, shard=Shard.parse("1/3"))
    assert made.done == ("b__small", "b__large", "b__extreme", "b__full")
    assert len(estimates) == 1
    shard = Shard.parse("1/3")
    again = make_videos(clips, tmp_path / "eval", protocol="ranges", config=config, shard=shard, method="x")
    assert (again.done, len(estimates)) == (made.done, 1)
    scores = score(tmp_path / "eval")
    assert scores.methods == (GEOMETRY, "telea", "x")
    assert scores.cameras == ("small", "large", "extreme", "full")
    assert scores.facts["run"]["methods"]["telea"]["seed"] == 42
    assert "telea lacks 8 of 12 videos" not in scores.notes  # other shards have no cases yet


@pytest.mark.usefixtures("seeded")
def test_seeds_are_pooled_and_share_the_depth(tmp_path, clips, depth, monkeypatch):
    estimates = []
    original = ClipRun._estimate
    monkeypatch.setattr(ClipRun, "_estimate", lambda *a, **k: estimates.append(a) or original(*a, **k))
    given = {"protocol": "ranges", "config": config_of(depth, seed=5), "shard": Shard.parse("0/3"), "method": "m"}
    made = make_videos(clips, tmp_path / "eval", seeds=2, **given)
    assert made.done[:2] == ("a__small@5", "a__small@6")
    assert len(estimates) == 1
    scores = score(tmp_path / "eval")
    assert scores.methods == (GEOMETRY, "m")
    assert {row.seed for row in scores.rows if row.method == "m"} == {"5", "6"}
    summary = scores.summary("m", "known_psnr/all", "small")
    assert (summary.count, summary.clips) == (2, 1)
    assert scores.facts["run"]["methods"]["m@6"]["seed"] == 6


def test_a_table_of_methods_with_different_guidance_says_so(tmp_path, clips, depth):
    given = {"protocol": "ranges", "shard": Shard.parse("0/3")}
    make_videos(clips, tmp_path / "eval", config=config_of(depth), method="one", **given)
    make_videos(clips, tmp_path / "eval", config=config_of(depth), method="same", **given)
    assert not any("different guidance" in note for note in score(tmp_path / "eval").notes)
    make_videos(clips, tmp_path / "eval", config=config_of(depth, lens={"fov": 80.0}), method="wide", **given)
    (note,) = (note for note in score(tmp_path / "eval").notes if "different guidance" in note)
    assert note.startswith("one, same, wide were run with different guidance of a__extreme")
    assert "are from that of wide, the last run" in note


def test_one_seed_is_run_if_the_backbone_ignores_it(tmp_path, clips, depth):
    given = {"protocol": "ranges", "config": config_of(depth), "shard": Shard.parse("0/3")}
    with pytest.warns(UserWarning, match="'telea' does not read the seed, so one is run"):
        made = make_videos(clips, tmp_path / "eval", seeds=2, **given)
    assert made.method == "telea"
    assert (tmp_path / "eval/results/telea/a__small.mp4").is_file()


@pytest.mark.parametrize("method", [GEOMETRY, "source", "x@1"])
def test_reserved_names_of_methods_are_refused(tmp_path, clips, depth, method):
    with pytest.raises(InvalidConfig, match="cannot be the name of a method; choose another --method"):
        make_videos(clips, tmp_path / "eval", protocol="ranges", config=config_of(depth), method=method)


def test_other_settings_in_the_same_folder_are_refused(tmp_path, clips, depth):
    shards = {"shard": Shard.parse("0/3"), "protocol": "ranges"}
    make_videos(clips, tmp_path / "eval", config=config_of(depth), **shards)
    with pytest.raises(InvalidConfig, match="was made with other video; use another folder"):
        make_videos(clips, tmp_path / "eval", config=config_of(depth, video={"num_frames": 2}), **shards)


def test_a_failing_case_does_not_stop_the_others(tmp_path, clips, depth):
    (clips / "a.mp4").write_bytes(b"no video")
    made = make_videos(clips, tmp_path / "eval", protocol="ranges", config=config_of(depth), shard=Shard.parse("0/2"))
    assert (len(made.done), len(made.failed)) == (4, 4)


def test_a_truncated_data_set_is_refused(tmp_path):
    LAYOUTS["kubric5d"](tmp_path / "data")
    (tmp_path / "data/scn00001/rgb/cam01.mp4").unlink()
    with pytest.raises(InputNotFound, match=r"cam01.mp4 does not exist, but lowdim has cam01.npz; the data set"):
        make_videos(tmp_path / "data", tmp_path / "eval", protocol="truth", config=config_of())


def test_a_truth_of_another_length_is_told(tmp_path):
    LAYOUTS["pair"](tmp_path / "data")
    next((tmp_path / "data/target/rgb").iterdir()).unlink()
    made = make_videos(tmp_path / "data", tmp_path / "eval", protocol="truth", config=config_of())
    assert "has 2 frames but its source" in made.failed["data__target"]


def test_too_few_poses_are_told(tmp_path):
    LAYOUTS["pair"](tmp_path / "data")
    file = tmp_path / "data/cameras.npz"
    with np.load(file) as archive:
        arrays = dict(archive)
    np.savez(file, **{**arrays, "target_camera_to_world": arrays["target_camera_to_world"][:2]})
    made = make_videos(tmp_path / "data", tmp_path / "eval", protocol="truth", config=config_of())
    assert "has 3 frames but 2 poses of the target camera" in made.failed["data__target"]


def test_unknown_layouts_and_data_sets_are_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"none of the known layouts .kubric5d: scnNNNNN"):
        data_set_of(tmp_path)
    with pytest.raises(InvalidConfig, match="unknown data set 'dychek'; did you mean 'dycheck'"):
        data_set_of(tmp_path, "dychek")


def test_synthetic_rooms_in_one_table(ex4d, tmp_path, monkeypatch):
    monkeypatch.setattr("ex4d_evaluation.datasets.synthetic.SEEDS", range(1))
    words = ("eval", "run", "synthetic", "-o", "out", "--protocol", "truth", "--backbone", "telea")
    code, out, err = ex4d(*words, "--num-frames", "3", "--size", "32x32", "--json")
    assert code == 0, err
    assert json.loads(out)["done"] == ["room0__30", "room0__60", "room0__90"]
    code, out, err = ex4d("eval", "score", "out", "--json")
    assert code == 0, err
    summary = json.loads(out)["summary"]
    assert summary[GEOMETRY]["psnr/edges"]["mean"] < summary[GEOMETRY]["psnr/known"]["mean"]
    assert summary["telea"]["psnr/hidden"]["mean"] > summary[GEOMETRY]["psnr/hidden"]["mean"]
    shutil.rmtree(tmp_path / "out")


def test_depth_edges_are_where_depth_changes():
    depth = torch.ones(1, 9, 12)
    depth[:, :, 6:] = 2
    assert depth_edges(depth)[0].all(dim=0).int().tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    assert not depth_edges(depth[:, :, :6]).any()


def damaged(folder, name):
    """Write a data set with a damaged file; return the message."""
    LAYOUTS[name](folder)
    if name == "pair":
        with np.load(folder / "cameras.npz") as archive:
            np.savez(folder / "cameras.npz", **{**archive, "target_camera_to_world": np.zeros((3, 4, 4))})
        return "pose 0 is not a rotation and translation"
    if name == "dycheck":
        columns = {"camera_ids": ["x"], "time_ids": [0], "frame_names": ["1_00000"]}
        (folder / "spin/splits/val.json").write_text(json.dumps(columns))
        return "camera_ids must be a whole number, not 'x'"
    if name == "multicamvideo":
        file = folder / "train/f20_aperture10/scene1/cameras/camera_extrinsics.json"
        tree = json.loads(file.read_text())
        file.write_text(json.dumps({**tree, "frame1": {"cam01": tree["frame1"]["cam01"]}}))
        return "has frames without cam02"
    if name == "vista4d":
        (folder / "metadata.csv").write_text("name,video,camera\nx,../room,left\n")
        return "line 2 of .*metadata.csv needs names"
    np.savez(folder / "scn00001/lowdim/cam01.npz", extrinsics=np.zeros((3, 4, 4)), timestep=np.arange(3))
    return "is not a rotation and translation"


@pytest.mark.parametrize("name", LAYOUTS)
def test_damaged_data_sets_are_refused(tmp_path, name):
    message = damaged(tmp_path / "data", name)
    with pytest.raises(InvalidInput, match=message):
        make_videos(tmp_path / "data", tmp_path / "eval", protocol="truth", config=config_of())


def test_a_wrong_option_of_any_component_is_refused_before_anything_is_run(tmp_path, clips, depth):
    for wrong in ({"mesh": {"min_angle": "1,2"}}, {"renderer": {"name": "zbuffer", "sise": 3}}):
        with pytest.raises(InvalidConfig, match=r"min_angle|sise"):
            make_videos(clips, tmp_path / "eval", protocol="ranges", config=config_of(depth, **wrong))
    assert not (tmp_path / "eval").exists()


def test_damaged_manifests_start_anew(tmp_path, clips, depth):
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "manifest.json").write_text("{")
    with pytest.warns(UserWarning, match="renamed"):
        make_videos(clips, tmp_path / "eval", protocol="ranges", config=config_of(depth), shard=Shard.parse("2/3"))
    assert json.loads((tmp_path / "eval" / "manifest.json").read_text())["protocol"] == "ranges"


def test_an_error_of_several_cases_is_printed_once():
    assert sentences({"a__30": "x", "a__60": "x", "b__30": "y"}) == ["a__30 and 1 more: x", "b__30: y"]


@pytest.mark.parametrize("given", [{"data": "synthetic"}, {"data": "clips", "data_set": "dycheck"}])
def test_data_sets_need_the_protocol_truth(tmp_path, given):
    with pytest.raises(InvalidConfig, match="is a data set with true views; use --protocol truth"):
        make_videos(folder=tmp_path / "eval", protocol="ranges", config=config_of(), **given)


def test_a_missing_folder_of_clips_does_not_occupy_the_evaluation_folder(tmp_path):
    with pytest.raises(InputNotFound, match="clips does not exist; pass a folder of clips"):
        make_videos(tmp_path / "clips", tmp_path / "eval", protocol="ranges", config=config_of())
    assert not (tmp_path / "eval").exists()


def test_a_wrong_estimator_is_refused_before_anything_is_run(tmp_path, clips):
    config = make_config({"backbone": {"name": "telea"}, "depth": {"name": "fil"}})
    with pytest.raises(ComponentNotFound, match="unknown depth estimator 'fil'"):
        make_videos(clips, tmp_path / "eval", protocol="ranges", config=config)
    assert not (tmp_path / "eval").exists()
