"""A run from its configuration to the adapter, and how it goes on where it was stopped."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import attrs
import pytest
import torch
from filelock import FileLock

from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.testing import save_tiny_wan
from ex4d_backbone_wan.weights import Lora, locate
from ex4d_backbone_wan.weights.adapter import apply_loras
from ex4d_backbone_wan.weights.loading import load_camera_encoder, load_transformer
from ex4d_core.errors import Cancelled, InvalidInput, OutputFailed
from ex4d_core.video_io import read_video
from ex4d_training.checkpoints import latest_checkpoint, load_checkpoint
from ex4d_training.config import TrainConfig
from ex4d_training.data import EpochSampler, read_manifest
from ex4d_training.data.shards import OpenShard
from ex4d_training.distributed import Team
from ex4d_training.inputs import find_inputs
from ex4d_training.memory import OutOfMemory
from ex4d_training.metrics import read_metrics
from ex4d_training.optimizer import Optimizer, Pace
from ex4d_training.run import train
from ex4d_training.trainer import Trainer, TrainingStopped
from ex4d_training.velocity import WanVelocity, attach_adapter, trained_parameters
from plugins.training.tests.conftest import HIDDEN, RANK, save_latents, tensors_of

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


class Listener:
    """Keeps what it is told, and acts when so many steps are done."""

    def __init__(self, act: Callable[[int], object] = lambda done: None) -> None:
        self.said: list[str] = []
        self._act = act

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: self._act(done)

    def note(self, text: str) -> None:
        self.said.append(text)

    warn = note


def stopping_at(step: int) -> Listener:
    """Somebody who presses Ctrl-C at a step."""

    def act(done):
        if done == step:
            raise Cancelled("stopped")

    return Listener(act)


def folder_of(config: TrainConfig) -> Path:
    return Path(config.output.dir)


def losses(config: TrainConfig) -> list[tuple[float, float]]:
    """The steps that the metrics tell of, and their losses."""
    return [(line["step"], line["loss"]) for line in read_metrics(folder_of(config))]


def saved(config: TrainConfig) -> list[str]:
    return sorted(path.name for path in (folder_of(config) / "checkpoints").iterdir())


def state(config: TrainConfig, step: int) -> dict:
    return json.loads((folder_of(config) / "checkpoints" / f"step-{step:08}" / "state.json").read_text())


@pytest.fixture
def elsewhere(tmp_path):
    """Where a run goes that another one is compared with."""
    return {"dir": str(tmp_path / "elsewhere")}


def test_the_adapter_that_is_saved_computes_in_wan_what_it_did_in_training(config, batch):
    asked = config()
    adapter = train(asked)
    sources = find_inputs(asked)
    trained = attach_adapter(
        load_transformer(sources.wan, device=CPU, dtype=torch.float32, adapters=()),
        rank=RANK,
        hidden=HIDDEN,
        channels=32,
        seed=5,
    )
    noisy, sigma = batch["latents"], torch.tensor([0.3, 0.9])
    with torch.no_grad():
        frozen = trained(noisy, sigma, batch)
        optimizer = Optimizer(trained_parameters(trained), pace=Pace(learning_rate=0.0), team=Team(CPU))
        there = latest_checkpoint(adapter.parent / "checkpoints", origin=sources.origin)
        load_checkpoint(there, optimizer)
        optimizer.load(optimizer.means)
        expected = trained(noisy, sigma, batch)
        wan = locate(WanOptions(model=asked.model.base, adapter=str(adapter)))
        transformer = load_transformer(wan, device=CPU, dtype=torch.float32, adapters=())
        apply_loras(transformer, [Lora(path=adapter)], merge=False)
        loaded = WanVelocity(transformer, load_camera_encoder(wan, device=CPU, dtype=torch.float32))
        torch.testing.assert_close(loaded(noisy, sigma, batch), expected, rtol=0, atol=1e-6)
    assert (expected - frozen).abs().max() > 1e-4


def test_what_a_run_leaves(config):
    asked = config(output={"keep": 2})
    adapter = train(asked)
    assert adapter.name == "adapter.safetensors"
    assert saved(asked) == ["step-00000004", "step-00000006"]
    assert adapter.read_bytes() == (adapter.parent / "checkpoints" / "step-00000006" / adapter.name).read_bytes()
    metrics = read_metrics(folder_of(asked))
    assert [line["step"] for line in metrics] == [1, 2, 3, 4, 5, 6]
    assert [line["rate"] for line in metrics[:3]] == [0.5e-3, 1e-3, 1e-3]
    assert all(line["seconds"] > 0 and math.isfinite(line["loss"] + line["norm"]) for line in metrics)


def test_a_run_that_was_stopped_goes_on_as_if_nothing_had_been(config, elsewhere):
    whole, parts = config(), config(output=elsewhere)
    train(whole)
    with pytest.raises(Cancelled):
        train(parts, reporter=stopping_at(3))  # of which the third step is lost
    assert (saved(parts), len(losses(parts))) == (["step-00000002"], 3)
    listener = Listener()
    train(parts, reporter=listener)
    assert listener.said == ["resuming from step 2"]
    assert losses(parts) == losses(whole)
    for name in ("adapter", "values", "moments"):
        ours, theirs = (
            folder_of(each) / "checkpoints/step-00000006" / f"{name}.safetensors" for each in (whole, parts)
        )
        assert ours.read_bytes() == theirs.read_bytes()


def test_more_steps_go_on_too(config, elsewhere):
    whole, parts = config(), config(output=elsewhere)
    train(whole)
    train(attrs.evolve(parts, learning=attrs.evolve(parts.learning, steps=3)))
    assert saved(parts) == ["step-00000002", "step-00000003"]
    train(parts)
    assert losses(parts) == losses(whole)


def test_a_run_that_is_at_its_end_costs_nothing(config, monkeypatch):
    asked = config()
    adapter = train(asked)
    adapter.unlink()
    monkeypatch.setattr("ex4d_training.run.load_transformer", None)
    listener = Listener()
    assert train(asked, reporter=listener) == adapter
    assert adapter.is_file()
    assert listener.said == [f"{folder_of(asked)} has completed 6 steps already; raise --steps to extend the run"]


def test_going_on_with_other_batches_is_said_and_leaves_no_sample_out(config):
    asked = config(learning={"steps": 2})
    train(asked)
    assert state(asked, 2)["sampler"]["seen"] == 4
    listener = Listener()
    train(config(data={"batch_size": 1}, learning={"steps": 4}), reporter=listener)
    assert state(asked, 4)["sampler"]["seen"] == 6
    assert "(batch_size 2, accumulate 1, processes 1; now batch_size 1, accumulate 1, processes 1)" in listener.said[1]


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without it")
@pytest.mark.usefixtures("forked_workers")
def test_several_processes_go_on_from_one_and_share_samples_and_weights(config):
    train(config(learning={"steps": 2}))
    asked = config(data={"batch_size": 1}, learning={"steps": 3}, machine={"num_gpus": 2, "share": "always"})
    adapter = train(asked, quiet=True)
    assert adapter.is_file()
    assert state(asked, 3)["sampler"]["seen"] == 4 + 2
    assert state(asked, 3)["batches"]["processes"] == 2
    assert [step for step, _ in losses(asked)] == [1, 2, 3]


def test_validation_shows_what_is_known_what_is_made_of_it_and_the_original_and_changes_no_loss(config, elsewhere):
    short = {"steps": 3}
    plain = config(learning=short)
    watched = config(learning=short, output={**elsewhere, "validate_every": 2, "validation_steps": 2})
    train(plain)
    train(watched)
    assert losses(watched) == losses(plain)
    made = sorted((folder_of(watched) / "validation").iterdir())
    assert [path.name for path in made] == ["step-00000002.mp4", "step-00000003.mp4"]
    assert read_video(made[0]).frames.shape == (9, 2 * 32, 3 * 32, 3)


@pytest.mark.parametrize("ahead", [0, 1])
def test_reading_ahead_changes_no_loss(config, elsewhere, ahead):
    plain, other = config(learning={"steps": 3}), config(learning={"steps": 3}, data={"ahead": ahead}, output=elsewhere)
    train(plain)
    train(other)
    assert losses(other) == losses(plain)


def test_a_shard_that_turns_out_to_be_damaged_is_told(config, latents, tmp_path):
    folder = Path(shutil.copytree(latents, tmp_path / "latents"))
    (shard,) = folder.glob("*.safetensors")
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(InvalidInput, match=r"shard-00000\.safetensors is damaged"):
        train(config(data={"path": str(folder)}))


def test_a_loss_that_is_not_finite_stops_and_the_last_checkpoint_is_good(config, latents, tmp_path):
    poisoned = [tensors_of(seed) for seed in range(6)]
    last = list(islice(EpochSampler(6, config().learning.seed), 6))[-1]
    poisoned[last]["latents"][0, 0, 0, 0] = math.nan
    folder = save_latents(tmp_path / "poisoned", poisoned, fingerprint=read_manifest(latents).fingerprint)
    asked = config(data={"path": str(folder)}, output={"save_every": 1})
    with pytest.raises(TrainingStopped, match=r"not finite at step 3; .* last checkpoint"):
        train(asked)
    assert saved(asked) == ["step-00000001", "step-00000002"]
    assert not (folder_of(asked) / "adapter.safetensors").exists()
    assert train(config(data={"path": str(folder)}, learning={"steps": 2})).is_file()


def test_a_full_disk_leaves_the_checkpoint_before_and_the_run_goes_on(config, monkeypatch):
    write = Path.write_bytes

    def full(path, data):
        if path.name == "moments.safetensors" and "step-00000004" in path.parts:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    asked = config()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputFailed, match=r"step-00000004 cannot be written: No space left on device"):
            train(asked)
    assert saved(asked) == ["step-00000002"]
    train(asked)
    assert saved(asked) == ["step-00000002", "step-00000004", "step-00000006"]


def test_a_gpu_that_is_too_small_is_told_with_what_to_change(config, monkeypatch):
    def too_much(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "run", too_much)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 78 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    sentence = (
        "A GPU ran out of memory in a step of 2 x 9 frames of 32x32: this process used up to 78.0 GiB, 1.0 of "
        "80.0 GiB are free now; use --batch-size 1 with --set data.accumulate=2; or "
        "--set machine.checkpointing=true; or --set machine.share=always with more --num-gpus; or data prepared "
        "with fewer or smaller frames"
    )
    with pytest.raises(OutOfMemory) as raised:
        train(config(machine={"checkpointing": False}))
    assert str(raised.value) == sentence


def refused(config: TrainConfig) -> str:
    """The sentence that a run ends with before it changes anything."""
    before = (folder_of(config) / "config.toml").read_text()
    with pytest.raises(InvalidInput) as raised:
        train(config)
    assert (folder_of(config) / "config.toml").read_text() == before
    return str(raised.value)


def test_a_checkpoint_of_another_model_is_refused(config, stopped, tiny_wan, tmp_path):
    other = shutil.copytree(tiny_wan, tmp_path / "other")
    save_tiny_wan(tmp_path / "seed_1", seed=1)
    shutil.copytree(tmp_path / "seed_1" / "transformer", other / "transformer", dirs_exist_ok=True)
    sentence = refused(config(model={"base": str(other)}))
    assert "step-00000002 was trained with another model.base; use the same" in sentence


def test_a_checkpoint_of_other_data_is_refused(config, stopped, latents, tmp_path):
    folder = save_latents(
        tmp_path / "others", [tensors_of(seed) for seed in range(7)], fingerprint=read_manifest(latents).fingerprint
    )
    assert "another data.path; use the same" in refused(config(data={"path": str(folder)}))


def test_a_checkpoint_of_another_adapter_is_refused(config, stopped):
    sentence = refused(config(model={"rank": 8, "camera_hidden": 32}))
    assert "another model.rank and model.camera_hidden; use the same" in sentence


def test_latents_of_another_model_are_refused(config, tmp_path):
    other = save_tiny_wan(tmp_path / "other", seed=1)
    with pytest.raises(InvalidInput, match="these latents were made by another model"):
        train(config(model={"base": str(other)}))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", r"step-00000002 is damaged \(.*\); delete the folder, and run the same command again"),
        ("[" * 10**5, r"step-00000002 is damaged \(it is nested more than 64 levels deep\)"),
        ("9" * 5000, r"step-00000002 is damaged \("),
        ('{"format": 1}', r"step-00000002 is damaged \(KeyError: 'origin'\)"),
        ('{"format": 9}', "step-00000002 has format 9, but this version reads 1"),
        ({"steps": "four"}, "steps must be a whole number, not 'four'"),
        ({"steps": 3}, "its state is of step 3"),
        ({"steps": 10**30}, "steps must be between 1 and"),
        ({"origin": [1]}, r"origin must be an object, not \[1\]"),
        ({"sampler": {"epoch": "a"}}, "sampler must have the entries length, seed, seen"),
        ({"sampler": {"length": 6, "seed": "a", "seen": 2}}, "sampler must be a whole number, not 'a'"),
        ({"batches": 3}, "batches must be an object, not 3"),
        ({"files": {"../../other": ""}}, "files has an unknown entry"),
    ],
)  # fmt: skip
def test_a_damaged_checkpoint_is_refused(stopped, content, sentence):
    path = folder_of(stopped) / "checkpoints" / "step-00000002" / "state.json"
    text = content if isinstance(content, str) else json.dumps(json.loads(path.read_text()) | content)
    path.write_text(text)
    with pytest.raises(InvalidInput, match=sentence):
        train(stopped)


@pytest.mark.parametrize("make", [lambda path: None, os.mkfifo, Path.mkdir])
def test_a_checkpoint_without_a_state_is_refused(config, stopped, make):
    """It is not passed over: the run would start anew, or from an older one."""
    path = folder_of(stopped) / "checkpoints" / "step-00000002" / "state.json"
    path.unlink()
    make(path)
    with pytest.raises(InvalidInput, match=r"state.json"):
        train(config())


@pytest.mark.parametrize("name", ["values", "moments", "adapter"])
def test_a_changed_byte_of_a_checkpoint_is_found(config, stopped, name):
    path = folder_of(stopped) / "checkpoints" / "step-00000002" / f"{name}.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=rf"{name}.safetensors is damaged \(its checksum differs\); delete"):
        train(config())


def test_a_checkpoint_of_an_earlier_version_has_no_checksums_and_is_resumed(config, stopped):
    path = folder_of(stopped) / "checkpoints" / "step-00000002" / "state.json"
    tree = json.loads(path.read_text())
    del tree["files"]
    path.write_text(json.dumps(tree))
    listener = Listener()
    train(config(learning={"steps": 3}), reporter=listener)
    assert listener.said == ["resuming from step 2"]


def test_two_runs_in_one_folder_do_not_mix(config, stopped):
    with (
        FileLock(folder_of(stopped) / ".in-use"),
        pytest.raises(InvalidInput, match=r"another run trains in .*out now; wait until it ends, or use another"),
    ):
        train(config())
    assert saved(stopped) == ["step-00000002"]
    assert train(config()).is_file()


def test_a_disk_without_locks_is_trained_on_all_the_same(config, monkeypatch):
    """As some of clusters are."""

    def fails(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", fails)
    assert train(config(learning={"steps": 1})).is_file()


def test_latents_without_checksums_are_told(config, stopped, monkeypatch):
    monkeypatch.setattr(OpenShard, "has_checksums", False)
    listener = Listener()
    train(config(), reporter=listener)
    assert "was prepared by an earlier version, whose shards have no checksums" in listener.said[0]


def test_a_checkpoint_with_a_file_cut_off_is_refused(config, stopped):
    path = folder_of(stopped) / "checkpoints" / "step-00000002" / "values.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InvalidInput, match=r"values\.safetensors"):
        train(config())
