"""Checkpoints: folders with the adapter and the state to resume training."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors.torch import save
from torch import Tensor

from ex4d_backbone_wan.weights.tensor_files import open_tensors
from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidInput
from ex4d_core.files import atomic_write, file_hash, remove_stale_temp
from ex4d_core.hub.state_dict_check import check_state_dict
from ex4d_core.reading import check_file, check_folder, reading
from ex4d_training.optimizer import Optimizer
from ex4d_training.records import DamagedRunFile, Validator, damage, made, of_texts, read_object, text, whole
from ex4d_training.velocity import adapter_tensors, reference_name

FORMAT = 1
ADAPTER = "adapter.safetensors"
"""File of the EMA weights with the tensor names of EX-4D, for `--set backbone.adapter=`."""
_VALUES, _MOMENTS, _STATE = "values.safetensors", "moments.safetensors", "state.json"
_MOMENT_NAMES = ("exp_avg", "exp_avg_sq")
_NAME = re.compile(r"step-(\d{8,18})")
_REMEDY = "delete the folder, and run the same command again to resume from the previous checkpoint"


@attrs.frozen(kw_only=True)
class InputFingerprints:
    """Fingerprints of model and data, and the sizes of the adapter; a checkpoint fits only runs with equal ones."""

    model: str = attrs.field(validator=text)
    """Fingerprint of the frozen weights."""
    data: str = attrs.field(validator=text)
    """Fingerprint of the latents."""
    rank: int = attrs.field(validator=whole(at_least=1))
    """Rank of the LoRA."""
    camera_hidden: int = attrs.field(validator=whole(at_least=1))
    """Hidden channels of the camera encoder."""


_OPTIONS = {
    "model": "model.base",
    "data": "data.path",
    "rank": "model.rank",
    "camera_hidden": "model.camera_hidden",
}
"""Options by field of `InputFingerprints`."""


def _numbers(*names: str) -> Validator:
    """Return an attrs validator of objects of integers with these keys."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        table = of_texts(value, attribute.name)
        if set(table) != set(names):
            raise ValueError(f"{attribute.name} must have the entries {', '.join(names)}, not {shown(list(table))}")
        for number in table.values():
            whole()(instance, attribute, number)

    return check


@attrs.frozen(kw_only=True)
class TrainState:
    """State of a run, except its tensors."""

    steps: int = attrs.field(validator=whole(at_least=1))
    """Number of completed steps."""
    origin: InputFingerprints
    sampler: Mapping[str, int] = attrs.field(validator=_numbers("length", "seed", "seen"))
    """State of the sampler; see `EpochSampler.state_dict`."""
    batches: Mapping[str, int] = attrs.field(validator=_numbers("batch_size", "accumulate", "processes"))
    """Batch sizes and number of processes; with other numbers, the noise of the samples differs."""
    files: Mapping[str, str] = attrs.field(factory=dict)
    """Hashes of the tensor files, by name; empty in earlier versions."""


@attrs.frozen(kw_only=True)
class TrainCheckpoint:
    """A saved checkpoint."""

    folder: Path
    state: TrainState

    @property
    def adapter(self) -> Path:
        """File of the adapter."""
        return self.folder / ADAPTER


def save_checkpoint(root: Path, optimizer: Optimizer, state: TrainState, *, keep: int) -> None:
    """Write a checkpoint atomically, and remove the oldest beyond `keep`.

    Raises:
        OutputFailed: the checkpoint cannot be written, or the disk is full; earlier ones are kept.
    """
    folder = root / _folder_name(state.steps)
    root.mkdir(parents=True, exist_ok=True)
    remove_stale_temp(root)
    with atomic_write(folder) as temporary:
        temporary.mkdir()
        _write(temporary / ADAPTER, adapter_tensors(optimizer.means))
        _write(temporary / _VALUES, optimizer.masters)
        _write(temporary / _MOMENTS, _moments(optimizer))
        files = {path.name: file_hash(path) for path in sorted(temporary.iterdir())}
        tree = {"format": FORMAT, **attrs.asdict(attrs.evolve(state, files=files))}
        (temporary / _STATE).write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
    for old in _folders(root)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def latest_checkpoint(root: Path, *, origin: InputFingerprints) -> TrainCheckpoint | None:
    """Return the last checkpoint of a folder, or None.

    Args:
        root: the folder of checkpoints.
        origin: inputs of the run that resumes.

    Raises:
        InvalidInput: the checkpoint is damaged, has another format, or belongs to other inputs.
    """
    folders = _folders(root)
    if not folders:
        return None
    state = _read_state(folders[-1])
    other = [option for name, option in _OPTIONS.items() if getattr(state.origin, name) != getattr(origin, name)]
    if other:
        raise InvalidInput(
            f"{folders[-1]} was trained with another {' and '.join(other)}; use the same, or another --output-dir "
            "for a new run"
        )
    return TrainCheckpoint(folder=folders[-1], state=state)


