"""The configuration of a training run: one frozen value, read from TOML and flags, and written back as TOML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import attrs
import tomli_w

from ex4d_core.bounds import shown
from ex4d_core.config import Tree, make_options, refuse_unknown
from ex4d_core.errors import InvalidConfig
from ex4d_core.options import option

DType = Literal["auto", "float32", "bfloat16"]
Share = Literal["auto", "always", "never"]
Tracker = Literal["none", "tensorboard", "wandb"]

_MOST_STEPS = 10**9
"""Upper bound of numbers of steps."""

_MOST_CLIPS = 10**6


def _one_of(values: Any) -> Any:
    return attrs.validators.in_(get_args(values))


@attrs.frozen(kw_only=True)
class ModelOptions:
    """The model and its adapter."""

    base: str = option(
        "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
        help="Frozen Wan model: a name on the Hugging Face hub, or a folder, as for backbone.model.",
    )
    revision: str = option("main", help="Commit, tag or branch of the model on the hub.")
    rank: int = option(16, help="Rank of the LoRA.", at_least=1, at_most=4096)
    camera_hidden: int = option(1024, help="Hidden channels of the camera encoder.", at_least=1, at_most=16384)
    dtype: DType = option(
        "auto",
        help="Precision of the computation; auto: float32 on the CPU, bfloat16 elsewhere.",
        validator=_one_of(DType),
    )


@attrs.frozen(kw_only=True)
class TrainDataOptions:
    """The training data."""

    path: str = option(help="Output folder of `ex4d data prepare`.")
    batch_size: int = option(1, help="Batch size per GPU.", unit="clips", at_least=1, at_most=_MOST_CLIPS)
    accumulate: int = option(
        1,
        help="Number of batches whose gradients are accumulated per step.",
        unit="batches",
        at_least=1,
        at_most=_MOST_CLIPS,
    )
    ahead: int = option(
        2,
        help="Number of batches that are read ahead while the GPU computes; 0 reads each when it is needed.",
        unit="batches",
        at_least=0,
        at_most=1024,
    )


@attrs.frozen(kw_only=True)
class LearningOptions:
    """Optimizer, noise and random seed."""

    steps: int = option(10_000, help="Total number of steps.", at_least=1, at_most=_MOST_STEPS)
    rate: float = option(3e-5, help="Learning rate of AdamW.", above=0, at_most=1000)
    warmup: int = option(
        100, help="Steps of learning rate warm-up from 0.", unit="steps", at_least=0, at_most=_MOST_STEPS
    )
    weight_decay: float = option(0.01, help="Weight decay of AdamW.", at_least=0, at_most=1000)
    clip: float = option(1.0, help="Limit of the global gradient norm.", above=0, at_most=1e12)
    ema: float = option(
        0.999,
        help="Decay of the exponential moving average of the weights, which is saved as the adapter.",
        at_least=0,
        below=1,
    )
    shift: float = option(5.0, help="Shift of the noise schedule; larger is noisier.", above=0, at_most=1000)
    seed: int = option(42, help="Seed of data order, noise and initial weights.", at_least=0, at_most=2**63 - 1)


@attrs.frozen(kw_only=True)
class MachineOptions:
    """Devices, memory and speed."""

    device: str = option("auto", help="Device: auto, cpu, cuda or cuda:1; each process of several uses its own GPU.")
    num_gpus: int = option(1, help="Number of GPUs of this machine, one process each.", at_least=1, at_most=1024)
    checkpointing: bool = option(True, help="Gradient checkpointing: recompute blocks to save memory.")
    compile: bool = option(False, help="Compile the blocks; the first step takes a minute longer.")
    share: Share = option(
        "auto",
        help="Whether to shard the frozen weights over the GPUs; auto: if they take more than half of the memory of "
        "one.",
        validator=_one_of(Share),
    )


@attrs.frozen(kw_only=True)
class OutputOptions:
    """Checkpoints, metrics and validation."""

    dir: str = option("outputs/train", help="Folder for checkpoints, metrics and validation videos.")
    save_every: int = option(500, help="Steps between checkpoints.", unit="steps", at_least=1, at_most=_MOST_STEPS)
    keep: int = option(3, help="Number of checkpoints to keep.", at_least=1, at_most=_MOST_STEPS)
    log_every: int = option(10, help="Steps between records of metrics.", unit="steps", at_least=1, at_most=_MOST_STEPS)
    tracker: Tracker = option(
        "none",
        help="Tracker of metrics in addition to metrics.jsonl: none, tensorboard or wandb.",
        validator=_one_of(Tracker),
    )
    validate_every: int = option(
        0,
        help="Steps between validation videos; 0 disables them.",
        unit="steps",
        at_least=0,
        at_most=_MOST_STEPS,
    )
    validation_clips: int = option(2, help="Number of validation clips.", at_least=1, at_most=_MOST_CLIPS)
    validation_steps: int = option(25, help="Denoising steps of validation videos.", at_least=1, at_most=10_000)


@attrs.frozen(kw_only=True)
class TrainConfig:
    """The configuration of a training run."""

    data: TrainDataOptions
    model: ModelOptions = ModelOptions()
    learning: LearningOptions = LearningOptions()
    machine: MachineOptions = MachineOptions()
    output: OutputOptions = OutputOptions()


SECTIONS: dict[str, Any] = {
    "model": ModelOptions,
    "data": TrainDataOptions,
    "learning": LearningOptions,
    "machine": MachineOptions,
    "output": OutputOptions,
}


def make_train_config(tree: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration of tables of options.

    Raises:
        InvalidConfig: a key is unknown or missing, or a value is invalid.
    """
    refuse_unknown(tree, list(SECTIONS), "")
    for name in SECTIONS:
        if not isinstance(tree.get(name, {}), Mapping):
            raise InvalidConfig(f"{name} must be a table of options, not {shown(tree[name])}")
    return TrainConfig(**{name: make_options(cls, tree.get(name, {}), name) for name, cls in SECTIONS.items()})


def write_train_config(config: TrainConfig) -> str:
    """Return the configuration as TOML with all options; `make_train_config` restores it."""
    tree: Tree = attrs.asdict(config)
    return tomli_w.dumps(tree)
