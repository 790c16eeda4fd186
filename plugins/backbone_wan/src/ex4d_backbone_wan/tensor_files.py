"""Files of named tensors, .safetensors and .pth alike: opened one at a time, read tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import attrs
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ex4d_core.errors import InputNotFound, InvalidInput

PICKLED = (".pth", ".pt", ".ckpt", ".bin")
"""Suffixes of what torch writes; read with nothing but tensors allowed in it."""

SUFFIXES = (".safetensors", *PICKLED)


@attrs.frozen(eq=False, kw_only=True)
class TensorFile:
    """An open file."""

    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], Tensor]
    """Gives one tensor in main memory, by its name; its bytes are read from the disk when they are used."""
    metadata: Mapping[str, str] = attrs.Factory(dict)
    """What else its head says."""


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a file for the length of a block.

    Raises:
        InputNotFound: there is no such file.
        InvalidInput: it is damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise InputNotFound(f"there is no file {path}; check the path")
    if path.suffix in PICKLED:
        tensors = _unpickled(path)
        yield TensorFile(
            shapes={name: tuple(tensor.shape) for name, tensor in tensors.items()}, read=tensors.__getitem__
        )
        return
    try:
        file = safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise InvalidInput(f"{path} cannot be read as safetensors: {error}; download it again") from error
    with file as opened:
        names = list(opened.keys())
        shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in names}
        yield TensorFile(shapes=shapes, read=opened.get_tensor, metadata=opened.metadata() or {})


def read_all(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a file.

    Raises:
        InputNotFound: there is no such file.
        InvalidInput: it is damaged, or holds more than tensors.
    """
    with open_tensors(path) as file:
        return {name: file.read(name) for name in file.shapes}


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors of a file.

    Raises:
        InputNotFound: there is no such file.
        InvalidInput: it is damaged, or holds more than tensors.
    """
    with open_tensors(path) as file:
        return dict(file.shapes)


def _unpickled(path: Path) -> dict[str, Tensor]:
    try:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # of a torch before 1.6, whose files cannot be mapped
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise InvalidInput(
            f"{path} holds more than tensors, or is damaged, and is not loaded, since it could run code; "
            "get it as .safetensors, or download it again"
        ) from error
    except Exception as error:  # garbage raises whatever its first bytes happen to mean
        raise InvalidInput(f"{path} cannot be read: {' '.join(str(error).split())}; download it again") from error
    # Trainers put the weights beside their own state.
    inner = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {name: value for name, value in inner.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InvalidInput(f"{path} holds no tensors by name; check which file it is")
    return tensors
