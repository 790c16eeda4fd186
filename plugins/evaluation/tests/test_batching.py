"""Evaluations whose videos are made by the batch engine."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ex4d_core.cli.flags import COLUMNS, column_tables
from ex4d_core.config import RunConfig, make_config
from ex4d_core.errors import InputNotFound, InvalidConfig, InvalidInput, OutputFailed
from ex4d_core.jobs.folder import keep_manifest
from ex4d_core.jobs.manifest import read_manifest
from ex4d_core.jobs.runner import JobRunner
from ex4d_core.jobs.storage import Storage
from ex4d_evaluation import score
from ex4d_evaluation.batching import collect, make_manifest
from ex4d_evaluation.running import make_videos

from .layouts import LAYOUTS, footage, save_video
from .test_running import config_of


def run_jobs(manifest: Path, out: Path, defaults: RunConfig | None = None) -> list[str]:
    """Run the jobs of a manifest as a worker of `ex4d batch run`; return their states."""
    found = read_manifest(manifest, columns=COLUMNS, tables=column_tables, defaults=defaults)
    found.refuse_invalid()
    keep_manifest(Storage(str(out)), manifest)
    runner = JobRunner(out, run="test")
    return [runner.run(job).status for job in found.jobs]


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of results and cases by name."""
    files = [path for name in ("results", "cases") for path in (folder / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def clip(tmp_path):
    save_video(footage().source.video.frames, tmp_path / "clips" / "a.mp4")
    np.savez(tmp_path / "depth.npz", depth=footage().source.depth.depth.numpy())
    return tmp_path / "clips"


@pytest.fixture
def kubric(tmp_path):
    LAYOUTS["kubric5d"](tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["pair", "dycheck", "vista4d"])
def test_a_batch_makes_the_same_files(tmp_path, name):
    LAYOUTS[name](tmp_path / "data")
    given = {"protocol": "truth", "config": config_of(video={"start": 1, "size": "32x24"})}
    make_videos(tmp_path / "data", tmp_path / "direct", **given)
    planned = make_manifest(tmp_path / "m.csv", tmp_path / "data", tmp_path / "eval", **given)
    assert (len(planned.done), planned.failed) == (1, {})
    assert not (tmp_path / "eval" / "results").exists()
    assert run_jobs(tmp_path / "m.csv", tmp_path / "out") == ["done"]
    assert collect(tmp_path / "eval", tmp_path / "out").failed == {}
    assert files_of(tmp_path / "eval") == files_of(tmp_path / "direct")
    assert score(tmp_path / "eval").as_json()["summary"] == score(tmp_path / "direct").as_json()["summary"]


def test_ranges_and_seeds_are_rows(tmp_path, clip, seeded):
    config = config_of(tmp_path / "depth.npz", seed=5, prompt='a "room", 1;2', mesh={"min_angle": 3})
    given = {"protocol": "ranges", "config": config, "seeds": 2, "method": "m"}
    make_manifest(tmp_path / "m.csv", clip, tmp_path / "eval", **given)
    make_videos(clip, tmp_path / "direct", **given)
    assert run_jobs(tmp_path / "m.csv", tmp_path / "out") == ["done"] * 8
    made = collect(tmp_path / "eval", tmp_path / "out")
    assert (made.method, made.done[:2]) == ("m", ("a__small@m@5", "a__small@m@6"))
    assert files_of(tmp_path / "eval") == files_of(tmp_path / "direct")


def test_commands(ex4d, tmp_path, monkeypatch):
    monkeypatch.setattr("ex4d_evaluation.datasets.synthetic.SEEDS", range(1))
    words = ("eval", "run", "synthetic", "-o", "eval", "--protocol", "truth", "--num-frames", "2", "--size", "32x32")
    code, out, err = ex4d(*words, "--backbone", "telea", "--manifest", "m.csv")
    assert code == 0, err
    assert "3 rows for telea, 0 failed; next: ex4d batch run m.csv -o BATCH; ex4d eval collect eval BATCH" in out
    manifest = read_manifest(tmp_path / "m.csv", columns=COLUMNS, tables=column_tables)
    keys = [job.key() for job in manifest.jobs]
    assert ex4d(*words, "--backbone", "inpaint", "--manifest", "n.csv")[0] == 0
    assert [job.key() for job in manifest.jobs] == keys  # files that the jobs read are unchanged
    run_jobs(tmp_path / "m.csv", tmp_path / "out")
    next((tmp_path / "out" / "room0__60@telea").glob("result_*.mp4")).unlink()
    shutil.rmtree(tmp_path / "out" / "room0__90@telea")
    (tmp_path / "out" / "jobs" / "room0__90@telea.json").unlink()
    code, out, err = ex4d("eval", "collect", "eval", "out", "--json")
    assert code == 1
    assert json.loads(out)["done"] == ["room0__30@telea"]
    assert "room0__60@telea: it has no result; run ex4d batch run again" in err
    assert "room0__90@telea: pending; run ex4d batch run again" in err


def test_results_with_other_options_are_refused(tmp_path, clip):
    given = {"protocol": "ranges", "config": config_of(tmp_path / "depth.npz")}
    make_manifest(tmp_path / "m.csv", clip, tmp_path / "eval", **given)
    run_jobs(tmp_path / "m.csv", tmp_path / "out", make_config({"mesh": {"min_angle": 5}}))
    made = collect(tmp_path / "eval", tmp_path / "out")
    assert made.done == ()
    assert "it was run with other options or inputs than the row" in made.failed["a__small@telea"]


def test_a_user_configuration_that_changes_results_is_refused(tmp_path, clip, monkeypatch):
    (tmp_path / "user.toml").write_text("[mesh]\nmin_angle = 5\n")
    monkeypatch.setenv("EX4D_CONFIG", str(tmp_path / "user.toml"))
    with pytest.raises(InvalidConfig, match=r"would run a__small@telea with other options of mesh than ex4d eval run"):
        make_manifest(
            tmp_path / "m.csv", clip, tmp_path / "eval", protocol="ranges", config=config_of(tmp_path / "depth.npz")
        )
    assert not (tmp_path / "m.csv").exists()


def test_estimated_depth_without_scale_is_refused_for_poses_with_one(tmp_path, kubric):
    config = make_config({"backbone": {"name": "telea"}, "depth": {"name": "sketch"}, "device": "cpu"})
    make_manifest(tmp_path / "m.csv", kubric, tmp_path / "eval", protocol="truth", config=config)
    assert run_jobs(tmp_path / "m.csv", tmp_path / "out") == ["done"]
    (error,) = collect(tmp_path / "eval", tmp_path / "out").failed.values()
    assert "the depth of scn00001 has no scale" in error


def test_a_depth_file_must_state_that_it_is_metric(tmp_path, clip, kubric):
    given = {"protocol": "truth", "config": config_of(tmp_path / "depth.npz")}
    made = make_manifest(tmp_path / "m.csv", kubric, tmp_path / "eval", **given)
    assert "the depth of scn00001 has no scale" in next(iter(made.failed.values()))
    assert not (tmp_path / "m.csv").exists()


def test_folders_and_files_that_do_not_fit_are_refused(tmp_path, clip):
    given = {"protocol": "ranges", "config": config_of(tmp_path / "depth.npz")}
    with pytest.raises(InputNotFound, match="has no cases; prepare them with ex4d eval run DATA"):
        collect(tmp_path / "eval", tmp_path)
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "manifest.json").write_text('{"cases": [{}]}')
    with pytest.raises(InvalidInput, match=r"manifest.json is not a manifest; run ex4d eval run again"):
        collect(tmp_path / "eval", tmp_path)
    shutil.rmtree(tmp_path / "eval")
    make_manifest(tmp_path / "m.csv", clip, tmp_path / "eval", **given)
    with pytest.raises(InvalidConfig, match=r"m.parquet is written as CSV; choose a name that ends in .csv"):
        make_manifest(tmp_path / "m.parquet", clip, tmp_path / "eval", **given)
    with pytest.raises(OutputFailed, match=r"m.csv exists and is not overwritten"):
        make_manifest(tmp_path / "m.csv", clip, tmp_path / "eval", **given)
    with pytest.raises(InputNotFound, match=r"has no manifest; pass the output folder of ex4d batch run"):
        collect(tmp_path / "eval", tmp_path)
