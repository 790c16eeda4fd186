"""A long run is announced; one that does not fit is refused before the clip is read."""

import json
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest

from ex4d_core.builtin.backbone_telea import TeleaBackbone
from ex4d_core.builtin.telea_options import TeleaOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.pipeline import forecast as module
from ex4d_core.pipeline.forecast import Forecast, announce_cost, forecast, remember_cost
from ex4d_core.pipeline.rates import Rate, read_rates, record_rates
from ex4d_core.pipeline.session import Session

LONG = Forecast(frames=49, size=(1920, 1080), seconds=300, disk={Path("out"): 1.2e9}, memory=1e9, device="this CPU")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("EX4D_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rates.json"


def run_of(small_clip, folder=None, **settings):
    notes = []
    depth = {"name": "file", "path": str(small_clip.depth), "kind": "metric"}
    session = Session(**{"depth": depth, "backbone": "telea", **settings})
    session.reporter.note = notes.append
    return session.open_clip(small_clip.video, folder=folder), notes


def test_the_line_states_frames_time_disk_and_a_cheaper_setting():
    assert LONG.sentence() == (
        "49 frames of 1920x1080: about 5 minutes on this CPU, about 1.2 GB of disk; --size 960x540 takes about 75 s"
    )
    unknown = attrs.evolve(LONG, seconds=None)
    assert unknown.sentence() == ("49 frames of 1920x1080: about 1.2 GB of disk; --size 960x540 takes about a quarter")
    small = attrs.evolve(LONG, size=(512, 288), seconds=100)
    assert small.sentence().endswith("; --num-frames 24 takes about 50 s")


@pytest.mark.parametrize(
    ("change", "is_long"),
    [
        ({}, True),
        ({"seconds": 5, "disk": {Path("out"): 1e8}}, False),
        ({"seconds": 5}, True),
        ({"seconds": None, "disk": {Path("out"): 1e8}}, True),
        ({"seconds": None, "disk": {Path("out"): 1e8}, "size": (320, 180)}, False),
    ],
)
def test_only_long_runs_are_announced(change, is_long):
    assert attrs.evolve(LONG, **change).is_long is is_long


def test_a_clip_that_does_not_fit_into_memory_is_refused_with_what_fits(small_clip, monkeypatch):
    run, _ = run_of(small_clip)
    monkeypatch.setattr(module, "available_memory", lambda: 1_200_000)
    with pytest.raises(InvalidInput, match=r"6 frames of 64x48 take about 2 MB of memory, and 2 MB are free") as caught:
        announce_cost(run.along("30"), "result")
    assert "use --num-frames 2, --size 58x42 or --stride 3" in str(caught.value)
    assert "video" not in vars(run)


def test_a_run_that_does_not_fit_on_the_disk_is_refused(small_clip, monkeypatch, tmp_path):
    run, _ = run_of(small_clip, tmp_path / "out")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=50_000))
    with pytest.raises(InvalidInput, match=r"of the disk of .*, and 1 MB are free; use --num-frames 2, .* ex4d clean"):
        announce_cost(run.along("30"), "result")


def test_measured_stages_give_a_time_and_finished_ones_do_not_count(small_clip, tmp_path, cache, monkeypatch):
    monkeypatch.setattr(module, "LEAST_SECONDS", 0)
    run, _ = run_of(small_clip, tmp_path / "out")
    path = run.along("30")
    assert 0 < forecast(path, "result").seconds < 1  # declared
    _ = path.video
    remember_cost(path)
    assert not cache.exists()  # a clip this small tells nothing of larger ones
    monkeypatch.setattr(module, "LEAST_MEGAPIXELS", 0)
    remember_cost(path)
    stages = {key.split()[0] for key in json.loads(cache.read_text())}
    assert stages == {"read", "depth", "refine", "guidance", "result"}
    assert forecast(path, "result") is None
    other, _ = run_of(small_clip, tmp_path / "other")
    expected = sum(record.cost.seconds for record in run.records)
    assert forecast(other.along("30"), "result").seconds == pytest.approx(expected)
    again, _ = run_of(small_clip, tmp_path / "out")
    assert forecast(again.along("20"), "result").seconds < expected


def test_a_component_that_declares_no_time_leaves_it_unknown(small_clip, tmp_path):
    class Own(TeleaBackbone):
        def __init__(self):
            super().__init__(TeleaOptions(), device=None)

    run, _ = run_of(small_clip, backbone=Own())
    assert forecast(run.along("30"), "result").seconds is None
    assert forecast(run.along("30"), "guidance").seconds > 0


