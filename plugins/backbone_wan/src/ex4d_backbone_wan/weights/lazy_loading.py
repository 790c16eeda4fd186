"""Load networks without allocating memory twice: create them on the meta device, then assign tensors one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from typing import Any
from unittest import mock

import attrs
import torch
from torch import Tensor, nn

from ex4d_backbone_wan.weights.checkpoint import Part, WanCheckpoint
from ex4d_backbone_wan.weights.layouts import TensorSource, TensorSources, original_config, tensor_sources
from ex4d_backbone_wan.weights.pinned_copy import Mover
from ex4d_backbone_wan.weights.single_file import check_kind, check_single_file, open_network
from ex4d_backbone_wan.weights.stored import StoredLinear, StoredWeight
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.hub.state_dict_check import check_state_dict
from ex4d_core.hub.untrusted_weights import loading, one_at_a_time

Shape = tuple[int, ...]

_NOTHING = torch.empty(0)


def load_network(
    checkpoint: WanCheckpoint,
    part: Part,
    make: Callable[[Mapping[str, Any]], Any],
    *,
    device: torch.device,
    dtype: torch.dtype,
    kept: Iterable[str] = (),
    store: bool = False,
) -> Any:
    """Load one network of a checkpoint, one file at a time, with each tensor in memory once.

    Args:
        checkpoint: where the files are.
        part: which network.
        make: creates the network from a configuration.
        device: of the network.
        dtype: of its tensors.
        kept: tensors with one of these parts in their name stay float32.
        store: whether linear layers of blocks whose weights are in 8 bits or GGUF become `StoredLinear`.

    Raises:
        InvalidInput: a file is damaged, or its tensors do not match the network; they are listed.
        InputNotFound: a file does not exist.
    """
    files = checkpoint.files.get(part, ())
    if not files:
        raise InputNotFound(f"{checkpoint.folder} has no files of the {part}; check which model it contains")
    where = str(files[0] if len(files) == 1 else files[0].parent)
    homes = _homes(files)
    shapes = {key: shape for found in homes.values() for key, shape in found.items()}
    config = checkpoint.config(part)
    with loading(Path(where), f"{part} of Wan"):
        layout = checkpoint.layout_of(part)
        if part == "transformer":
            check_kind(where, shapes, checkpoint.kind)
            if checkpoint.is_single:
                check_single_file(where, shapes)
        config = original_config(part, shapes, config) if layout == "original" else config
        places = _places(make, config)
        wanted = tensor_sources(layout, part, shapes)
        given = {name: _shape(source, shapes[source.key], places.get(name)) for name, source in wanted.items()}
        check_state_dict(where, found=given, expected={name: tuple(tensor.shape) for name, tensor in places.items()})
        network = _made(make, config)

    def dtype_of(name: str) -> torch.dtype:
        return torch.float32 if set(kept) & set(name.split(".")) else dtype

    tensors: dict[str, Tensor] = {}
    with Mover(device) as mover:
        for file, own in homes.items():
            here = {name: source for name, source in wanted.items() if source.key in own}
            held = _store(network, file, here, mover, dtype) if store else set()
            tensors |= _read(file, {name: here[name] for name in here if name not in held}, mover, dtype_of)
    state = {name: tensor.reshape(places[name].shape) for name, tensor in tensors.items()}
    with one_at_a_time():  # a library that creates another network would replace assigned tensors
        network.load_state_dict(state, assign=True)
    network.to(device)  # buffers that are not in the files
    return network.eval().requires_grad_(False)


def _homes(files: Iterable[Path]) -> dict[Path, dict[str, Shape]]:
    """Return the tensors of each file."""
    homes: dict[Path, dict[str, Shape]] = {}
    for file in files:
        with open_network(file) as opened:
            found = dict(opened.shapes)
        for other, known in homes.items():
            if twice := sorted(set(known) & set(found)):
                raise InvalidInput(f"{file} and {other.name} beside it both have {twice[0]}; keep one set of files")
        homes[file] = found
    return homes


def _places(make: Callable[[Mapping[str, Any]], Any], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a network on the meta device, since sizes of a configuration may be wrong."""
    from diffusers.models.modeling_utils import no_init_weights

    with torch.device("meta"), no_init_weights(), torch.random.fork_rng(devices=[]):
        places: dict[str, Tensor] = make(config).state_dict()
    return places


def _made(make: Callable[[Mapping[str, Any]], Any], config: Mapping[str, Any]) -> Any:
    with _without_memory():
        return make(config)


@contextmanager
def _without_memory() -> Iterator[None]:
    """Create networks in this block without memory for weights and without initializing them.

    Other threads may create networks meanwhile. The global state of random numbers does not change.
    """
    from diffusers.models.modeling_utils import no_init_weights

    register, thread = nn.Module.register_parameter, get_ident()

    def register_empty(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        register(module, name, parameter)
        if parameter is not None and get_ident() == thread:
            module._parameters[name] = nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    with (
        no_init_weights(),
        torch.random.fork_rng(devices=[]),
        mock.patch.object(nn.Module, "register_parameter", register_empty),
    ):
        yield


def _shape(source: TensorSource, shape: Shape, place: Tensor | None) -> Shape:
    """Return the shape of a tensor in the network, without leading axes of size 1."""
    if source.parts > 1:
        shape = (shape[0] // source.parts, *shape[1:])
    while place is not None and len(shape) > place.ndim and shape[0] == 1:
        shape = shape[1:]
    return shape


def _store(network: Any, file: Path, wanted: TensorSources, mover: Mover, dtype: torch.dtype) -> set[str]:
    """Replace linear layers by stored ones, and return the names of their weights."""
    inside = [name for name in wanted if name.startswith(("blocks.", "vace_blocks."))]
    layers = {name: network.get_submodule(name.rpartition(".")[0]) for name in inside}
    linear = [name for name, layer in layers.items() if name.endswith(".weight") and isinstance(layer, nn.Linear)]
    held: dict[str, StoredWeight] = {}
    with open_network(file) as opened:

        def move(name: str) -> Tensor:
            stored = opened.stored(wanted[name].key)
            if stored is None:
                return _NOTHING
            data = mover.move(stored.data, dtype=stored.data.dtype)
            scale = None if stored.scale is None else mover.move(stored.scale, dtype=torch.float32)
            held[name] = attrs.evolve(stored, data=data, scale=scale)
            return data

        for _ in mover.map(move, linear):
            pass
    with one_at_a_time():
        for name, stored in held.items():
            network.set_submodule(name.removesuffix(".weight"), StoredLinear(layers[name], stored, dtype=dtype))
    return set(held)


def _read(file: Path, wanted: TensorSources, mover: Mover, dtype_of: Callable[[str], torch.dtype]) -> dict[str, Tensor]:
    # Tied tensors have two names.
    names = {source: name for name, source in wanted.items()}
    with open_network(file) as opened:

        def move(source: TensorSource) -> Tensor:
            tensor = opened.read(source.key)
            if not tensor.is_floating_point():
                raise InvalidInput(f"{file} has {source.key} in {tensor.dtype}; use bf16, fp8 (e4m3) or GGUF")
            part = tensor.chunk(source.parts)[source.part] if source.parts > 1 else tensor
            return mover.move(part, dtype=dtype_of(names[source]))

        moved = dict(zip(names, mover.map(move, names), strict=True))
    return {name: moved[source] for name, source in wanted.items()}
