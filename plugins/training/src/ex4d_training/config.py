"""What a training run is asked to do: one frozen value, read from TOML and flags, and written back as TOML."""

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
"""More than a run of years takes."""

_MOST_CLIPS = 10**6


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
    rank: int = option(16, help="Rank of the LoRA.", at_least=1, at_most=4096)
    camera_hidden: int = option(1024, help="Channels between the camera encoder's layers.", at_least=1, at_most=16384)
    dtype: DType = option(
        "auto",
        help="Precision that is computed in; auto is float32 on the CPU and bfloat16 elsewhere.",
        validator=_one_of(DType),
    )


@attrs.frozen(kw_only=True)
class TrainDataOptions:
    """What is learned from."""

    path: str = option(help="Folder that `ex4d data prepare` made.")
    batch_size: int = option(1, help="Clips at a time on each GPU.", unit="clips", at_least=1, at_most=_MOST_CLIPS)
    accumulate: int = option(
        1,
        help="Batches whose gradients are added up for a step.",
        unit="batches",
        at_least=1,
        at_most=_MOST_CLIPS,
    )
    ahead: int = option(
        2,
        help="Batches that are read while the GPU computes; with 0 they are read in between.",
        unit="batches",
        at_least=0,
        at_most=1024,
    )


@attrs.frozen(kw_only=True)
class LearningOptions:
    """How it is learned."""

    steps: int = option(10_000, help="Steps in all.", at_least=1, at_most=_MOST_STEPS)
    rate: float = option(3e-5, help="Learning rate of AdamW.", above=0, at_most=1000)
    warmup: int = option(
        100, help="Steps in which the rate rises from 0.", unit="steps", at_least=0, at_most=_MOST_STEPS
    )
    weight_decay: float = option(0.01, help="Weight decay of AdamW.", at_least=0, at_most=1000)
    clip: float = option(1.0, help="Largest norm of all gradients together.", above=0, at_most=1e12)
    ema: float = option(
        0.999,
        help="Share of the running mean, which is what is saved as the adapter, that stays at a step.",
        at_least=0,
        below=1,
    )
    shift: float = option(5.0, help="Moves noise levels to noisier latents.", above=0, at_most=1000)
    seed: int = option(
        42, help="Fixes the order of the data, the noise and the first values.", at_least=0, at_most=2**63 - 1
    )


@attrs.frozen(kw_only=True)
class MachineOptions:
    """What it is computed on."""

    device: str = option("auto", help="auto, cpu, cuda, cuda:1; with several GPUs each process takes its own.")
    num_gpus: int = option(1, help="GPUs of this machine, one process each.", at_least=1, at_most=1024)
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
    save_every: int = option(500, help="Steps between checkpoints.", unit="steps", at_least=1, at_most=_MOST_STEPS)
    keep: int = option(3, help="Checkpoints that stay; older ones go.", at_least=1, at_most=_MOST_STEPS)
    log_every: int = option(
        10, help="Steps between two lines of metrics.", unit="steps", at_least=1, at_most=_MOST_STEPS
    )
    tracker: Tracker = option(
        "none",
        help="Where metrics go besides metrics.jsonl: none, tensorboard or wandb.",
        validator=_one_of(Tracker),
    )
    validate_every: int = option(
        0,
        help="Steps between validation videos; 0 makes none.",
        unit="steps",
        at_least=0,
        at_most=_MOST_STEPS,
    )
    validation_clips: int = option(2, help="Clips in them, the first of the data.", at_least=1, at_most=_MOST_CLIPS)
    validation_steps: int = option(25, help="Denoising steps for them.", at_least=1, at_most=10_000)


@attrs.frozen(kw_only=True)
class TrainConfig:
    """Everything that decides what a training run makes."""

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
    """Return the configuration that tables describe.

    Raises:
        InvalidConfig: a key is unknown (the nearest known one is named), missing, or has a value that does not fit.
    """
    refuse_unknown(tree, list(SECTIONS), "")
    for name in SECTIONS:
        if not isinstance(tree.get(name, {}), Mapping):
            raise InvalidConfig(f"{name} must be a table of options, not {shown(tree[name])}")
    return TrainConfig(**{name: make_options(cls, tree.get(name, {}), name) for name, cls in SECTIONS.items()})


def write_train_config(config: TrainConfig) -> str:
    """Return it as TOML, every option said, that `make_train_config` turns into the same one."""
    tree: Tree = attrs.asdict(config)
    return tomli_w.dumps(tree)
