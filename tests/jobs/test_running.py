"""Jobs run once, are resumed and recorded; an error or a crash of one leaves the others alone."""

import csv
import json
from pathlib import Path

import pytest

from ex4d_core.config import make_config
from ex4d_core.errors import InputNotFound, OutputFailed
from ex4d_core.files import locked_if_free
from ex4d_core.jobs.folder import collect
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.records import JobReport, read_record, record_file, write_record
from ex4d_core.jobs.runner import JobRunner
from ex4d_core.jobs.running import run_jobs
from ex4d_core.jobs.storage import Storage
from ex4d_core.jobs.worker_process import Done
from tests.helpers.forked import forking
from tests.helpers.fragile_plugin import plant_fragile_plugin


@pytest.fixture
def job(small_clip):
    """Make a job of the small clip, to the guidance only."""

    def make(name, *, first="", clip=small_clip.video, **tables):
        settings = {"depth": {"name": "file", "path": str(small_clip.depth)}, "renderer": {"name": "zbuffer"}}
        tree = {"clips": [str(clip)], "cam": ["10"], "video": {"num_frames": 2}, **settings, **tables}
        return Job(id=name, config=make_config(tree), first=first)

    return make


def runner(folder, run="first"):
    return JobRunner(folder, run=run, goal="guidance")


def test_a_job_has_outputs_costs_and_a_log(job, tmp_path):
    report = runner(tmp_path).run(job("a"))
    assert (report.status, report.error, report.fresh) == ("done", "", True)
    assert all((tmp_path / output).exists() for output in report.outputs)
    assert {"a/color_10.mp4", "a/mask_10.mp4", "a/camera_10.npz"} == set(report.outputs)
    assert report.stages["guidance"].seconds > 0
    assert report.stages["guidance"].peak_gib > 0
    (log,) = (tmp_path / "logs").iterdir()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["stage"] for line in lines if "stage" in line] == ["read", "depth", "refine", "guidance"]
    assert lines[-1]["status"] == "done"
    assert all(line["job"] == "a" and line["run"] == "first" for line in lines)


def test_a_finished_job_is_not_run_again_and_a_removed_output_is_made_again(job, tmp_path):
    made = runner(tmp_path).run(job("a"))
    assert not runner(tmp_path, "second").run(job("a")).fresh
    (tmp_path / made.outputs[0]).unlink()
    again = runner(tmp_path, "third").run(job("a"))
    assert (again.status, again.fresh) == ("done", True)
    assert (tmp_path / made.outputs[0]).exists()
    assert runner(tmp_path, "fourth").run(job("a", seed=5)).fresh


def test_an_error_of_a_clip_is_a_row_and_is_retried(job, tmp_path, small_clip):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    failed = runner(tmp_path).run(job("a", clip=broken, cam=["10", "20"]))
    assert failed.status == "failed"
    assert failed.error.startswith(f"{broken} is not a video that can be read")
    assert failed.error.count("broken.mp4") == 1
    broken.write_bytes(small_clip.video.read_bytes())
    assert runner(tmp_path).run(job("a", clip=broken)).status == "done"


def test_jobs_of_a_clip_share_its_depth_and_loaded_components(job, tmp_path):
    own = runner(tmp_path)
    own.run(job("a"))
    estimator = own._session.depth_estimator()
    second = own.run(job("b", first="a", cam=["20"]))
    assert second.stages["depth"].reused
    assert not second.stages["guidance"].reused
    assert own._session.depth_estimator() is estimator
    (a, b) = (next((tmp_path / name / "artifacts").glob("depth-*")) for name in "ab")
    assert (a / "artifact.json").samefile(b / "artifact.json")


def test_a_job_that_another_process_runs_is_left_alone(job, tmp_path):
    with locked_if_free(record_file(tmp_path, "a")) as is_own:
        assert is_own
        report = runner(tmp_path).run(job("a"))
    assert (report.status, report.error) == ("running", "another process is running this job")
    assert not (tmp_path / "a").exists()


def test_a_job_that_ends_its_process_is_started_three_times_by_one_run_and_again_by_the_next(job, tmp_path):
    write_record(tmp_path, JobReport(id="a", status="running", run="first", starts=3))
    report = runner(tmp_path).run(job("a"))
    assert report.status == "crashed"
    assert report.error.startswith("its process ended each time that it ran this clip")
    assert runner(tmp_path, "second").run(job("a")).status == "done"


def test_a_folder_that_cannot_be_written_is_an_error_and_not_a_row(job, tmp_path):
    (tmp_path / "jobs").write_text("a file")
    with pytest.raises(OutputFailed):
        runner(tmp_path).run(job("a"))


