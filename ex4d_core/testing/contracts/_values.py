"""Tensors of nested values: iteration, copies, comparison, and their memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import attrs
import torch
from torch import Tensor

from ex4d_core.testing.filming import filmed
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import Intrinsics, Scene


def tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in attrs values, mappings and sequences, each with its path."""
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
    """Return a copy of a value and its tensors."""
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
    """Return a description of the first difference, or ''; NaN is equal to NaN."""
    left, right = dict(tensors(one)), dict(tensors(other))
    if left.keys() != right.keys():
        return f"one has {', '.join(left)} and the other {', '.join(right)}"
    for name, tensor in left.items():
        if tensor.shape != right[name].shape:
            return f"{name} is {list(tensor.shape)} in one and {list(right[name].shape)} in the other"
        if not torch.allclose(tensor.double(), right[name].double(), rtol=0, atol=0, equal_nan=True):
            return f"{name} differs by up to {(tensor.double() - right[name].double()).abs().max():g}"
    return ""


@contextmanager
def only_new_tensors() -> Iterator[Callable[[], int]]:
    """Yield a function that returns the number of bytes in tensors created in the block."""

    def new_bytes() -> int:
        gc.collect()
        found = [value for value in gc.get_objects() if issubclass(type(value), Tensor)]
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in found}
        return sum(storages.values())

    gc.collect()
    gc.freeze()  # the collector then ignores existing objects, which makes it fast
    try:
        yield new_bytes
    finally:
        gc.unfreeze()


@cache
def _room(num_frames: int, width: int, height: int) -> Scene:
    return room_scene().clip(num_frames=num_frames, width=width, height=height)


def room(num_frames: int, *, width: int = 64, height: int = 48) -> Scene:
    """Return a new clip of the furnished room with exact depth."""
    scene: Scene = copy_of(_room(num_frames, width, height))
    return scene


@cache
def _filmed_room() -> Scene:
    lens = Intrinsics.from_fov(64, width=64, height=48)
    return room_scene().clip(cameras=filmed("walk", num_frames=4, intrinsics=lens))


def filmed_room() -> Scene:
    """Return a new clip of the furnished room by a camera that walks into it, with exact depth, lens and poses."""
    scene: Scene = copy_of(_filmed_room())
    return scene
