"""Files of named tensors, .safetensors and .pth alike: opened one at a time, read tensor by tensor."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import attrs
import torch
from safetensors import safe_open
from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_file, reading

PICKLED = (".pth", ".pt", ".ckpt", ".bin")
"""Suffixes of what torch writes; read with nothing but tensors allowed in it."""

SUFFIXES = (".safetensors", *PICKLED)

_SAFETENSORS = "safetensors file"


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
    check_file(path, "file of tensors")
    if path.suffix in PICKLED:
        tensors = _unpickled(path)
        yield TensorFile(
            shapes={name: tuple(tensor.shape) for name, tensor in tensors.items()}, read=tensors.__getitem__
        )
        return
    with ExitStack() as stack:
        with reading(path, _SAFETENSORS):
            opened = stack.enter_context(safe_open(path, framework="pt"))
            shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
            metadata = opened.metadata() or {}

        def read(name: str) -> Tensor:
            with reading(path, _SAFETENSORS):
                tensor: Tensor = opened.get_tensor(name)
            return tensor

        yield TensorFile(shapes=shapes, read=read, metadata=metadata)


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
        content = _loaded(path)
    except UnpicklingError as error:
        raise InvalidInput(
            f"{path} holds more than tensors, or is damaged, and is not loaded, since it could run code; "
            "get it as .safetensors, or download it again"
        ) from error
    except Exception as error:  # garbage raises whatever its first bytes happen to mean
        raise InvalidInput(f"{path} cannot be read: {' '.join(str(error).split())}; download it again") from error
    tensors = {name: value for name, value in _named(content) if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise InvalidInput(f"{path} holds no tensors by name; check which file it is")
    size = path.stat().st_size
    # A tensor of one number may be said to have billions of rows, and takes their room where it is used.
    if odd := [name for name, tensor in tensors.items() if not _is_plain(tensor) or tensor.nbytes > size]:
        raise InvalidInput(f"{path} has {odd[0]}, which is not a plain tensor; get it as .safetensors")
    return tensors


def _loaded(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of odd pickles, which are refused where they matter
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # of a torch before 1.6, whose files cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True)


def _named(content: Any) -> Iterator[tuple[Any, Any]]:
    # Trainers put the weights beside their own state.
    inner = content.get("state_dict", content) if isinstance(content, dict) else {}
    yield from inner.items() if isinstance(inner, dict) else ()


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized
