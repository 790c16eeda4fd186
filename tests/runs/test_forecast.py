"""A long run is announced; one that does not fit is refused before the clip is read."""

import json
from types import SimpleNamespace

import attrs
import pytest

from ex4d_core.errors import InvalidInput
from ex4d_core.pipeline.session import Session
from ex4d_core.runs import forecast as module
from ex4d_core.runs.forecast import Forecast, announce_cost, forecast, remember_cost
from ex4d_core.runs.rates import Rate, read_rates, record_rates

LONG = Forecast(frames=49, size=(1920, 1080), seconds=300, disk=1.2e9, memory=1e9, device="this CPU")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("EX4D_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rates.json"


def run_of(small_clip, folder=None):
    notes = []
    session = Session(depth={"name": "file", "path": str(small_clip.depth), "kind": "metric"}, backbone="telea")
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
        ({"seconds": 5, "disk": 1e8}, False),
        ({"seconds": 5}, True),
        ({"seconds": None, "disk": 1e8}, True),
        ({"seconds": None, "disk": 1e8, "size": (320, 180)}, False),
    ],
)
def test_only_long_runs_are_announced(change, is_long):
    assert attrs.evolve(LONG, **change).is_long is is_long


def test_a_clip_that_does_not_fit_into_memory_is_refused_with_what_fits(small_clip, monkeypatch):
    run, _ = run_of(small_clip)
    monkeypatch.setattr(module, "available_memory", lambda: 100_000)
    with pytest.raises(InvalidInput, match=r"6 frames of 64x48 take about 1 MB of memory, and 1 MB are free") as caught:
        announce_cost(run.along("30"), "result")
    assert "use --num-frames 1, --size 32x24 or --stride 4" in str(caught.value)
    assert "video" not in vars(run)


def test_a_run_that_does_not_fit_on_the_disk_is_refused(small_clip, monkeypatch, tmp_path):
    run, _ = run_of(small_clip, tmp_path / "out")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=50_000))
    with pytest.raises(InvalidInput, match=r"of disk, and 1 MB are free; use --num-frames 2, .* ex4d clean"):
        announce_cost(run.along("30"), "result")


def test_measured_stages_give_a_time_and_finished_ones_do_not_count(small_clip, tmp_path, cache, monkeypatch):
    monkeypatch.setattr("ex4d_core.runs.forecast.LEAST_SECONDS", 0)
    run, _ = run_of(small_clip, tmp_path / "out")
    path = run.along("30")
    assert forecast(path, "result").seconds is None
    _ = path.video
    remember_cost(path)
    assert sorted(key.split()[0] for key in json.loads(cache.read_text())) == ["depth", "guidance", "read", "result"]
    assert forecast(path, "result") is None
    other, _ = run_of(small_clip, tmp_path / "other")
    expected = sum(record.cost.seconds for record in run.records)
    assert forecast(other.along("30"), "result").seconds == pytest.approx(expected)
    again, _ = run_of(small_clip, tmp_path / "out")
    assert forecast(again.along("20"), "result").seconds < expected


def test_a_long_run_prints_one_line(small_clip, monkeypatch):
    run, notes = run_of(small_clip)
    monkeypatch.setattr(module, "LARGE_BYTES", 1000)
    announce_cost(run.along("30"), "result")
    assert notes == ["6 frames of 64x48: about 1 MB of disk; --num-frames 3 takes about a half"]


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
