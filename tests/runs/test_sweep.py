"""Several values of an option make a run folder each, and one table."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import ex4d_core as ex4d
from ex4d_core.cameras.language import CamError
from ex4d_core.cli.several_values import expanded, takes_one_value
from ex4d_core.config.run_config import read_config
from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.plugins.registry import Registry
from ex4d_core.runs.sweep import sweep

FLAGS = ("--cam", "20", "--backbone", "telea", "--renderer", "zbuffer", "--device", "cpu")
SETTINGS = {"backbone": "telea", "renderer": "zbuffer", "device": "cpu"}


def read_csv(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("mesh.min_angle", True),
        ("refine.enabled", True),
        ("video.fit", True),
        ("video.num_frames", True),
        ("renderer.name", True),
        ("backbone.name", True),
        ("depth.path", False),
        ("lens.intrinsics", False),
        ("path.source_cameras", False),
        ("trajectory.look_at", False),
        ("trajectory.name", False),
        ("video.size", False),
        ("mesh.nothing", False),
        ("masks.kind", False),
        ("nothing.at_all", False),
    ],
)
def test_a_comma_separates_values_of_numbers_switches_words_and_names_only(registry, key, expected):
    assert takes_one_value(key, registry) == expected


def test_a_path_with_commas_is_one_value():
    assert expanded(["depth.path=a,b.npz"]) == [({}, ["depth.path=a,b.npz"])]


def test_a_later_text_replaces_an_earlier_one():
    assert expanded(["mesh.min_angle=1,2", "mesh.min_angle=3"]) == [({}, ["mesh.min_angle=3"])]


def test_several_options_make_all_combinations():
    found = expanded(["mesh.min_angle=1, 2.5", "depth.path=a,b", "refine.enabled=true,false"])
    assert [list(values.values()) for values, _ in found] == [
        ["1", "true"],
        ["1", "false"],
        ["2.5", "true"],
        ["2.5", "false"],
    ]
    assert found[3][1] == ["depth.path=a,b", "mesh.min_angle=2.5", "refine.enabled=false"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mesh.min_angle=1,,2", "has an empty value"),
        ("mesh.min_angle=1,1", "needs different values of mesh.min_angle, not 1, 1"),
        (f"video.start={','.join(map(str, range(1001)))}", "at most 1000 combinations, not 1001"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(text, says):
    with pytest.raises(InvalidConfig, match=says):
        expanded([text])


def test_a_sweep_has_a_folder_for_each_value_and_shares_depth(ex4d, small_clip):
    arguments = (small_clip.video, "--depth-file", small_clip.depth, *FLAGS, "--cam", "10")
    code, out, err = ex4d("run", *arguments, "--set", "mesh.min_angle=1,8", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert [(run["values"], run["cam"]) for run in told["runs"]] == [
        ({"mesh.min_angle": value}, cam) for value in ("1", "8") for cam in ("20", "10")
    ]
    depth = [stage["reused"] for run in told["runs"] for stage in run["stages"] if stage["stage"] == "depth"]
    assert depth == [False, True]
    rows = read_csv(Path("outputs/sweep_mesh.min_angle=1,8.csv"))
    assert [row["folder"] for row in rows] == [f"outputs/mesh.min_angle={value}/clip" for value in (1, 1, 8, 8)]
    assert float(rows[0]["known"]) > float(rows[2]["known"])
    assert all(row["known_psnr"] == "inf" for row in rows)  # telea changes hidden pixels only
    assert float(rows[0]["guidance (s)"]) > 0
    assert (Path(rows[2]["folder"]) / "result_20.mp4").exists()
    assert "min_angle = 8" in (Path(rows[2]["folder"]) / "config.toml").read_text()
    table = Path("outputs/sweep_mesh.min_angle=1,8.md").read_text().splitlines()
    assert table[0].startswith("| clip | cam | mesh.min_angle | known | ")
    assert len(table) == 6


def test_a_failure_is_a_row_and_the_others_go_on(ex4d, small_clip, monkeypatch):
    arguments = (small_clip.video, "--depth-file", small_clip.depth, *FLAGS[:2], "--device", "cpu")
    monkeypatch.setattr("ex4d_core.builtin.render_torch.TorchRenderer.render", lambda *_: {}["horse"])
    code, out, _ = ex4d("recon", *arguments, "--set", "renderer.name=torch,nvdiffrast,zbuffer")
    assert code == 1
    assert out.count("failed: ") == 2
    assert ": KeyError: 'horse'" in out
    assert "nvdiffrast" in out
    rows = read_csv(next(Path("outputs").glob("*.csv")))
    assert [bool(row["error"]) for row in rows] == [True, True, False]
    assert float(rows[2]["known"]) > 0.5


def test_commands_without_sweeps_name_those_that_have_them(ex4d, small_clip):
    for command in ("preview", "depth", "masks"):
        code, _, err = ex4d(command, str(small_clip.video), "--set", "mesh.min_angle=1,2.5", "--set", "lens.fov=50")
        assert code == 2
        assert (
            err.strip()
            == "error: this command takes one value of mesh.min_angle; ex4d run and ex4d recon compare several"
        )


def test_a_value_that_is_invalid_stops_before_anything_runs(ex4d, small_clip):
    arguments = (small_clip.video, "--depth-file", small_clip.depth, *FLAGS)
    code, _, err = ex4d("run", *arguments, "--set", "mesh.min_angle=1,many")
    assert (code, "mesh.min_angle: must be a number, not 'many'" in err) == (2, True), err
    code, _, err = ex4d("run", *arguments, "--set", "renderer.name=zbuffer,torch")
    assert (code, "renderer.name=zbuffer and renderer.name=torch are the same run; flags override" in err) == (2, True)
    code, _, err = ex4d("recon", *arguments[:5], "--device", "cpu", "--set", "renderer.name=zbuffer,zbufer")
    assert (code, "unknown renderer 'zbufer'; did you mean 'zbuffer'?" in err) == (2, True), err
    assert not Path("outputs").exists()


def test_python_sweeps_arrays_objects_and_seeds(tmp_path):
    class Flat:
        version = 1
        calls = 0

        def estimate(self, video, *, progress):
            Flat.calls += 1
            lens = ex4d.Intrinsics.from_fov(width=32, height=32)
            return ex4d.DepthVideo(depth=np.full((2, 32, 32), 2.0), kind="metric", intrinsics=lens)

    class Black:
        version = 1

        def generate(self, guidance, scene, **rest):
            return ex4d.Video(frames=guidance.color, fps=guidance.fps)

    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    settings = {**SETTINGS, "depth": Flat(), "backbone": Black()}
    made = sweep(
        frames, {"mesh.min_angle": np.array([1, 8]), "seed": [1, 2]}, folder=tmp_path, cam=["20", 10], **settings
    )
    assert Flat.calls == 1
    assert [(row["mesh.min_angle"], row["seed"], row["cam"]) for row in made.table()] == [
        (angle, seed, cam) for angle in "18" for seed in "12" for cam in ("20", "10")
    ]
    # The seed does not change depth and guidance.
    assert [record.reused for record in made.rows[2].outcome.records][:2] == [True, True]
    assert made._repr_html_().count("<tr>") == 9
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        f"mesh.min_angle={angle}_seed={seed}" for angle in (1, 8) for seed in (1, 2)
    }
    config = read_config(tmp_path / "mesh.min_angle=1_seed=2" / "config.toml")
    assert (config["cam"], config["seed"]) == (["20", "10"], 2)
    with pytest.raises(InvalidConfig, match=r"depth\.kind cannot be changed: the depth is an object of the caller"):
        sweep(frames, {"depth.kind": ["metric"]}, folder=tmp_path, **settings)
    with pytest.raises(InvalidInput, match="make gray frames colored"):
        sweep(frames[..., 0], {"seed": [1, 2]}, folder=tmp_path)
    with pytest.raises(InvalidConfig, match="a sweep needs options and values"):
        sweep(frames, {}, folder=tmp_path)
    with pytest.raises(InvalidConfig, match="cam is an argument of its own in a sweep"):
        sweep(frames, {"cam": ["20", "30"]}, folder=tmp_path)
    with pytest.raises(CamError, match="unknown trajectory generator 'orbitt'"):
        sweep(frames, {"seed": [1, 2]}, folder=tmp_path / "none", cam="orbitt", **settings)
    assert not (tmp_path / "none").exists()
    with pytest.raises(InvalidConfig, match="goal must be guidance or result, not 'all'"):
        sweep(frames, {"seed": [1, 2]}, folder=tmp_path, goal="all")
    with pytest.raises(InvalidConfig, match=r"the values of seed must be a list, as in \{'seed': \[1, 2\]\}, not 3"):
        sweep(frames, {"seed": 3}, folder=tmp_path)


def test_a_sweep_along_poses_has_the_seconds_of_depth(tmp_path):
    frames, poses = np.zeros((2, 32, 32, 3), np.uint8), np.tile(np.eye(4), (2, 1, 1))
    depth = {"depth": np.full((2, 32, 32), 2.0), "depth_kind": "metric"}
    made = sweep(frames, {"mesh.min_angle": [1, 8]}, folder=tmp_path, cam=poses, goal="guidance", **depth, **SETTINGS)
    assert all({"depth (s)", "guidance (s)"} <= row.keys() for row in made.table())


def test_components_whose_options_stay_are_loaded_once(small_clip):
    session = ex4d.Session(depth={"name": "file", "path": str(small_clip.depth)}, **SETTINGS)
    first = [session.renderer(), session.mesh_builder(), session.backbone()]
    other = ex4d.Session(**{**SETTINGS, "mesh": {"min_angle": 8}}).config
    changed = session.changed(other)
    again = [changed.renderer(), changed.mesh_builder(), changed.backbone()]
    assert [one is two for one, two in zip(first, again, strict=True)] == [True, False, True]
