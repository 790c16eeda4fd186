"""Facts about preparing a data set: what is made, what is left out and said, and how a stopped run goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from pathlib import Path

import attrs
import pytest
import torch
from filelock import FileLock

from ex4d_backbone_wan.weights import locate
from ex4d_core.config.run_config import ComponentConfig
from ex4d_core.errors import InvalidInput, OutputFailed, PluginFailed
from ex4d_training.data import LatentDataset, check_fingerprint, fingerprint_of, prepare, read_manifest
from ex4d_training.data.encode import VideoEncoder
from ex4d_training.data.shards import write_manifest
from plugins.training.tests.data.stand_in import IN_USE, make_worker, prepare_tree, samples, stand_in
from tests.helpers.forked import fork, forking

pytestmark = pytest.mark.slow

SHARDS = ("shard-00000.safetensors", "shard-00001.safetensors")


def journal_of(folder: Path) -> list[dict]:
    lines = (folder / ".prepare" / "refused.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines if line]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(scope="module")
def once(job, some_videos, tmp_path_factory):
    """What an uninterrupted run makes in this process."""
    folder = tmp_path_factory.mktemp("once")
    prepare(some_videos, folder, job=job())
    return folder


@pytest.fixture
def done(once, out):
    """The same, to be changed."""
    return Path(shutil.copytree(once, out))


def test_videos_become_shards_that_a_data_set_reads(once):
    assert sorted(path.name for path in once.iterdir()) == [".prepare", "manifest.json", "report.json", *SHARDS]
    assert not (once / ".prepare" / "texts").exists()
    dataset = LatentDataset(once)
    assert len(dataset) == 6
    assert dataset[0]["latents"].shape == (16, 3, 4, 6)
    assert [dataset.facts(index)["video"] for index in range(6)] == ["a.mp4"] * 2 + ["b.mp4"] * 2 + ["d.mp4"] * 2
    manifest = dataset.manifest
    assert (manifest.frames, manifest.size, manifest.dtype) == (9, (48, 32), "float32")
    assert manifest.made_with["masks"]["kind"] == "tracking"
    assert manifest.made_with["seed"] == 42


def test_a_file_in_the_middle_that_is_no_video_is_listed(once):
    tree = json.loads((once / "report.json").read_text())
    assert tree["counts"] == {"unreadable": 1}
    assert (tree["videos"], tree["prepared"], tree["samples"]) == (4, 3, 6)
    ((entry),) = tree["refused"]
    assert (entry["video"], entry["filter"]) == ("c.mp4", "unreadable")
    assert "is not a video that can be read" in entry["reason"]


def test_the_same_call_again_makes_nothing_and_says_the_same(job, some_videos, done, monkeypatch):
    monkeypatch.setattr(VideoEncoder, "samples", lambda *_: pytest.fail("a video was prepared again"))
    report = prepare(some_videos, done, job=job())
    assert (report.videos, report.prepared, report.samples, report.shards) == (4, 3, 6, 2)
    assert report.counts == {"unreadable": 1}


def test_a_run_that_is_killed_goes_on_to_the_same_shards(job, videos, out, tmp_path, tiny_wan, monkeypatch):
    """Kill -9 in the middle; what was done is not done again."""
    for copy in "efghijklmnop":
        shutil.copy(videos / "a.mp4", videos / f"{copy}.mp4")
        shutil.copy(videos / "a.txt", videos / f"{copy}.txt")
    process = fork(prepare_tree, str(videos), str(out), tree_of(job, tiny_wan))
    while process.is_alive() and not (out / SHARDS[1]).exists():
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not read_manifest(out).complete
    with pytest.raises(InvalidInput, match="is not complete"):
        LatentDataset(out)
    kept = contents(out)
    stand_in(monkeypatch.setattr)
    made = []
    monkeypatch.setattr(VideoEncoder, "samples", lambda self, source: made.append(source.name) or samples(self, source))
    prepare(videos, out, job=job())
    assert 0 < len(made) <= 15 - 4
    assert kept.items() <= contents(out).items()
    prepare(videos, tmp_path / "whole", job=job())
    assert contents(out) == contents(tmp_path / "whole")


def test_another_process_makes_the_same_shards(job, some_videos, out, tmp_path, monkeypatch):
    """On a GPU, below, with the networks too, which take long to import."""
    stand_in(monkeypatch.setattr)
    prepare(some_videos, tmp_path / "here", job=job())
    monkeypatch.setattr("ex4d_training.data.preparation.make_worker", make_worker)
    monkeypatch.setattr("ex4d_core.processes._CONTEXT", forking())
    report = prepare(some_videos, out, job=job(), workers=1)
    assert (report.samples, report.counts) == (3, {"unreadable": 1})
    assert contents(out) == contents(tmp_path / "here")


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_shard_that_is_damaged_is_made_again(job, some_videos, out, damage, monkeypatch):
    stand_in(monkeypatch.setattr)
    prepare(some_videos, out, job=job())
    before = contents(out)
    shard = out / SHARDS[1]
    shard.write_bytes(before[shard.name][:-50]) if damage == "cut" else shard.unlink()
    with pytest.raises(InvalidInput, match="run the same `ex4d data prepare` again"):
        LatentDataset(out)
    prepare(some_videos, out, job=job())
    assert contents(out) == before


def test_a_full_disk_stops_with_a_sentence_and_the_next_run_goes_on(job, some_videos, out, monkeypatch):
    stand_in(monkeypatch.setattr)
    write_bytes = Path.write_bytes
    left = [2]

    def until_full(self, data):
        if "pieces" in str(self):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", until_full)
        with pytest.raises(OutputFailed, match=r"00000002.safetensors cannot be written: No space left on device"):
            prepare(some_videos, out, job=job())
    assert len(LatentDataset(out, allow_incomplete=True)) == 2
    assert prepare(some_videos, out, job=job()).samples == 3


def test_an_unfinished_file_that_is_damaged_is_made_again(job, some_videos, out, monkeypatch):
    """As a power cut leaves it, which can lose what a program has written."""
    stand_in(monkeypatch.setattr)
    with monkeypatch.context() as patch, pytest.raises(OutputFailed):
        patch.setattr("ex4d_training.data.shard_assembly.write_manifest", full_after(0))
        prepare(some_videos, out, job=job(shard_videos=4))
    pieces = sorted((out / ".prepare" / "pieces").iterdir())
    assert len(pieces) == 3
    pieces[0].write_bytes(b"")
    pieces[1].write_bytes(pieces[1].read_bytes()[:-1] + b"\x00")
    prepare(some_videos, out, job=job(shard_videos=4))
    assert [LatentDataset(out).facts(index)["video"] for index in range(3)] == ["a.mp4", "b.mp4", "d.mp4"]


def full_after(times):
    """What writes a manifest until the disk is full."""
    left = [times]

    def write(folder, manifest):
        left[0] -= 1
        if left[0] < 0:
            raise OutputFailed("No space left on device")
        return write_manifest(folder, manifest)

    return write


def test_a_list_of_refused_videos_that_lost_a_line_moves_no_video_to_another_shard(job, videos, out, monkeypatch):
    """Which of the videos are refused decides which of them share a shard."""
    stand_in(monkeypatch.setattr)
    for suffix in ("mp4", "txt"):
        (videos / f"c.{suffix}").rename(videos / f"0.{suffix}")
    prepare(videos, out, job=job(shard_videos=1))
    before = contents(out)
    (out / "shard-00001.safetensors").unlink()
    (out / ".prepare" / "refused.jsonl").write_text('{"video": "0.mp4"\n[1]\n')
    assert prepare(videos, out, job=job(shard_videos=1)).counts == {"unreadable": 1}
    assert contents(out) == before


def test_other_videos_that_can_be_used_want_another_folder(job, videos, out, monkeypatch):
    stand_in(monkeypatch.setattr)
    for suffix in ("mp4", "txt"):
        (videos / f"c.{suffix}").rename(videos / f"0.{suffix}")
    prepare(videos, out, job=job(shard_videos=1))
    (out / "shard-00001.safetensors").unlink()
    (out / ".prepare" / "refused.jsonl").unlink()
    shutil.copy(videos / "a.mp4", videos / "0.mp4")
    with pytest.raises(InvalidInput, match=r"made of other videos .*; use another --output-dir"):
        prepare(videos, out, job=job(shard_videos=1))


@pytest.mark.parametrize(
    "name", ["manifest.json", ".prepare/refused.jsonl", ".prepare/looked", "shard-00001.safetensors"]
)
def test_records_that_are_pipes_are_refused(job, some_videos, out, name, monkeypatch):
    stand_in(monkeypatch.setattr)
    prepare(some_videos, out, job=job())
    (out / "shard-00000.safetensors").unlink()
    (out / name).unlink()
    os.mkfifo(out / name)
    with pytest.raises(InvalidInput, match=f"{Path(name).name} is a named pipe"):
        prepare(some_videos, out, job=job())


def test_two_commands_at_once_leave_one_whole_data_set(job, some_videos, out, tmp_path, tiny_wan, monkeypatch):
    both = [fork(prepare_tree, str(some_videos), str(out), tree_of(job, tiny_wan)) for _ in range(2)]
    for process in both:
        process.join()
    # The second found it done, or found the first at it.
    assert {process.exitcode for process in both} <= {0, IN_USE}
    assert any(process.exitcode == 0 for process in both)
    stand_in(monkeypatch.setattr)
    prepare(some_videos, tmp_path / "whole", job=job())
    assert contents(out) == contents(tmp_path / "whole")


def tree_of(job, tiny_wan) -> dict:
    """The job of another process that prepares."""
    return {
        "data": attrs.asdict(job().data),
        "masks": {"kind": "tracking"},
        "depth": {"name": "none"},
        "backbone": {"model": str(tiny_wan)},
        "renderer": {"name": "zbuffer"},
        "device": "cpu",
    }


def test_two_runs_at_once_do_not_mix(job, some_videos, out):
    (out / ".prepare").mkdir(parents=True)
    with FileLock(out / ".prepare" / "lock"), pytest.raises(InvalidInput, match=r"another run prepares .* now"):
        prepare(some_videos, out, job=job())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"masks_per_clip": 3}, "data.masks_per_clip was 2 and is 3"),
        ({"frames": 5}, "data.frames was 9 and is 5"),
        ({"seed": 1}, "seed was 42 and is 1"),
        ({"masks": {"kind": "tracking", "anchors": 1}}, "masks.anchors was 2 and is 1"),
    ],
)
def test_other_options_want_another_folder(job, some_videos, done, changes, sentence):
    with pytest.raises(InvalidInput, match=f"{sentence}; use another --output-dir"):
        prepare(some_videos, done, job=job(**changes))


def test_other_videos_want_another_folder(job, videos, done):
    (videos / "b.txt").write_text("a red ball")
    with pytest.raises(InvalidInput, match="list of videos or captions differs"):
        prepare(videos, done, job=job())


def test_another_model_wants_another_folder(job, some_videos, done, tmp_path):
    from ex4d_backbone_wan.testing import save_tiny_wan

    other = attrs.evolve(job().model, model=str(save_tiny_wan(tmp_path / "other", seed=1)))
    with pytest.raises(InvalidInput, match="encoders of the model differ"):
        prepare(some_videos, done, job=attrs.evolve(job(), model=other))
    manifest = read_manifest(done)
    with pytest.raises(InvalidInput, match=r"made by .*wan.*, and .*other has other encoders; prepare the data with"):
        check_fingerprint(manifest, locate(other))
    check_fingerprint(manifest, locate(job().model))


def test_the_adapter_is_no_matter_to_latents(job, tiny_wan):
    plain = job().model
    adapted = attrs.evolve(plain, adapter=str(tiny_wan / "ex4d.safetensors"))
    assert fingerprint_of(locate(plain)) == fingerprint_of(locate(adapted))


def test_options_of_a_depth_that_is_not_used_are_named(job, some_videos, out, monkeypatch):
    stand_in(monkeypatch.setattr)
    asked = attrs.evolve(job(), run=attrs.evolve(job().run, depth=ComponentConfig(name="none", options={"path": "x"})))
    with pytest.warns(UserWarning, match="depth is none, so its options are not used: 'path'"):
        prepare(some_videos, out, job=asked)


def test_videos_without_a_caption_are_named(job, videos, out):
    (videos / "b.txt").unlink()
    with pytest.warns(UserWarning, match=r"1 of 4 videos have no caption .*: b.mp4"):
        report = prepare(videos, out, job=job())
    assert (report.samples, report.without_caption) == (6, ("b.mp4",))
    dataset = LatentDataset(out)
    assert dataset.facts(2)["caption"] == ""
    assert int((dataset[2]["text"] != 0).any(-1).sum()) == 1  # the end of the text is a token


def test_videos_without_a_caption_can_be_skipped_or_refused(job, videos, out, monkeypatch):
    stand_in(monkeypatch.setattr)
    (videos / "b.txt").unlink()
    with pytest.raises(InvalidInput, match=r"1 of 4 videos have no caption: b.mp4; .* such as b.txt"):
        prepare(videos, out, job=job(missing_caption="refuse"))
    with pytest.warns(UserWarning, match="have no caption and are skipped"):
        report = prepare(videos, out, job=job(missing_caption="skip"))
    assert (report.samples, report.counts) == (2, {"caption": 1, "unreadable": 1})


def test_where_no_video_is_left_the_filters_are_named(job, some_videos, out, monkeypatch):
    with pytest.raises(InvalidInput) as caught:
        prepare(some_videos, out, job=job(min_side=100))
    assert "all 4 videos were rejected" in str(caught.value)
    assert "min_side rejected 3 (such as a.mp4: 64x48 is smaller than 100 pixels)" in str(caught.value)
    assert "unreadable rejected 1" in str(caught.value)
    stand_in(monkeypatch.setattr)
    assert prepare(some_videos, out, job=job(min_side=48)).samples == 3  # nothing was made, so nothing is mixed up


def test_what_fails_in_an_unforeseen_way_is_listed(job, some_videos, out, monkeypatch):
    stand_in(monkeypatch.setattr)

    def fails(self, source):
        if source.name == "b.mp4":
            raise ZeroDivisionError("of all things")
        return samples(self, source)

    monkeypatch.setattr(VideoEncoder, "samples", fails)
    report = prepare(some_videos, out, job=job())
    assert (report.samples, report.counts) == (2, {"failed": 1, "unreadable": 1})
    assert report.refused[0].refusal.reason.startswith("unexpected ZeroDivisionError: of all things at ex4d_training/")


def test_what_fails_for_every_video_ends_it_and_is_tried_again(job, videos, out, monkeypatch):
    for number in range(12):
        shutil.copy(videos / "a.mp4", videos / f"more-{number}.mp4")
        (videos / f"more-{number}.txt").write_text("a ball")
    stand_in(monkeypatch.setattr)
    with monkeypatch.context() as patch, pytest.raises(PluginFailed, match="10 videos in a row failed"):
        patch.setattr(VideoEncoder, "samples", lambda *_: 1 // 0)
        prepare(videos, out, job=job())
    assert [entry["video"] for entry in journal_of(out)] == ["c.mp4"]
    assert prepare(videos, out, job=job()).samples == 15


def test_a_few_videos_that_all_fail_are_tried_again_too(job, some_videos, out, monkeypatch):
    stand_in(monkeypatch.setattr)
    with monkeypatch.context() as patch, pytest.raises(PluginFailed, match=r"all of 3 videos failed, .*ZeroDivision"):
        patch.setattr(VideoEncoder, "samples", lambda *_: 1 // 0)
        prepare(some_videos, out, job=job())
    assert prepare(some_videos, out, job=job()).samples == 3


def test_what_is_left_of_another_preparation_does_not_come_in(job, some_videos, out, monkeypatch):
    """Hidden files are easily forgotten where a folder is emptied."""
    stand_in(monkeypatch.setattr)
    prepare(some_videos, out, job=job())
    before = contents(out)
    pieces = out / ".prepare" / "pieces"
    pieces.mkdir()
    shutil.move(out / SHARDS[1], pieces / "00000000.safetensors")
    (out / "manifest.json").unlink()
    prepare(some_videos, out, job=job())
    assert contents(out) == before


def test_a_folder_that_cannot_be_written_is_refused(job, some_videos, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match="cannot be written"):
        prepare(some_videos, tmp_path / "file" / "out", job=job())


@pytest.mark.gpu
def test_processes_on_a_gpu_make_the_same_samples(job, some_videos, out, once):
    whole = job()
    on_gpu = attrs.evolve(
        whole, run=attrs.evolve(whole.run, device="auto"), model=attrs.evolve(whole.model, dtype="float32")
    )
    prepare(some_videos, out, job=on_gpu, workers=2)
    made, wanted = LatentDataset(out), LatentDataset(once)
    assert len(made) == len(wanted)
    for index in range(len(made)):
        assert made.facts(index) == wanted.facts(index)
        for key, tensor in wanted[index].items():
            torch.testing.assert_close(made[index][key], tensor, atol=2e-2, rtol=2e-2)
