"""Latents for a tiny Wan, and what trains on them in tenths of a second."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.testing import TRANSFORMER
from ex4d_backbone_wan.weights import locate
from ex4d_training.config import TrainConfig, make_train_config
from ex4d_training.data.fingerprint import fingerprint_of
from ex4d_training.data.shards import Manifest, Sample, write_manifest, write_shard
from ex4d_training.velocity import WanVelocity, attach_adapter

RANK, HIDDEN = 4, 16
LATENTS = (16, 3, 4, 4)


def tensors_of(seed: int, *, channels: int = 16) -> dict[str, Tensor]:
    """A sample of random latents: 9 frames of 32x32."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    size = LATENTS[1:]
    return {
        **{name: noise(channels, *size) for name in ("latents", "color", "mask")},
        "y": noise(20, *size),
        "text": noise(5, 32),
        "image": noise(17, 32),
    }


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute in one thread: what is this small waits for others more than it gains by them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Two samples."""
    samples = [tensors_of(seed) for seed in (1, 2)]
    stacked = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    stacked["text"] = torch.nn.functional.pad(stacked["text"], (0, 0, 0, 507))
    return stacked


@pytest.fixture
def transformer() -> Any:
    """Wan's transformer, tiny, the same values each time."""
    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return diffusers.WanTransformer3DModel(**TRANSFORMER)


@pytest.fixture
def adapted(transformer) -> WanVelocity:
    """The tiny Wan with an adapter that changes nothing yet."""
    return attach_adapter(transformer, rank=RANK, hidden=HIDDEN, channels=32, seed=0)


@pytest.fixture(scope="session")
def latents(tiny_wan, tmp_path_factory) -> Path:
    """A folder of six samples, as `ex4d data prepare` makes it with the tiny Wan."""
    fingerprint = fingerprint_of(locate(WanOptions(model=str(tiny_wan), adapter="none")))
    samples = [tensors_of(seed) for seed in range(6)]
    return save_latents(tmp_path_factory.mktemp("latents"), samples, fingerprint=fingerprint)


def save_latents(folder: Path, samples: Sequence[dict[str, Tensor]], *, fingerprint: str) -> Path:
    """Write samples and their manifest into a folder; return it."""
    named = [Sample(tensors=each, facts={"video": f"{number}.mp4"}) for number, each in enumerate(samples)]
    shard = write_shard(folder / "shard-00000.safetensors", named)
    write_manifest(folder, Manifest(fingerprint=fingerprint, frames=9, size=(32, 32), dtype="float32", shards=(shard,)))
    return folder


def config_of(wan: Path, latents: Path, out: Path, **changes: dict[str, Any]) -> TrainConfig:
    """Make the configuration of a run of six steps that saves after each second one."""
    tree: dict[str, dict[str, Any]] = {
        "model": {"base": str(wan), "rank": RANK, "camera_hidden": HIDDEN},
        "data": {"path": str(latents), "batch_size": 2},
        "learning": {"steps": 6, "rate": 1e-3, "warmup": 2},
        "machine": {"device": "cpu"},
        "output": {"dir": str(out), "save_every": 2, "log_every": 1},
    }
    return make_train_config({name: {**tree[name], **changes.get(name, {})} for name in tree})


@pytest.fixture
def config(tiny_wan, latents, tmp_path) -> Callable[..., TrainConfig]:
    """Make configurations of runs in a folder of the test."""
    return partial(config_of, tiny_wan, latents, tmp_path / "out")


@pytest.fixture(scope="session")
def stopped_folder(tiny_wan, latents, tmp_path_factory) -> Path:
    """The output folder of a run that has a checkpoint; nobody may change it."""
    from ex4d_training.run import train

    folder = tmp_path_factory.mktemp("stopped") / "out"
    train(config_of(tiny_wan, latents, folder, learning={"steps": 2}))
    return folder


@pytest.fixture
def stopped(config, stopped_folder) -> TrainConfig:
    """A run that has a checkpoint."""
    asked = config(learning={"steps": 2})
    shutil.copytree(stopped_folder, asked.output.dir)
    return asked


@pytest.fixture
def forked_workers(monkeypatch, fork_server_with_diffusers) -> None:
    """Fork processes that train together: each would import diffusers and peft for ten seconds."""
    from torch.distributed.launcher import api

    start = api.elastic_launch

    def fork(settings: api.LaunchConfig, _: str) -> api.elastic_launch:
        settings.start_method = "forkserver"
        return start(settings, work)

    monkeypatch.setattr(api, "elastic_launch", fork)


def work(*arguments: str) -> None:
    """Train as `python -P -m ex4d_training.worker CONFIG --parent PROCESS` does, but for the end with the parent."""
    from ex4d_training import worker

    sys.argv[1:] = [arguments[3], *arguments[6:]]
    worker.main()
