"""Facts about `ex4d data`: flags, what is printed, and one sentence where something is wrong."""

from __future__ import annotations

import json
import re

import pytest

from ex4d_training.data import LatentDataset, make_job
from ex4d_training.data.encode import VideoEncoder
from plugins.training.tests.data.stand_in import stand_in


@pytest.fixture(autouse=True)
def without_networks(monkeypatch):
    """Have something stand in for the networks."""
    stand_in(monkeypatch.setattr)


@pytest.fixture
def here(monkeypatch):
    """Work in this process: what stands in for the networks is not in another."""
    monkeypatch.setattr("ex4d_training.data.encode.default_workers", lambda: 0)


@pytest.fixture
def flags(some_videos, tmp_path, tiny_wan):
    own = ("--data-path", some_videos, "--output-dir", tmp_path / "out", "--model", tiny_wan, "--depth", "none")
    sizes = ("--frames", 9, "--size", "48x32", "--masks-per-clip", 2, "--device", "cpu")
    return (*own, *sizes, "--set", "masks.kind=tracking", "--set", "data.min_side=16")


@pytest.mark.slow
def test_preparing_says_what_became_of_the_videos(ex4d, here, flags, tmp_path):
    code, out, err = ex4d("data", "prepare", *flags)
    assert (code, len(LatentDataset(tmp_path / "out"))) == (0, 3)
    assert "rejected by unreadable" in out
    assert "rejected: c.mp4: " in out
    assert re.search(rf"3 samples, \d\.\d kB, shards: 1, in {tmp_path / 'out'}", out)
    assert "3 of 4 videos selected: up to 6 samples" in err


def test_preparing_for_machines(ex4d, here, flags, tmp_path):
    code, out, err = ex4d("data", "prepare", *flags, "--json")
    tree = json.loads(out)
    assert (code, err, tree["samples"], tree["counts"]) == (0, "", 3, {"unreadable": 1})
    assert ex4d("data", "prepare", *flags, "--quiet") == (0, f"{tmp_path / 'out'}\n", "")


@pytest.mark.slow
def test_flags_win_over_settings_and_those_over_the_file(ex4d, here, flags, tmp_path, monkeypatch):
    jobs = []
    monkeypatch.setattr(VideoEncoder, "__init__", lambda self, job, *, texts: jobs.append(job))
    (tmp_path / "data.toml").write_text('seed = 5\n[data]\nframes = 13\nmax_aspect = 3\n[masks]\nkind = "mixed"\n')
    code, *_ = ex4d("data", "prepare", *flags, "--config", tmp_path / "data.toml", "--set", "data.max_aspect=4")
    assert code == 0
    job = jobs[0]
    assert (job.data.frames, job.data.max_aspect, job.masks.kind, job.run.seed) == (9, 4, "tracking", 5)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--frames", 10), "data.frames must be 4k+1 between 5 and 10001, such as 17 or 49, not 10"),
        (("--size", "50x32"), "size must be WIDTHxHEIGHT in multiples of 16"),
        (("--set", "data.masks=3"), "unknown option data.masks; did you mean 'masks_per_clip'?"),
        (("--set", "mask.kind=x"), "unknown option mask; did you mean 'masks'?"),
        (("--set", "masks.kind=rendering"), "rendering masks need depth"),
        (("--depth", "nothing"), "unknown depth estimator 'nothing'"),
        (("--model", "lab/absent"), "lab/absent"),
        (("--data-path", "/nowhere"), "/nowhere does not exist; give a folder of videos, or a CSV"),
    ],
)
def test_what_is_wrong_is_one_sentence(ex4d, here, flags, more, sentence):
    code, out, err = ex4d("data", "prepare", *flags, *more)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_the_number_of_processes_is_checked(ex4d, flags):
    for number, bound in ((0, "1"), (10**9, "1024")):
        code, _, err = ex4d("data", "prepare", *flags, "--workers", number)
        assert code == 2
        assert "--workers" in err
        assert f"equal to {bound}" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("laion", "--parts", "0"), "openvid is the data set that can be downloaded"),
        (("openvid", "--parts", "x"), "--parts must be numbers and ranges"),
    ],
)
def test_a_wrong_download_is_refused(ex4d, tmp_path, arguments, sentence):
    code, _, err = ex4d("data", "download", *arguments, "-o", tmp_path)
    assert (code, sentence in err) == (2, True)


@pytest.mark.parametrize("section", ["masks", "data", "backbone", "depth"])
def test_tables_of_options_are_tables(section):
    with pytest.raises(ValueError, match=f"{section} must be a table of options, not 3"):
        make_job({"masks": {"kind": "tracking"}, "depth": {"name": "none"}, section: 3})


def test_names_of_videos_are_shown_and_not_obeyed(ex4d, here, flags, tmp_path, videos):
    (videos / "c.mp4").rename(videos / "c\x1b]52;c;eA==\x07[red].mp4")
    code, out, err = ex4d("data", "prepare", *flags, "--data-path", videos, "--output-dir", tmp_path / "shown")
    assert (code, "\x1b" in out + err) == (0, False)
    assert r"rejected: c\x1b]52;c;eA==\x07[red].mp4: " in out


def test_the_commands_are_listed(ex4d):
    code, out, _ = ex4d("data", "--help")
    assert code == 0
    assert {"prepare", "download"} <= set(out.split())