def test_a_damaged_record_counts_as_none(tmp_path):
    write_record(tmp_path, JobReport(id="a", status="done"))
    record_file(tmp_path, "a").write_text('{"status": 5}')
    assert read_record(tmp_path, "a").status == "pending"


def test_a_report_lists_what_was_interrupted_and_what_was_not_started(tmp_path):
    (tmp_path / "manifest.csv").write_text("id,clip\nlater,c.mp4\nkilled,c.mp4\nb,c.mp4\n")
    write_record(tmp_path, JobReport(id="killed", status="running"))
    write_record(tmp_path, JobReport(id="b", status="done"))
    assert [(each.id, each.status) for each in collect(Storage(str(tmp_path)))] == [
        *(("later", "pending"), ("killed", "interrupted"), ("b", "done")),
    ]
    with pytest.raises(InputNotFound, match="has no jobs"):
        collect(Storage(str(tmp_path / "jobs")))


def test_a_process_that_ends_before_it_writes_a_record_is_recorded(job, tmp_path):
    def execute(groups, make):
        yield from (Done(item=each, error="its process was killed by SIGKILL", is_crash=True) for (each,) in groups)

    (report,) = run_jobs([job("a")], tmp_path, run="r", goal="guidance", execute=execute)
    assert (report.status, report.starts) == ("crashed", 3)
    assert read_record(tmp_path, "a").error.startswith("its process was killed by SIGKILL each time that it ran this")


@pytest.mark.slow
def test_a_crash_ends_one_job_after_three_attempts_and_the_others_run(job, tmp_path, monkeypatch):
    monkeypatch.setattr("ex4d_core.processes._CONTEXT", forking())
    plant_fragile_plugin(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, crashes in (("once", 1), ("always", 9)):
        (tmp_path / name).write_text(str(crashes))

    def fragile(name):
        return job(name, depth={"name": "fragile", "crashes": str(tmp_path / name)})

    out, seen = tmp_path / "out", []
    reports = run_jobs(
        [fragile("once"), fragile("always"), job("good")], out, run="r", goal="guidance", on_report=seen.append
    )
    assert reports == seen
    assert {report.id: report.status for report in reports} == {"once": "done", "always": "crashed", "good": "done"}
    crashed = read_record(out, "always")
    assert crashed.starts == 3
    assert "its process was killed by SIGKILL" in crashed.error
    assert (tmp_path / "always").read_text() == "6"


@pytest.mark.slow
def test_the_command_runs_reports_and_resumes(ex4d, small_clip, tmp_path, monkeypatch):
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("a", "b"):
        (clips / f"{name}.mp4").write_bytes(small_clip.video.read_bytes())
    (clips / "broken.mp4").write_bytes(b"no video")
    assert ex4d("batch", "plan", clips, "--cam", "10", "-m", "m.csv")[:2] == (0, "m.csv\n")
    options = ("m.csv", "-o", "out", "--depth-file", small_clip.depth, "--goal", "guidance", "--num-frames", 2)
    code, out, err = ex4d("batch", "run", *options, "--dry-run")
    assert code == 0
    assert out.splitlines()[0] == "jobs: 3, 0 done, 2 camera paths to run"
    assert "1 of 3 jobs cannot run on this machine, such as broken: " in out
    assert "time: unknown for 2 paths with stages that were not measured on this CPU" in out
    code, out, err = ex4d("batch", "run", *options, "--shard", "0/2")
    assert (code, out.splitlines()[0]) == (1, "out/report-0-of-2.csv"), err
    assert "warning: broken: failed: " in err
    assert err.endswith("1 done, 1 failed\n")
    monkeypatch.setattr("ex4d_core.processes._CONTEXT", forking())  # the first was started as users do
    assert ex4d("batch", "run", *options, "--shard", "1/2")[0] == 0
    assert ex4d("batch", "report", "out")[2] == "2 done, 1 failed\n"
    rows = list(csv.DictReader(Path("out/report.csv").read_text().splitlines()))
    assert [(row["id"], row["status"]) for row in rows] == [("a", "done"), ("b", "done"), ("broken", "failed")]


def test_wrong_manifests_end_in_one_sentence(ex4d, tmp_path):
    assert ex4d("batch", "run", "no.csv")[2] == "error: the manifest no.csv does not exist; check the path\n"
    (tmp_path / "m.csv").write_text("id,clip\nx,no.mp4\n")
    code, _, err = ex4d("batch", "run", "m.csv")
    assert code == 2
    assert err.splitlines() == [
        "error: row 1 (x): the clip no.mp4 does not exist",
        "error: m.csv: 1 of 1 rows cannot be run; correct them, or pass --skip-invalid to run the others",
    ]
    assert ex4d("batch", "report", ".")[2] == "error: . has no jobs; pass the output folder of ex4d batch run\n"
