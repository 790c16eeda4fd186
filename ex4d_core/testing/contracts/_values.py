"""Tensors of nested values: iteration, copies, comparison, and their memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from ex4d_core.plugins.registry import Registry
from ex4d_core.testing.filming import filmed
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import CameraPath, Intrinsics, Scene


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


def counter_of_new_tensors() -> Callable[[], int]:
    """Return a function that returns the number of bytes in tensors created since this call."""
    # With the tensors, so that no new one gets the id of an old one.
    existing = {id(tensor): tensor for tensor in _living_tensors()}

    def new_bytes() -> int:
        found = [tensor for tensor in _living_tensors() if id(tensor) not in existing]
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in found}
        return sum(storages.values())

    return new_bytes


def _living_tensors() -> list[Tensor]:
    gc.collect()
    return [value for value in gc.get_objects() if issubclass(type(value), Tensor)]


RATE = Fraction(24000, 1001)
"""Frame rate of all clips: a component that assumes 24, 25 or 30 returns another one."""


@cache
def _room(num_frames: int, width: int, height: int) -> Scene:
    return room_scene().clip(num_frames=num_frames, width=width, height=height, fps=RATE)


def room(num_frames: int, *, width: int = 64, height: int = 48) -> Scene:
    """Return a new clip of the furnished room with exact depth."""
    scene: Scene = copy_of(_room(num_frames, width, height))
    return scene


def filmed_room(cameras: CameraPath) -> Scene:
    """Return a clip of the room that a moving camera films."""
    return room_scene().clip(cameras=cameras, fps=RATE)


@cache
def installed(role: str, name: str) -> Any:
    """Return a component with its default options, on the CPU; skip the test if a requirement of it is missing."""
    registry = Registry()
    offer = registry.find(role, name)
    if missing := offer.missing_requirements():
        pytest.skip(f"{name} requires {' and '.join(missing)}; run: {' && '.join(offer.install_commands())}")
    return registry.make(offer, offer.spec.options(), device=torch.device("cpu"))


@cache
def _walk() -> Scene:
    lens = Intrinsics.from_fov(64, width=64, height=48)
    return room_scene().clip(cameras=filmed("walk", num_frames=4, intrinsics=lens))


def filmed_walk() -> Scene:
    """Return a new clip of the furnished room by a camera that walks into it, with exact depth, lens and poses."""
    scene: Scene = copy_of(_walk())
    return scene
