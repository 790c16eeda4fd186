"""Looking at values whole: their tensors, copies of them, how much of them is in memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import attrs
import torch
from torch import Tensor

from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import Scene


def tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in attrs values, mappings and sequences, each with where it is."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from tensors(part, f"{name}.{key}".lstrip("."))
    elif isinstance(value, tuple | list):
        for index, part in enumerate(value):
            yield from tensors(part, f"{name}[{index}]")
    elif attrs.has(type(value)):
        yield from tensors({field.name: getattr(value, field.name) for field in attrs.fields(type(value))}, name)


def copy_of(value: Any) -> Any:
    """Return a value whose tensors are others with the same numbers."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, Mapping):
        return {key: copy_of(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(copy_of(part) for part in value)
    if attrs.has(type(value)):
        names = [field.name for field in attrs.fields(type(value)) if field.init]
        return attrs.evolve(value, **{name: copy_of(getattr(value, name)) for name in names})
    return value


def difference(one: Any, other: Any) -> str:
    """Return where two values differ, NaN being equal to NaN, or ''."""
    left, right = dict(tensors(one)), dict(tensors(other))
    if left.keys() != right.keys():
        return f"one has {', '.join(left)} and the other {', '.join(right)}"
    for name, tensor in left.items():
        if tensor.shape != right[name].shape:
            return f"{name} is {list(tensor.shape)} once and {list(right[name].shape)} once"
        if not torch.allclose(tensor.double(), right[name].double(), rtol=0, atol=0, equal_nan=True):
            return f"{name} differs by up to {(tensor.double() - right[name].double()).abs().max():g}"
    return ""


@contextmanager
def only_new_tensors() -> Iterator[Callable[[], int]]:
    """Give a function that returns how many bytes there are in tensors made since the block began."""

    def new_bytes() -> int:
        gc.collect()
        found = [thing for thing in gc.get_objects() if issubclass(type(thing), Tensor)]
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in found}
        return sum(storages.values())

    gc.collect()
    gc.freeze()  # the collector then passes over what there is already, which makes it fast
    try:
        yield new_bytes
    finally:
        gc.unfreeze()


@cache
def _room(num_frames: int, width: int, height: int) -> Scene:
    return room_scene().clip(num_frames=num_frames, width=width, height=height)


def room(num_frames: int, *, width: int = 64, height: int = 48) -> Scene:
    """Return a clip of the furnished room with its exact depth, which the caller may spoil."""
    scene: Scene = copy_of(_room(num_frames, width, height))
    return scene
