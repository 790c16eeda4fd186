"""Checkpoints: folders that hold the adapter as others load it, and what training goes on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors.torch import save
from torch import Tensor

from ex4d_backbone_wan.accounts import compare
from ex4d_backbone_wan.tensor_files import read_all
from ex4d_core.errors import InvalidInput
from ex4d_core.files import remove_leftovers, replacing
from ex4d_training.optimiser import Optimiser
from ex4d_training.velocity import adapter_tensors, reference_name

FORMAT = 1
ADAPTER = "adapter.safetensors"
"""The running means under the reference's names: the file for `--set backbone.adapter=`."""
_VALUES, _MOMENTS, _STATE = "values.safetensors", "moments.safetensors", "state.json"
_MOMENT_NAMES = ("exp_avg", "exp_avg_sq")


@attrs.frozen(kw_only=True)
class Facts:
    """What a checkpoint belongs to and where in the data it is."""

    model: str
    """Fingerprint of the frozen weights."""
    data: str
    """Fingerprint of what made the latents."""
    sampler: Mapping[str, int]
    """State of the sampler."""


def save_adapter(path: Path, optimiser: Optimiser) -> None:
    """Write the running means as an adapter that the reference and `backbone_wan` load.

    Raises:
        OutputFailed: the file cannot be written, or the disk is full.
    """
    _write(path, adapter_tensors(optimiser.means))


def save_checkpoint(root: Path, optimiser: Optimiser, facts: Facts, *, keep: int) -> Path:
    """Write a checkpoint, whole or not at all, and remove the oldest beyond `keep`; return its folder.

    Raises:
        OutputFailed: it cannot be written, or the disk is full; those from before stay.
    """
    folder = root / f"step-{optimiser.steps:08}"
    root.mkdir(parents=True, exist_ok=True)
    remove_leftovers(root)
    with replacing(folder) as temporary:
        temporary.mkdir()
        save_adapter(temporary / ADAPTER, optimiser)
        _write(temporary / _VALUES, optimiser.masters)
        _write(temporary / _MOMENTS, _moments(optimiser))
        state = {"format": FORMAT, "steps": optimiser.steps, **attrs.asdict(facts)}
        (temporary / _STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    for old in checkpoints(root)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def checkpoints(root: Path) -> list[Path]:
    """Return the folders of checkpoints, oldest first."""
    return sorted(path for path in root.glob("step-*") if (path / _STATE).is_file())


def load_checkpoint(folder: Path, optimiser: Optimiser, *, model: str, data: str) -> Mapping[str, int]:
    """Have an optimiser go on from a checkpoint; return the sampler's state.

    Args:
        folder: of the checkpoint.
        optimiser: of a model that was just made; changed in place.
        model: fingerprint of the frozen weights that are trained on now.
        data: fingerprint of what made the latents.

    Raises:
        InvalidInput: it is damaged, or of another model, other data or another adapter.
    """
    state = _state(folder)
    if state["model"] != model:
        raise InvalidInput(
            f"{folder} was trained on another model than model.base is now; give the same one, or another --output-dir "
            "to start anew"
        )
    if state["data"] != data:
        raise InvalidInput(
            f"{folder} was trained on latents that other encoders made; give the same data, or another --output-dir "
            "to start anew"
        )
    wanted = {name: tuple(value.shape) for name, value in optimiser.masters.items()}
    values, means = read_all(folder / _VALUES), read_all(folder / ADAPTER)
    compare(str(folder / _VALUES), given=_shapes(values), wanted=wanted)
    means = {name: means[reference_name(name)] for name in wanted}
    _restore(optimiser, values, means, read_all(folder / _MOMENTS), steps=state["steps"])
    sampler: Mapping[str, int] = state["sampler"]
    return sampler


def _restore(
    optimiser: Optimiser, values: Mapping[str, Tensor], means: Mapping[str, Tensor], moments: Any, *, steps: int
) -> None:
    for name, master in optimiser.masters.items():
        master.copy_(values[name])
        optimiser.means[name].copy_(means[name])
        optimiser.adamw.state[master] = {
            "step": torch.tensor(float(steps), device=master.device if master.is_cuda else None),
            **{kind: moments[f"{kind}.{name}"].to(master.device) for kind in _MOMENT_NAMES},
        }
    optimiser.steps = steps
    optimiser.load(optimiser.masters)


def _moments(optimiser: Optimiser) -> dict[str, Tensor]:
    return {
        f"{kind}.{name}": optimiser.adamw.state[master][kind]
        for name, master in optimiser.masters.items()
        for kind in _MOMENT_NAMES
    }


def _state(folder: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        found = state["format"]
        missing = {"steps", "model", "data", "sampler"} - state.keys()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{folder} is damaged ({error}); delete it to go on from the one before") from error
    if found != FORMAT or missing:
        raise InvalidInput(f"{folder} is of format {found} and this version reads {FORMAT}; start anew elsewhere")
    return state


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    data = save({name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()})
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
