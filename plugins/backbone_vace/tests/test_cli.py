"""The command runs the backbone on a tiny checkpoint, names its weights, and describes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ex4d_core

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")

ROOM = Path(__file__).parents[3] / "examples" / "room"


@pytest.mark.slow
def test_the_command_makes_a_video_with_a_reference(ex4d, tiny_vace, tmp_path):
    settings = {"model": tiny_vace, "steps": 1, "size": "32x32", "reference": "first", "feather": 2}
    options = [part for name, value in settings.items() for part in ("--set", f"backbone.{name}={value}")]
    arguments = ("--depth-file", ROOM / "depth.npz", "--num-frames", 5, "--size", "96x64", "--cam", "20")
    code, _, err = ex4d("run", ROOM / "clip.mp4", *arguments, "--backbone", "vace", *options, "-o", "out")
    assert code == 0, err
    video = ex4d_core.read_video(tmp_path / "out" / "clip" / "result_20.mp4")
    assert video.frames.shape == (5, 64, 96, 3)
    record = json.loads((tmp_path / "out" / "clip" / "run.json").read_text())
    assert "vace" in json.dumps(record)


def test_missing_weights_are_named_with_the_command(ex4d, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    arguments = ("--depth-file", ROOM / "depth.npz", "--num-frames", 2, "--size", "96x64", "--cam", "20")
    code, _, err = ex4d("run", ROOM / "clip.mp4", *arguments, "--backbone", "vace", "-o", "out")
    assert code != 0
    assert "ex4d fetch vace" in err


def test_its_options_are_listed(ex4d):
    code, out, _ = ex4d("plugins", "show", "vace")
    assert code == 0
    assert "conditioning_scale" in out
    assert "adapter" not in out.replace("without an adapter", "")
