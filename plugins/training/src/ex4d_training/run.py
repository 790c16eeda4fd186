"""A training run. Start reading in `train`, then `_TrainRun.complete`."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from functools import cached_property
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from ex4d_backbone_wan.weights.loading import load_transformer
from ex4d_backbone_wan.weights.tensor_files import shapes_of
from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidConfig
from ex4d_core.files import atomic_write
from ex4d_core.progress import Progress, Reporter, SilentReporter
from ex4d_training import checkpoints
from ex4d_training.checkpoints import (
    ADAPTER,
    TrainCheckpoint,
    TrainState,
    latest_checkpoint,
    load_checkpoint,
    publish_adapter,
)
from ex4d_training.config import TrainConfig, write_train_config
from ex4d_training.data import EpochSampler
from ex4d_training.distributed import Team, shard_weights
from ex4d_training.inputs import TrainInputs, find_inputs
from ex4d_training.launch import is_launched, launch
from ex4d_training.locking import only_run
from ex4d_training.memory import explaining_memory
from ex4d_training.metrics import Metrics
from ex4d_training.optimizer import Pace
from ex4d_training.prefetch import read_ahead
from ex4d_training.step import prepare
from ex4d_training.trainer import Recipe, Report, Trainer
from ex4d_training.validation import Validation
from ex4d_training.velocity import Sample, WanVelocity, attach_adapter

_DEVICES = ("cpu", "cuda", "mps")
_LOCK = ".in-use"

_NO_CHECKSUMS = "whose shards have no checksums: damage is not detected until they are prepared again"


def train(config: TrainConfig, *, reporter: Reporter | None = None, quiet: bool = False) -> Path:
    """Train an adapter, or resume the run in the output folder; return the file of the adapter.

    If `machine.num_gpus` is above 1, it starts a process for each GPU and waits for them.

    Args:
        config: the configuration.
        reporter: receives stages and messages.
        quiet: whether launched processes print only warnings.

    Raises:
        InputNotFound: the weights or the data do not exist.
        InvalidConfig: this machine does not support an option.
        InvalidInput: the data or a checkpoint in the output folder are damaged or belong to another model, or another
            run uses the folder.
        OutOfMemory: the GPU is too small; the message lists options that need less.
        OutputFailed: the output folder cannot be written, or the disk is full; the last checkpoint is kept.
        TrainingStopped: a loss is not finite, or a process failed; the last checkpoint is valid.
        Stopped: a signal ended the processes; the last checkpoint is valid.
    """
    reporter = reporter or SilentReporter()
    folder = Path(config.output.dir)
    several = config.machine.num_gpus > 1 and not is_launched()
    if several:
        _check_gpus(config)
    inputs = find_inputs(config)
    if several:
        latest_checkpoint(folder / "checkpoints", origin=inputs.origin)  # fail before processes are started
        # In a separate file: the one in the output folder may belong to another running process.
        with tempfile.TemporaryDirectory(prefix="ex4d-train-") as own:
            launch(_write_config(config, Path(own)), processes=config.machine.num_gpus, quiet=quiet)
        return folder / ADAPTER
    team = Team(_device(config))
    try:
        with only_run(folder / _LOCK, folder, does="trains in") if team.is_first else nullcontext():
            team.wait()
            checkpoint = latest_checkpoint(folder / "checkpoints", origin=inputs.origin)
            team.wait()  # no process changes the folder before all have read it
            if team.is_first:
                _write_config(config, folder)
                if not inputs.data.has_checksums:
                    reporter.note(f"{config.data.path} was prepared by an earlier version, {_NO_CHECKSUMS}")
            return _TrainRun(config, folder, inputs=inputs, team=team, reporter=reporter).complete(checkpoint)
    finally:
        team.end()


class _TrainRun:
    """A run in one of its processes."""

    def __init__(
        self, config: TrainConfig, folder: Path, *, inputs: TrainInputs, team: Team, reporter: Reporter
    ) -> None:
        self._config, self._folder, self._inputs = config, folder, inputs
        self._team, self._reporter = team, reporter
        self._dtype = _dtype(config, team.device)
        self._sampler = EpochSampler(len(inputs.data), config.learning.seed, rank=team.rank, world=team.size)
        self._batches = {
            "batch_size": config.data.batch_size,
            "accumulate": config.data.accumulate,
            "processes": team.size,
        }

    @property
    def _checkpoints(self) -> Path:
        return self._folder / "checkpoints"

    def complete(self, checkpoint: TrainCheckpoint | None) -> Path:
        """Take all remaining steps; return the file of the adapter."""
        wanted, done = self._config.learning.steps, checkpoint.state.steps if checkpoint else 0
        if done < wanted:
            self._learn(checkpoint)
            checkpoint = latest_checkpoint(self._checkpoints, origin=self._inputs.origin)
        else:
            self._reporter.note(f"{self._folder} has completed {done} steps already; raise --steps to extend the run")
        if self._team.is_first:
            assert checkpoint is not None, self._folder  # the last step writes one
            publish_adapter(checkpoint, self._folder)
        self._team.wait()
        return self._folder / ADAPTER

    def _learn(self, checkpoint: TrainCheckpoint | None) -> None:
        config, done = self._config, checkpoint.state.steps if checkpoint else 0
        tracker = config.output.tracker if self._team.is_first else "none"
        with (
            Metrics(self._folder, tracker, after=done) as metrics,
            self._reporter.stage("train") as progress,
            closing(self._read()) as batches,
        ):
            progress(done, config.learning.steps)
            trainer = self._trainer(batches, self._report(metrics, progress, done))
            if checkpoint is not None:
                self._resume(checkpoint, trainer)
            while trainer.steps < config.learning.steps:
                before = trainer.steps
                self._step_to(trainer, self._next_stop(before))
                self._sampler.advance((trainer.steps - before) * config.data.batch_size * config.data.accumulate)
                self._save_and_validate(trainer)

    def _resume(self, checkpoint: TrainCheckpoint, trainer: Trainer) -> None:
        load_checkpoint(checkpoint, trainer.optimizer)
        self._sampler.load_state_dict(checkpoint.state.sampler)
        self._reporter.note(f"resuming from step {checkpoint.state.steps}")
        if checkpoint.state.batches != self._batches:
            before, now = (
                ", ".join(f"{k} {v}" for k, v in each.items()) for each in (checkpoint.state.batches, self._batches)
            )
            self._reporter.note(
                f"the batches differ from before ({before}; now {now}): no sample is skipped or repeated, but losses "
                "differ from those of an uninterrupted run"
            )

    def _trainer(self, batches: Iterator[Sample], report: Report) -> Trainer:
        learning = self._config.learning
        pace = Pace(
            learning_rate=learning.rate,
            warmup=learning.warmup,
            weight_decay=learning.weight_decay,
            clip=learning.clip,
            ema=learning.ema,
        )
        recipe = Recipe(
            pace=pace,
            shift=learning.shift,
            accumulate=self._config.data.accumulate,
            seed=learning.seed,
            look_every=self._config.output.log_every,
        )
        return Trainer(self._model(), batches, recipe=recipe, team=self._team, report=report)

    def _report(self, metrics: Metrics, progress: Progress, done: int) -> Report:
        last, started = done, time.perf_counter()

        def report(step: int, values: dict[str, float]) -> None:
            nonlocal last, started
            now = time.perf_counter()
            if self._team.is_first:
                metrics.log(step, {**values, "seconds": (now - started) / (step - last)})
                progress(step, self._config.learning.steps)
            last, started = step, now

        return report

    def _model(self) -> WanVelocity:
        config, team = self._config, self._team
        shared = team.size > 1 and self._is_shared()
        home = torch.device("cpu") if shared else team.device
        with explaining_memory("loading the model", ways=("--set machine.share=always with more --num-gpus",)):
            transformer = load_transformer(self._inputs.wan, device=home, dtype=self._dtype, adapters=())
            model = attach_adapter(
                transformer,
                rank=config.model.rank,
                hidden=config.model.camera_hidden,
                channels=2 * transformer.config.out_channels,
                seed=config.learning.seed,
            )
            if shared:
                shard_weights(model, device=team.device)
        prepare(transformer, checkpointing=config.machine.checkpointing, compiled=config.machine.compile)
        return model

    def _is_shared(self) -> bool:
        if self._config.machine.share != "auto" or self._team.device.type != "cuda":
            return self._config.machine.share == "always"
        shapes = [shape for file in self._inputs.wan.files["transformer"] for shape in shapes_of(file).values()]
        weights = sum(map(math.prod, shapes)) * self._dtype.itemsize
        whole: int = torch.cuda.get_device_properties(self._team.device).total_memory
        return weights > whole / 2

    def _read(self) -> Generator[Sample, None, None]:
        """Yield the batches of this process; the sampler is read at the first one, after a checkpoint was loaded."""
        data = self._config.data
        loader = DataLoader(
            self._inputs.data,
            batch_size=data.batch_size,
            sampler=self._sampler,
            pin_memory=self._team.device.type == "cuda",
        )
        with closing(read_ahead(iter(loader), count=data.ahead)) as batches:
            for batch in batches:
                yield {name: value.to(self._team.device, non_blocking=True) for name, value in batch.items()}

    def _next_stop(self, done: int) -> int:
        """Return the next step with a checkpoint or validation."""
        output = self._config.output
        periods = [period for period in (output.save_every, output.validate_every) if period]
        return min([self._config.learning.steps, *((done // period + 1) * period for period in periods)])

    def _step_to(self, trainer: Trainer, until: int) -> None:
        manifest = self._inputs.data.manifest
        size = "x".join(map(str, manifest.size))
        what = f"a step of {self._config.data.batch_size} x {manifest.frames} frames of {size}"
        with explaining_memory(what, ways=self._smaller()):
            trainer.run(until)

    def _smaller(self) -> Sequence[str]:
        """Return options that need less memory."""
        machine, data = self._config.machine, self._config.data
        ways = []
        if data.batch_size > 1:
            ways.append(f"--batch-size {data.batch_size // 2} with --set data.accumulate={2 * data.accumulate}")
        if not machine.checkpointing:
            ways.append("--set machine.checkpointing=true")
        if machine.share != "always":
            ways.append("--set machine.share=always with more --num-gpus")
        return (*ways, "data prepared with fewer or smaller frames")

    def _save_and_validate(self, trainer: Trainer) -> None:
        output, last = self._config.output, trainer.steps == self._config.learning.steps
        if self._team.is_first and (last or trainer.steps % output.save_every == 0):
            state = TrainState(
                steps=trainer.steps,
                origin=self._inputs.origin,
                sampler=self._sampler.state_dict(),
                batches=self._batches,
            )
            checkpoints.save_checkpoint(self._checkpoints, trainer.optimizer, state, keep=output.keep)
        if output.validate_every and (last or trainer.steps % output.validate_every == 0):
            self._validate(trainer)
        self._team.wait()

    def _validate(self, trainer: Trainer) -> None:
        trainer.optimizer.load(trainer.optimizer.means)
        with explaining_memory("validation", ways=("--set output.validate_every=0",)):
            frames = self._validation.frames(trainer.model)
        trainer.optimizer.load(trainer.optimizer.masters)
        if self._team.is_first:
            self._validation.write(self._folder / "validation" / f"step-{trainer.steps:08}.mp4", frames)

    @cached_property
    def _validation(self) -> Validation:
        output = self._config.output
        return Validation(
            self._inputs.data,
            self._inputs.wan,
            clips=output.validation_clips,
            steps=output.validation_steps,
            shift=self._config.learning.shift,
            device=self._team.device,
            dtype=self._dtype,
        )


def _write_config(config: TrainConfig, folder: Path) -> Path:
    """Write the configuration into a folder; return the file."""
    path = folder / "config.toml"
    with atomic_write(path) as temporary:
        temporary.write_text(write_train_config(config), encoding="utf-8")
    return path


def _device(config: TrainConfig) -> torch.device | None:
    asked = config.machine.device
    if asked == "auto":
        return None if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(asked)
    except (RuntimeError, ValueError) as error:
        raise InvalidConfig(f"machine.device must be auto, cpu, cuda or cuda:1, not {shown(asked)}") from error
    if device.type not in _DEVICES:
        raise InvalidConfig(f"machine.device must be auto, cpu, cuda or cuda:1, not {shown(asked)}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InvalidConfig("machine.device is mps, but torch finds no such GPU; use --device cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InvalidConfig(f"machine.device is {asked}, but torch finds no GPU; run `ex4d doctor`")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InvalidConfig(f"machine.device is {asked}, but this machine has {torch.cuda.device_count()} GPUs")
    return device


def _dtype(config: TrainConfig, device: torch.device) -> torch.dtype:
    if config.model.dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[config.model.dtype]


def _check_gpus(config: TrainConfig) -> None:
    wanted, available = config.machine.num_gpus, torch.cuda.device_count()
    if config.machine.device != "cpu" and available < wanted:
        raise InvalidConfig(
            f"--num-gpus is {wanted}, but this machine has {available}; use --num-gpus {max(available, 1)}"
        )
