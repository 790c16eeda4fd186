"""Weights that cannot be used are told before any video is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import attrs
import pytest

from ex4d_core.errors import InputNotFound, InvalidConfig, InvalidInput
from ex4d_training.data import prepare


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_weights_that_are_not_here_are_said_before_any_work(job, some_videos, out):
    absent = attrs.evolve(job().model, model="lab/absent")
    with pytest.raises(InputNotFound, match="lab/absent"):
        prepare(some_videos, out, job=attrs.evolve(job(), model=absent))
    assert not (out / "manifest.json").exists()


def test_weights_that_are_damaged_are_no_fault_of_the_videos(job, some_videos, out, tiny_wan, tmp_path):
    model = Path(shutil.copytree(tiny_wan, tmp_path / "wan"))
    (weights,) = (model / "vae").glob("*.safetensors")
    weights.write_bytes(b"damaged")
    damaged = attrs.evolve(job().model, model=str(model))
    with pytest.raises(InvalidInput, match=r"vae/diffusion_pytorch_model.safetensors"):
        prepare(some_videos, out, job=attrs.evolve(job(), model=damaged))
    refused = (out / ".prepare" / "refused.jsonl").read_text().splitlines()
    assert [json.loads(line)["video"] for line in refused if line] == ["c.mp4"]


def test_a_sketch_of_depth_is_not_taken_by_itself(job, some_videos, out, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(InvalidConfig, match="a sketch of depth is not fit for training; run ex4d fetch depthcrafter"):
        prepare(some_videos, out, job=job(depth="auto"))
