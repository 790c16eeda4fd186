"""A training run from its configuration to the adapter: read `train`, then `_TrainRun.to_the_end`."""

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
from ex4d_training.distributed import Team, share_out
from ex4d_training.inputs import TrainInputs, find_inputs
from ex4d_training.launch import is_launched, launch
from ex4d_training.locking import only_run
from ex4d_training.memory import saying_what_to_change
from ex4d_training.metrics import Metrics
from ex4d_training.optimizer import Pace
from ex4d_training.prefetch import read_ahead
from ex4d_training.step import prepare
from ex4d_training.trainer import Recipe, Report, Trainer
from ex4d_training.validation import Validation
from ex4d_training.velocity import Sample, WanVelocity, attach_adapter

_DEVICES = ("cpu", "cuda", "mps")
_LOCK = ".in-use"

_NO_CHECKSUMS = "whose shards have no checksums: a changed byte goes unnoticed until they are prepared again"


def train(config: TrainConfig, *, reporter: Reporter | None = None, quiet: bool = False) -> Path:
    """Train an adapter, or go on where a run into the same folder was stopped; return the adapter's file.

    With `machine.num_gpus` above 1 it starts a process for each and waits for them.

    Args:
        config: what to do.
        reporter: told of stages and of what should not be missed.
        quiet: whether processes that are started say nothing but warnings.

    Raises:
        InputNotFound: the weights or the data are not there.
        InvalidConfig: an option does not fit this machine.
        InvalidInput: the data, or a checkpoint in the output folder, is damaged or of another model, or another run
            trains in the folder now.
        OutOfMemory: the GPU is too small; the message says what to change.
        OutputFailed: the output folder cannot be written, or the disk is full; the last checkpoint stays.
        TrainingStopped: a loss is not finite any more, or a process failed; the last checkpoint is good.
        Stopped: a signal ended the processes; the last checkpoint is good.
    """
    reporter = reporter or SilentReporter()
    folder = Path(config.output.dir)
    several = config.machine.num_gpus > 1 and not is_launched()
    if several:
        _check_gpus(config)
    inputs = find_inputs(config)
    if several:
        latest_checkpoint(folder / "checkpoints", origin=inputs.origin)  # refused now, not once all have started
        # In a file of its own: that in the output folder may be of a run that is on its way there.
        with tempfile.TemporaryDirectory(prefix="ex4d-train-") as own:
            launch(_write_config(config, Path(own)), processes=config.machine.num_gpus, quiet=quiet)
        return folder / ADAPTER
    team = Team(_device(config))
    try:
        with only_run(folder / _LOCK, folder, does="trains in") if team.is_first else nullcontext():
            team.wait()
            there = latest_checkpoint(folder / "checkpoints", origin=inputs.origin)
            team.wait()  # nobody changes the folder before all have looked
            if team.is_first:
                _write_config(config, folder)
                if not inputs.data.has_checksums:
                    reporter.note(f"{config.data.path} was prepared by an earlier version, {_NO_CHECKSUMS}")
            return _TrainRun(config, folder, inputs=inputs, team=team, reporter=reporter).to_the_end(there)
    finally:
        team.end()


