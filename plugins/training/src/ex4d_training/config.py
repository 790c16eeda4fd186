"""What a training run is asked to do: one frozen value, read from TOML and flags, and written back as TOML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import attrs
import tomli_w

from ex4d_core.config import Tree, make_options, refuse_unknown
from ex4d_core.errors import InvalidConfig
from ex4d_core.options import option

DType = Literal["auto", "float32", "bfloat16"]
Share = Literal["auto", "always", "never"]
Tracker = Literal["none", "tensorboard", "wandb"]

_AT_LEAST_0, _AT_LEAST_1 = attrs.validators.ge(0), attrs.validators.ge(1)
_ABOVE_0 = attrs.validators.gt(0)


def _one_of(values: Any) -> Any:
    return attrs.validators.in_(get_args(values))


@attrs.frozen(kw_only=True)
class ModelOptions:
    """What is trained."""

    base: str = option(
        "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
        help="Wan, which stays as it is: a name on the Hugging Face hub, or a folder, as backbone.model takes it.",
    )
    revision: str = option("main", help="Commit, tag or branch of it on the hub.")
    rank: int = option(16, help="Rank of the LoRA.", validator=_AT_LEAST_1)
    camera_hidden: int = option(1024, help="Channels between the camera encoder's layers.", validator=_AT_LEAST_1)
    dtype: DType = option(
        "auto",
        help="Precision that is computed in; auto is float32 on the CPU and bfloat16 elsewhere.",
        validator=_one_of(DType),
    )


@attrs.frozen(kw_only=True)
class DataOptions:
    """What is learned from."""

    path: str = option(help="Folder that `ex4d data prepare` made.")
    batch_size: int = option(1, help="Clips at a time on each GPU.", unit="clips", validator=_AT_LEAST_1)
    accumulate: int = option(
        1, help="Batches whose gradients are added up for a step.", unit="batches", validator=_AT_LEAST_1
    )
    ahead: int = option(
        2,
        help="Batches that are read while the GPU computes; 0 reads in between.",
        unit="batches",
        validator=_AT_LEAST_0,
    )


@attrs.frozen(kw_only=True)
class LearningOptions:
    """How it is learned."""

    steps: int = option(10_000, help="Steps in all.", validator=_AT_LEAST_1)
    rate: float = option(3e-5, help="Learning rate of AdamW.", validator=_ABOVE_0)
    warmup: int = option(100, help="Steps in which the rate rises from 0.", unit="steps", validator=_AT_LEAST_0)
    weight_decay: float = option(0.01, help="Weight decay of AdamW.", validator=_AT_LEAST_0)
    clip: float = option(1.0, help="Largest norm of all gradients together.", validator=_ABOVE_0)
    ema: float = option(
        0.999,
        help="Share of the running mean, which is what is saved as the adapter, that stays at a step.",
        validator=attrs.validators.and_(_AT_LEAST_0, attrs.validators.lt(1)),
    )
    shift: float = option(5.0, help="Moves noise levels to noisier latents.", validator=_ABOVE_0)
    seed: int = option(42, help="Fixes the order of the data, the noise and the first values.", validator=_AT_LEAST_0)


@attrs.frozen(kw_only=True)
class MachineOptions:
    """What it is computed on."""

    device: str = option("auto", help="auto, cpu, cuda, cuda:1; with several GPUs each process takes its own.")
    num_gpus: int = option(1, help="GPUs of this machine, one process each.", validator=_AT_LEAST_1)
    checkpointing: bool = option(True, help="Compute blocks again on the way back, for a fraction of the memory.")
    compile: bool = option(False, help="Compile the blocks, which takes a minute at the first step.")
    share: Share = option(
        "auto",
        help="Whether each GPU keeps its part of the frozen weights only; auto does so where they take more than half "
        "of it.",
        validator=_one_of(Share),
    )


@attrs.frozen(kw_only=True)
class OutputOptions:
    """What is written."""

    dir: str = option("outputs/train", help="Folder for checkpoints, metrics and validation videos.")
    save_every: int = option(500, help="Steps between checkpoints.", unit="steps", validator=_AT_LEAST_1)
    keep: int = option(3, help="Checkpoints that stay; older ones go.", validator=_AT_LEAST_1)
    log_every: int = option(10, help="Steps between two lines of metrics.", unit="steps", validator=_AT_LEAST_1)
    tracker: Tracker = option(
        "none",
        help="Where metrics go besides metrics.jsonl: none, tensorboard or wandb.",
        validator=_one_of(Tracker),
    )
    validate_every: int = option(
        0, help="Steps between validation videos; 0 makes none.", unit="steps", validator=_AT_LEAST_0
    )
    validation_clips: int = option(2, help="Clips in them, the first of the data.", validator=_AT_LEAST_1)
    validation_steps: int = option(25, help="Denoising steps for them.", validator=_AT_LEAST_1)


@attrs.frozen(kw_only=True)
class TrainConfig:
    """Everything that decides what a training run makes."""

    data: DataOptions
    model: ModelOptions = ModelOptions()
    learning: LearningOptions = LearningOptions()
    machine: MachineOptions = MachineOptions()
    output: OutputOptions = OutputOptions()


SECTIONS: dict[str, Any] = {
    "model": ModelOptions,
    "data": DataOptions,
    "learning": LearningOptions,
    "machine": MachineOptions,
    "output": OutputOptions,
}


def make_train_config(tree: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration that tables describe.

    Raises:
        InvalidConfig: a key is unknown (the nearest known one is named), missing, or has a value that does not fit.
    """
    refuse_unknown(tree, list(SECTIONS), "")
    for name in SECTIONS:
        if not isinstance(tree.get(name, {}), Mapping):
            raise InvalidConfig(f"{name} must be a table of options, not {tree[name]!r}")
    return TrainConfig(**{name: make_options(cls, tree.get(name, {}), name) for name, cls in SECTIONS.items()})


def write_train_config(config: TrainConfig) -> str:
    """Return it as TOML, every option said, that `make_train_config` turns into the same one."""
    tree: Tree = attrs.asdict(config)
    return tomli_w.dumps(tree)