def load_checkpoint(checkpoint: TrainCheckpoint, optimizer: Optimizer) -> None:
    """Restore an optimizer and its model from a checkpoint, in place.

    Raises:
        InvalidInput: a file is damaged, or its tensors do not match.
    """
    for name, recorded in checkpoint.state.files.items():
        _compare_hash(checkpoint.folder / name, recorded)
    wanted = {name: tuple(value.shape) for name, value in optimizer.masters.items()}
    moments = {f"{kind}.{name}": shape for name, shape in wanted.items() for kind in _MOMENT_NAMES}
    means = {reference_name(name): shape for name, shape in wanted.items()}
    values = _read(checkpoint.folder / _VALUES, wanted)
    _restore(
        optimizer,
        values=values,
        means=_read(checkpoint.adapter, means),
        moments=_read(checkpoint.folder / _MOMENTS, moments),
        steps=checkpoint.state.steps,
    )


def publish_adapter(checkpoint: TrainCheckpoint, folder: Path) -> Path:
    """Copy the adapter of a checkpoint into a folder; return the copy.

    Raises:
        OutputFailed: the file cannot be written, or the disk is full.
    """
    path = folder / ADAPTER
    with atomic_write(path) as temporary:
        shutil.copyfile(checkpoint.adapter, temporary)
    return path


def _folders(root: Path) -> list[Path]:
    """Return the folders of checkpoints, oldest first.

    Raises:
        InvalidInput: `root` cannot be read.
    """
    if not os.path.lexists(root):
        return []
    check_folder(root, "folder of checkpoints")
    with reading(root, "folder of checkpoints"):
        steps = {path: int(match[1]) for path in root.iterdir() if (match := _NAME.fullmatch(path.name))}
    return sorted(steps, key=steps.__getitem__)


def _restore(
    optimizer: Optimizer,
    *,
    values: Mapping[str, Tensor],
    means: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
    steps: int,
) -> None:
    for name, master in optimizer.masters.items():
        master.copy_(values[name])
        optimizer.means[name].copy_(means[reference_name(name)])
        optimizer.adamw.state[master] = {
            "step": torch.tensor(float(steps), device=master.device if master.is_cuda else None),
            **{kind: moments[f"{kind}.{name}"].to(master.device) for kind in _MOMENT_NAMES},
        }
    optimizer.steps = steps
    optimizer.load(optimizer.masters)


def _moments(optimizer: Optimizer) -> dict[str, Tensor]:
    return {
        f"{kind}.{name}": optimizer.adamw.state[master][kind]
        for name, master in optimizer.masters.items()
        for kind in _MOMENT_NAMES
    }


def _read_state(folder: Path) -> TrainState:
    path = folder / _STATE
    if not os.path.lexists(path):
        raise DamagedRunFile(f"{folder} is damaged (it has no {_STATE}); {_REMEDY}")
    with damage(folder, _REMEDY):
        tree = read_object(path, "state of a checkpoint")
        if (found := tree.pop("format")) != FORMAT:
            raise InvalidInput(
                f"{folder} has format {shown(found)}, but this version reads {FORMAT}; start a new run with another "
                "--output-dir"
            )
        state = made(TrainState, {**tree, "origin": made(InputFingerprints, tree["origin"], "origin")}, "the state")
        if folder.name != _folder_name(state.steps):
            raise ValueError(f"its state is of step {state.steps}")
        if not {_VALUES, _MOMENTS, ADAPTER} >= set(of_texts(state.files, "files")):
            raise ValueError(f"files has an unknown entry in {shown(list(state.files))}")
        return state


def _folder_name(steps: int) -> str:
    return f"step-{steps:08}"


def _compare_hash(path: Path, recorded: str) -> None:
    check_file(path, "file of a checkpoint")
    with reading(path, "file of a checkpoint"):
        found = file_hash(path)
    if found != recorded:
        raise DamagedRunFile(f"{path} is damaged (its checksum differs); {_REMEDY}")


def _read(path: Path, wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    check_file(path, "file of a checkpoint")
    with open_tensors(path) as file:
        check_state_dict(path, found=file.shapes, expected=wanted)
        return {name: file.read(name) for name in wanted}


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    # Through bytes, since the writer of the library does not raise OSError on a full disk.
    path.write_bytes(save({name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}))
