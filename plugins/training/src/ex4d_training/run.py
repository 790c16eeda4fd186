"""A training run from its configuration to the adapter: read `train`, then `_Run.to_the_end`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from ex4d_backbone_wan.loading import load_transformer
from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.weights import Checkpoint, locate
from ex4d_core.errors import InvalidConfig, OutputFailed
from ex4d_core.files import replacing
from ex4d_core.progress import Progress, Reporter, SilentReporter
from ex4d_training.checkpoints import ADAPTER, Facts, checkpoints, load_checkpoint, save_adapter, save_checkpoint
from ex4d_training.config import TrainConfig, write_train_config
from ex4d_training.data import EpochSampler, LatentDataset
from ex4d_training.data.fingerprint import check_fingerprint
from ex4d_training.launch import is_launched, launch
from ex4d_training.memory import saying_what_to_change
from ex4d_training.metrics import Metrics
from ex4d_training.optimiser import Pace
from ex4d_training.step import prepare
from ex4d_training.team import Team, share_out
from ex4d_training.trainer import Recipe, Trainer, TrainingStopped
from ex4d_training.validation import Validation
from ex4d_training.velocity import Sample, WanVelocity, attach_adapter


def train(config: TrainConfig, *, reporter: Reporter | None = None) -> Path:
    """Train an adapter, or go on where the same call was stopped; return its file.

    With `machine.num_gpus` above 1 it starts a process for each and waits for them.

    Args:
        config: what to do.
        reporter: told of stages and of what should not be missed.

    Raises:
        InputNotFound: the weights or the data are not there.
        InvalidConfig: an option does not fit this machine.
        InvalidInput: the data, or a checkpoint in the output folder, is of another model.
        OutOfMemory: the GPU is too small; the message says what to change.
        OutputFailed: the output folder cannot be written, or the disk is full; the last checkpoint stays.
        TrainingStopped: a loss is not finite any more, or a process was killed; the last checkpoint is good.
    """
    reporter = reporter or SilentReporter()
    folder = Path(config.output.dir)
    if config.machine.num_gpus > 1 and not is_launched():
        _check_gpus(config)
        launch(_written(config, folder), processes=config.machine.num_gpus)
        return folder / ADAPTER
    team = Team(_device(config))
    try:
        if team.is_first:
            _written(config, folder)
        return _Run(config, folder, team=team, reporter=reporter).to_the_end()
    finally:
        team.end()


class _Run:
    """One process's part of a run."""

    def __init__(self, config: TrainConfig, folder: Path, *, team: Team, reporter: Reporter) -> None:
        self._config, self._folder, self._team, self._reporter = config, folder, team, reporter
        self._dtype = _dtype(config, team.device)
        self._data = LatentDataset(config.data.path)
        check_fingerprint(self._data.manifest, self._wan)
        self._sampler = EpochSampler(len(self._data), config.learning.seed, rank=team.rank, world=team.size)

    @cached_property
    def _wan(self) -> Checkpoint:
        model = self._config.model
        return locate(WanOptions(model=model.base, model_revision=model.revision, adapter="none"))

    @property
    def _checkpoints(self) -> Path:
        return self._folder / "checkpoints"

    def to_the_end(self) -> Path:
        """Take all steps that are missing; return the adapter's file."""
        config, team = self._config, self._team
        tracker = config.output.tracker if team.is_first else "none"
        with Metrics(self._folder, tracker) as metrics, self._reporter.stage("train") as progress:
            trainer = self._trainer(metrics, progress)
            while trainer.steps < config.learning.steps:
                done = trainer.steps
                self._step_to(trainer, self._next_stop(done))
                self._sampler.advance((trainer.steps - done) * config.data.batch_size * config.data.accumulate)
                self._after(trainer)
            path = self._folder / ADAPTER
            if team.is_first:
                save_adapter(path, trainer.optimiser)
            team.wait()
            return path

    def _trainer(self, metrics: Metrics, progress: Progress) -> Trainer:
        """Return what takes the steps, gone on from the last checkpoint if there is one."""
        learning, output = self._config.learning, self._config.output
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
            look_every=output.log_every,
        )

        def report(step: int, values: dict[str, float]) -> None:
            if self._team.is_first:
                metrics.log(step, values)
                progress(step, learning.steps)

        trainer = Trainer(self._model(), self._batches(), recipe=recipe, team=self._team, report=report)
        if there := checkpoints(self._checkpoints):
            state = load_checkpoint(
                there[-1], trainer.optimiser, model=self._wan.fingerprint(), data=self._data.fingerprint
            )
            self._sampler.load_state_dict(state)
        return trainer

    def _model(self) -> WanVelocity:
        config, team = self._config, self._team
        shared = team.size > 1 and self._is_shared()
        home = torch.device("cpu") if shared else team.device
        with saying_what_to_change("loading the model", ways=("machine.share = 'always' with several GPUs",)):
            transformer = load_transformer(self._wan, device=home, dtype=self._dtype, adapters=())
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
        weights = sum(file.stat().st_size for file in self._wan.files["transformer"])
        return weights > torch.cuda.get_device_properties(self._team.device).total_memory / 2

    def _batches(self) -> Iterator[Sample]:
        """Yield this process's batches; the order is asked for at the first one, after a checkpoint was loaded."""
        data = self._config.data
        loader = DataLoader(
            self._data,
            batch_size=data.batch_size,
            sampler=self._sampler,
            num_workers=data.workers,
            pin_memory=self._team.device.type == "cuda",
        )
        try:
            for batch in loader:
                yield {name: value.to(self._team.device, non_blocking=True) for name, value in batch.items()}
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise TrainingStopped(
                "a process that reads the data was killed, most often because the machine ran out of memory; go on "
                "with the same command and fewer data.workers"
            ) from error

    def _next_stop(self, done: int) -> int:
        """Return the next step at which something is written."""
        output = self._config.output
        periods = [period for period in (output.save_every, output.validate_every) if period]
        return min([self._config.learning.steps, *((done // period + 1) * period for period in periods)])

    def _step_to(self, trainer: Trainer, until: int) -> None:
        data, (width, height) = self._config.data, self._data.manifest.size
        what = f"a step of {data.batch_size} x {self._data.manifest.frames} frames of {width}x{height}"
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

    def _after(self, trainer: Trainer) -> None:
        """Write what is due."""
        output, last = self._config.output, trainer.steps == self._config.learning.steps
        if self._team.is_first and (last or trainer.steps % output.save_every == 0):
            facts = Facts(
                model=self._wan.fingerprint(), data=self._data.fingerprint, sampler=self._sampler.state_dict()
            )
            save_checkpoint(self._checkpoints, trainer.optimiser, facts, keep=output.keep)
        if output.validate_every and (last or trainer.steps % output.validate_every == 0):
            trainer.optimiser.load(trainer.optimiser.means)
            frames = self._validation.frames(trainer.model)
            trainer.optimiser.load(trainer.optimiser.masters)
            if self._team.is_first:
                self._validation.write(self._folder / "validation" / f"step-{trainer.steps:08}.mp4", frames)
        self._team.wait()

    @cached_property
    def _validation(self) -> Validation:
        output, learning = self._config.output, self._config.learning
        return Validation(
            self._data,
            self._wan,
            clips=output.validation_clips,
            steps=output.validation_steps,
            shift=learning.shift,
            device=self._team.device,
            dtype=self._dtype,
        )


def _written(config: TrainConfig, folder: Path) -> Path:
    """Write the configuration into the output folder; return its file."""
    path = folder / "config.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFailed(f"{folder} cannot be made: {error.strerror or error}") from error
    with replacing(path) as temporary:
        temporary.write_text(write_train_config(config), encoding="utf-8")
    return path


def _device(config: TrainConfig) -> torch.device | None:
    asked = config.machine.device
    if asked == "auto":
        return None if torch.cuda.is_available() else torch.device("cpu")
    try:
        return torch.device(asked)
    except RuntimeError as error:
        raise InvalidConfig(f"machine.device must be auto, cpu, cuda or cuda:1, not {asked!r}") from error


def _dtype(config: TrainConfig, device: torch.device) -> torch.dtype:
    if config.model.dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    dtype: Any = getattr(torch, config.model.dtype)
    return dtype  # type: ignore[no-any-return]


def _check_gpus(config: TrainConfig) -> None:
    wanted, there = config.machine.num_gpus, torch.cuda.device_count()
    if config.machine.device != "cpu" and there < wanted:
        count = os.cpu_count()
        raise InvalidConfig(
            f"--num-gpus is {wanted} and this machine has {there} GPUs ({count} CPU cores); give --num-gpus "
            f"{max(there, 1)}"
        )