def test_frames_in_memory_count_too(small_clip, monkeypatch):
    run, _ = run_of(small_clip)
    arrays, _ = run_of(small_clip)
    arrays = arrays.components.open_clip(run.video)
    assert forecast(arrays.along("30"), "result").frames == 6
    monkeypatch.setattr(module, "available_memory", lambda: 100_000)
    with pytest.raises(InvalidInput, match="frames in memory: 6 frames of 64x48 take about 2 MB of memory"):
        arrays.components.run(run.video)


def test_each_file_system_is_checked(monkeypatch, tmp_path):
    places = {tmp_path / "a": (1, 500), tmp_path / "b": (2, 1500)}
    for folder in places:
        folder.mkdir()
    monkeypatch.setattr(module.os, "stat", lambda path: SimpleNamespace(st_dev=places[path][0]))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=places[path][1]))
    monkeypatch.setattr(module.Path, "exists", lambda path: path in places)
    fits = attrs.evolve(LONG, memory=0, disk={tmp_path / "a" / "x": 400, tmp_path / "b": 1400})
    fits.check("clip")
    with pytest.raises(InvalidInput, match=r"take about 1 MB of the disk of .*a, and 1 MB are free"):
        attrs.evolve(fits, disk={tmp_path / "a" / "x": 400, tmp_path / "a": 200, tmp_path / "b": 1400}).check("clip")


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("preview", "CLIP", "--depth-file", "DEPTH", "-o", "out"), "use --max-side 16, with fewer frames if need be"),
        (("masks", "CLIP", "--no-depth", "-o", "out"), "use --num-frames 1, --size 28x20 or --stride 6"),
        (
            ("generate", "--color-video", "CLIP", "--mask-video", "CLIP", "--output-video", "out/x.mp4"),
            "use videos with at most 1% of the frames or pixels",
        ),
    ],
)
def test_every_command_refuses_what_does_not_fit_before_it_reads(ex4d, small_clip, monkeypatch, words, advice):
    monkeypatch.setattr(module, "available_memory", lambda: 12_000)
    files = {"CLIP": small_clip.video, "DEPTH": small_clip.depth}
    code, _, err = ex4d(*(files.get(word, word) for word in words))
    assert (code, "of memory, and 1 MB are free" in err, advice in err) == (2, True, True), err
    assert "read:" not in err
    assert not Path("out").exists()


@pytest.mark.parametrize("command", ["run", "preview", "generate"])
def test_commands_announce_what_takes_long_before_they_read(ex4d, small_clip, monkeypatch, command):
    def stop(*_, **__):
        raise InvalidInput("the work begins")

    monkeypatch.setattr(module, "LONG_SECONDS", 0)
    monkeypatch.setattr("ex4d_core.pipeline.clip_run.read_clip", stop)
    monkeypatch.setattr("ex4d_core.runs.generate.read_guidance", stop)
    files = ("--color-video", small_clip.video, "--mask-video", small_clip.video, "--output-video", "x.mp4")
    clip = (small_clip.video, "--depth-file", small_clip.depth, "--cam", "10")
    _, _, err = ex4d(command, *(files if command == "generate" else clip))
    assert err.count("6 frames of 64x48: about 1 s on this CPU, about 1 MB of disk") == 1
    assert err.endswith("error: the work begins\n")


def test_a_session_announces_what_takes_long_unless_it_is_silent(small_clip, monkeypatch, capfd):
    monkeypatch.setattr(module, "LONG_SECONDS", 0)
    for progress in (True, False):
        session = Session(depth={"name": "file", "path": str(small_clip.depth)}, backbone="telea", progress=progress)
        session.run(small_clip.video)
        assert ("6 frames of 64x48: about 1 s on this CPU" in capfd.readouterr().err) is progress


def test_a_long_run_prints_one_line(small_clip, monkeypatch, tmp_path):
    run, notes = run_of(small_clip, tmp_path / "out")
    monkeypatch.setattr(module, "LARGE_BYTES", 1000)
    announce_cost(run.along("30"), "result")
    assert notes == ["6 frames of 64x48: about 1 s on this CPU, about 1 MB of disk; --num-frames 3 takes about 1 s"]


@pytest.mark.parametrize("text", ["no JSON", '{"a": 3}', '{"a": {"seconds": -1, "bytes": 0}}'])
def test_unreadable_measurements_are_ignored(cache, text):
    cache.parent.mkdir()
    cache.write_text(text)
    assert read_rates() == {}


def test_measurements_are_kept_by_stage_and_can_be_disabled(cache, monkeypatch):
    record_rates({"a": Rate(seconds=1, bytes=2)})
    record_rates({"b": Rate(seconds=3, bytes=4)})
    assert read_rates() == {"a": Rate(seconds=1, bytes=2), "b": Rate(seconds=3, bytes=4)}
    monkeypatch.setenv("EX4D_CACHE", "")
    record_rates({"c": Rate(seconds=3, bytes=4)})
    assert read_rates() == {}