class _TrainRun:
    """One process's part of a run."""

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

    def to_the_end(self, there: TrainCheckpoint | None) -> Path:
        """Take all steps that are missing after a checkpoint; return the adapter's file."""
        wanted, done = self._config.learning.steps, there.state.steps if there else 0
        if done < wanted:
            self._learn(there)
            there = latest_checkpoint(self._checkpoints, origin=self._inputs.origin)
        else:
            self._reporter.note(f"{self._folder} has taken {done} steps already; more with a larger --steps")
        if self._team.is_first:
            assert there is not None, self._folder  # the last step writes one
            publish_adapter(there, self._folder)
        self._team.wait()
        return self._folder / ADAPTER

    def _learn(self, there: TrainCheckpoint | None) -> None:
        config, done = self._config, there.state.steps if there else 0
        tracker = config.output.tracker if self._team.is_first else "none"
        with (
            Metrics(self._folder, tracker, after=done) as metrics,
            self._reporter.stage("train") as progress,
            closing(self._read()) as batches,
        ):
            progress(done, config.learning.steps)
            trainer = self._trainer(batches, self._report(metrics, progress, done))
            if there is not None:
                self._go_on_from(there, trainer)
            while trainer.steps < config.learning.steps:
                before = trainer.steps
                self._step_to(trainer, self._next_stop(before))
                self._sampler.advance((trainer.steps - before) * config.data.batch_size * config.data.accumulate)
                self._write_what_is_due(trainer)

    def _go_on_from(self, there: TrainCheckpoint, trainer: Trainer) -> None:
        load_checkpoint(there, trainer.optimizer)
        self._sampler.load_state_dict(there.state.sampler)
        self._reporter.note(f"going on from step {there.state.steps}")
        if there.state.batches != self._batches:
            before, now = (
                ", ".join(f"{k} {v}" for k, v in each.items()) for each in (there.state.batches, self._batches)
            )
            self._reporter.note(
                f"batches were dealt out otherwise before ({before}; now {now}): no sample is left out or seen twice, "
                "but losses are not those of a run that was never stopped"
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
        with saying_what_to_change("loading the model", ways=("--set machine.share=always with more --num-gpus",)):
            transformer = load_transformer(self._inputs.wan, device=home, dtype=self._dtype, adapters=())
            model = attach_adapter(
                transformer,
                rank=config.model.rank,
                hidden=config.model.camera_hidden,
                channels=2 * transformer.config.out_channels,
                seed=config.learning.seed,
            )
            if shared:
                share_out(model, device=team.device)
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
        """Yield this process's batches; the order is asked for at the first one, after a checkpoint was loaded."""
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
        """Return the next step at which something is written."""
        output = self._config.output
        periods = [period for period in (output.save_every, output.validate_every) if period]
        return min([self._config.learning.steps, *((done // period + 1) * period for period in periods)])

    def _step_to(self, trainer: Trainer, until: int) -> None:
        manifest = self._inputs.data.manifest
        size = "x".join(map(str, manifest.size))
        what = f"a step of {self._config.data.batch_size} x {manifest.frames} frames of {size}"
        with saying_what_to_change(what, ways=self._smaller()):
            trainer.run(until)

    def _smaller(self) -> Sequence[str]:
        """Return what would need less memory."""
        machine, data = self._config.machine, self._config.data
        ways = []
        if data.batch_size > 1:
            ways.append(f"--batch-size {data.batch_size // 2} with --set data.accumulate={2 * data.accumulate}")
        if not machine.checkpointing:
            ways.append("--set machine.checkpointing=true")
        if machine.share != "always":
            ways.append("--set machine.share=always with more --num-gpus")
        return (*ways, "data prepared with fewer or smaller frames")

    def _write_what_is_due(self, trainer: Trainer) -> None:
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
        with saying_what_to_change("validation", ways=("--set output.validate_every=0",)):
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
    """Write the configuration into the output folder; return its file."""
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
        raise InvalidConfig("machine.device is mps and torch finds no such GPU here; give --device cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InvalidConfig(f"machine.device is {asked} and torch finds no GPU here; `ex4d doctor` says why")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InvalidConfig(f"machine.device is {asked} and this machine has {torch.cuda.device_count()} GPUs")
    return device


def _dtype(config: TrainConfig, device: torch.device) -> torch.dtype:
    if config.model.dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[config.model.dtype]


def _check_gpus(config: TrainConfig) -> None:
    wanted, there = config.machine.num_gpus, torch.cuda.device_count()
    if config.machine.device != "cpu" and there < wanted:
        raise InvalidConfig(f"--num-gpus is {wanted} and this machine has {there}; give --num-gpus {max(there, 1)}")
