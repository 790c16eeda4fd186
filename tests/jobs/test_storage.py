"""Clips and outputs at URLs: outputs are complete when the record is there, and finished jobs are found."""

import fsspec
import pytest

from ex4d_core.config import make_config
from ex4d_core.errors import InputNotFound, InvalidInput, PluginFailed
from ex4d_core.jobs.folder import collect
from ex4d_core.jobs.manifest import Job, read_manifest
from ex4d_core.jobs.runner import JobRunner
from ex4d_core.jobs.storage import Storage, fetched, is_url
from ex4d_core.user_cache import EX4D_CACHE

OUT = "memory://bucket/out"


@pytest.fixture
def bucket(small_clip, tmp_path, monkeypatch):
    """A bucket in memory with a clip, and an empty cache."""
    monkeypatch.setenv(EX4D_CACHE, str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    files.pipe_file("/bucket/c.mp4", small_clip.video.read_bytes())
    yield files
    files.rm("/bucket", recursive=True)


@pytest.fixture
def job(small_clip):
    depth = {"name": "file", "path": str(small_clip.depth)}
    tree = {"clips": ["memory://bucket/c.mp4"], "cam": ["5"], "video": {"num_frames": 2}, "depth": depth}
    return Job(id="a", config=make_config({**tree, "renderer": {"name": "zbuffer"}}))


def run(job, name="r"):
    return JobRunner(OUT, run=name, goal="guidance").run(job)


def test_a_job_from_and_to_a_bucket(bucket, job, tmp_path, monkeypatch):
    report = run(job)
    assert (report.status, report.error) == ("done", "")
    assert report.clip == "memory://bucket/c.mp4"
    assert all(bucket.size(f"/bucket/out/{output}") > 0 for output in report.outputs)
    assert [(each.id, each.status) for each in collect(Storage(OUT))] == [("a", "done")]
    monkeypatch.setenv(EX4D_CACHE, str(tmp_path / "another node"))
    assert not run(job, "again").fresh
    bucket.rm(f"/bucket/out/{report.outputs[0]}")
    assert run(job, "once more").fresh
    bucket.pipe_file("/bucket/c.mp4", b"no video")
    assert run(job, "changed").status == "failed"


def test_a_manifest_in_a_bucket_names_files_beside_it(bucket, small_clip):
    bucket.pipe_file("/bucket/m.csv", f"clip\nc.mp4\nmemory://other/d.mp4\n{small_clip.video}\nno.mp4\n".encode())
    manifest = read_manifest("memory://bucket/m.csv", columns=(), tables=lambda cells: {})
    assert [job.clip for job in manifest.jobs] == [
        *("memory://bucket/c.mp4", "memory://other/d.mp4", str(small_clip.video)),
    ]
    assert [row.error for row in manifest.invalid] == ["the clip no.mp4 does not exist"]
    with pytest.raises(InputNotFound, match=r"memory://bucket/n\.csv does not exist; check the URL"):
        read_manifest("memory://bucket/n.csv", columns=(), tables=lambda cells: {})


def test_a_missing_clip_is_a_row(bucket, job):
    bucket.rm("/bucket/c.mp4")
    report = run(job)
    assert (report.status, report.error) == ("failed", "memory://bucket/c.mp4 does not exist; check the URL")


def test_a_record_follows_the_outputs(bucket, job, monkeypatch):
    pushed = []
    put_file = type(bucket).put_file
    monkeypatch.setattr(
        type(bucket), "put_file", lambda self, local, remote: (pushed.append(remote), put_file(self, local, remote))
    )
    run(job)
    names = [name.removeprefix("/bucket/out/") for name in pushed]
    assert names[0] == names[-1] == "jobs/a.json"
    assert set(names[1:-1]) == {"a/color_5.mp4", "a/mask_5.mp4", "a/camera_5.npz"}


def test_urls_and_paths():
    assert is_url("s3://bucket/a.mp4")
    assert is_url("file:///a")
    assert not any(map(is_url, ("C:/a.mp4", "C:\\a.mp4", "a:b.mp4", "/a", "")))
    assert fetched("a.mp4") == "a.mp4"


def test_wrong_urls_are_one_sentence():
    with pytest.raises(InputNotFound, match=r"memory://nowhere/a\.mp4 does not exist; check the URL"):
        fetched("memory://nowhere/a.mp4")
    with pytest.raises((InvalidInput, PluginFailed), match="nonsense://a"):
        fetched("nonsense://a")
