"""Parts of a preparation, and other machines, make the same bytes as one process."""

from __future__ import annotations

import shutil
import signal
import time
from functools import partial
from pathlib import Path

import attrs
import pytest
from filelock import FileLock

from ex4d_core.errors import InvalidInput, PluginFailed
from ex4d_core.jobs.shards import Shard
from ex4d_core.jobs.worker_process import process_item
from ex4d_core.jobs.workers import process_groups
from ex4d_training.data import LatentDataset, prepare, read_manifest
from ex4d_training.data.encode import EncodeTask, Node, VideoEncoder, make_worker, node_of
from ex4d_training.data.scan import Refusal
from ex4d_training.data.sources import VideoSource
from plugins.training.tests.data.stand_in import prepare_tree, samples, stand_in
from plugins.training.tests.data.test_prepare import contents, tree_of
from tests.helpers.forked import fork

pytestmark = pytest.mark.slow

PARTS = (Shard(index=0, count=2), Shard(index=1, count=2))


def everything(folder: Path) -> dict[str, bytes]:
    """Return the shards and the manifest."""
    return {**contents(folder), "manifest.json": (folder / "manifest.json").read_bytes()}


@pytest.fixture
def many(videos):
    """Fourteen videos, one of which cannot be read."""
    for copy in "efghijklmn":
        shutil.copy(videos / "a.mp4", videos / f"{copy}.mp4")
        shutil.copy(videos / "a.txt", videos / f"{copy}.txt")
    return videos


def test_parts_make_the_same_bytes_in_any_order(job, many, tmp_path, monkeypatch):
    stand_in(monkeypatch.setattr)
    whole = prepare(many, tmp_path / "whole", job=job())
    first = prepare(many, tmp_path / "parts", job=job(), part=PARTS[1])
    assert not first.complete
    with pytest.raises(InvalidInput, match="is not complete"):
        LatentDataset(tmp_path / "parts")
    second = prepare(many, tmp_path / "parts", job=job(), part=PARTS[0])
    assert everything(tmp_path / "parts") == everything(tmp_path / "whole")
    assert attrs.evolve(second, folder=whole.folder) == whole
    assert not (tmp_path / "parts" / ".prepare" / "pieces").exists()


def test_parts_at_the_same_time_of_which_one_is_killed_and_resumed(job, many, tmp_path, tiny_wan, monkeypatch):
    out = tmp_path / "parts"
    tree = tree_of(job, tiny_wan)
    first, second = (fork(prepare_tree, str(many), str(out), tree, f"{part.index}/{part.count}") for part in PARTS)
    while first.is_alive() and not any((out / ".prepare" / "pieces").glob("*")):
        time.sleep(0.002)
    first.kill()
    for process in (first, second):
        process.join()
    assert (first.exitcode, second.exitcode) == (-signal.SIGKILL, 0)
    assert not read_manifest(out).complete
    stand_in(monkeypatch.setattr)
    made = []
    monkeypatch.setattr(VideoEncoder, "samples", lambda self, source: made.append(source.name) or samples(self, source))
    assert prepare(many, out, job=job(), part=PARTS[0]).complete
    assert 0 < len(made) <= 7
    prepare(many, tmp_path / "whole", job=job())
    assert everything(out) == everything(tmp_path / "whole")


def test_videos_that_parts_refuse_are_in_the_report_of_the_last_one(job, many, tmp_path, monkeypatch):
    stand_in(monkeypatch.setattr)

    def refuses(self, source):
        return Refusal(filter="cuts", reason="it has cuts") if source.name in "a.mp4 d.mp4" else samples(self, source)

    monkeypatch.setattr(VideoEncoder, "samples", refuses)
    for part in PARTS:
        report = prepare(many, tmp_path / "out", job=job(), part=part)
    assert report.complete
    assert report.counts == {"cuts": 2, "unreadable": 1}


def test_a_run_with_another_number_of_parts_is_refused_while_one_is_running(job, some_videos, tmp_path):
    work = tmp_path / ".prepare"
    work.mkdir()
    with FileLock(work / "lock-0-of-2"):
        for part in (Shard(), Shard(index=1, count=3), PARTS[0]):
            with pytest.raises(InvalidInput, match=r"another run prepares .* now"):
                prepare(some_videos, tmp_path, job=job(), part=part)
    with FileLock(work / "lock"), pytest.raises(InvalidInput, match=r"another run prepares .* now"):
        prepare(some_videos, tmp_path, job=job(), part=PARTS[1])


def test_the_command_takes_the_part_of_a_slurm_array(ex4d, some_videos, tmp_path, tiny_wan, monkeypatch):
    stand_in(monkeypatch.setattr)
    monkeypatch.setattr("ex4d_training.data.encode.default_workers", lambda: 0)
    own = ("--data-path", some_videos, "--output-dir", tmp_path / "out", "--model", tiny_wan, "--depth", "none")
    more = ("--frames", 9, "--size", "48x32", "--device", "cpu", "--set", "masks.kind=tracking")
    call = ("data", "prepare", *own, *more, "--set", "data.min_side=16", "--set", "data.shard_videos=2")
    code, out, _ = ex4d(*call, "--shard", "0/2")
    assert (code, "shards of other parts are missing" in out) == (0, True)
    for name, value in (("ID", "1"), ("MIN", "0"), ("MAX", "1"), ("COUNT", "2")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    code, out, _ = ex4d(*call)
    assert (code, "shards of other parts are missing" in out) == (0, False)
    assert len(LatentDataset(tmp_path / "out")) == 3


def test_a_video_that_ends_its_process_each_time_is_refused_by_the_next_process(
    job, some_videos, tmp_path, monkeypatch
):
    stand_in(monkeypatch.setattr)
    task = EncodeTask(
        source=VideoSource(path=some_videos / "a.mp4", name="a.mp4", caption=""),
        shard="s",
        file=tmp_path / "0.safetensors",
    )
    task.starts.write_bytes(b"...")
    refusal = process_item(make_worker(0, job=job(), workers=0, texts=tmp_path), task).result
    assert (refusal.filter, refusal.reason) == ("failed", "its process ended each time")


def test_a_machine_without_the_encoders_or_with_other_ones_is_refused(job, tmp_path, tiny_wan):
    here = node_of(job())
    other = Node(facts=here.facts, fingerprint="other")
    with pytest.raises(PluginFailed, match=r"the node \S+ has other encoders in .* than this machine"):
        make_worker(0, job=job(), workers=1, texts=tmp_path, node=other)
    without = attrs.evolve(job(), model=attrs.evolve(job().model, model=str(tmp_path / "gone")))
    with pytest.raises(PluginFailed, match=r"the node \S+ lacks the encoders: .*gone"):
        make_worker(0, job=without, workers=1, texts=tmp_path, node=here)


def test_an_executor_makes_the_same_bytes(job, some_videos, tmp_path):
    """With the networks, and the checks and captions of other machines, in this process."""
    prepare(some_videos, tmp_path / "here", job=job())
    report = prepare(some_videos, tmp_path / "there", job=job(), execute=partial(process_groups, workers=0))
    assert report.counts == {"unreadable": 1}
    assert everything(tmp_path / "there") == everything(tmp_path / "here")
