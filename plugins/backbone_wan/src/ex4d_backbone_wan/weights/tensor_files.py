"""Read tensors by name from .safetensors and .pth files."""

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

from ex4d_backbone_wan.weights.stored import StoredWeight
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_file, reading

PICKLED = (".pth", ".pt", ".ckpt", ".bin")
"""Suffixes of files of torch, which are loaded with `weights_only`."""

SUFFIXES = (".safetensors", *PICKLED)

_SAFETENSORS = "safetensors file"


@attrs.frozen(eq=False, kw_only=True)
class TensorFile:
    """An open file."""

    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], Tensor]
    """Returns one tensor by name, in main memory; its bytes are read when they are used."""
    metadata: Mapping[str, str] = attrs.Factory(dict)
    """Further entries of its header."""
    stored: Callable[[str], StoredWeight | None] = lambda _: None
    """Returns a tensor by name in its stored format, if it is a weight in 8 bits or GGUF."""


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a file within a `with` block.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is damaged, or contains other objects than tensors.
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
        InputNotFound: the file does not exist.
        InvalidInput: it is damaged, or contains other objects than tensors.
    """
    with open_tensors(path) as file:
        return {name: file.read(name) for name in file.shapes}


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors of a file.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is damaged, or contains other objects than tensors.
    """
    with open_tensors(path) as file:
        return dict(file.shapes)


def _unpickled(path: Path) -> dict[str, Tensor]:
    try:
        content = _loaded(path)
    except UnpicklingError as error:
        raise InvalidInput(
            f"{path} contains other objects than tensors, which could run code, or is damaged; "
            "use a .safetensors file, or download it again"
        ) from error
    except Exception as error:  # garbage raises any kind
        raise InvalidInput(f"{path} cannot be read: {' '.join(str(error).split())}; download it again") from error
    tensors = {name: value for name, value in _named(content) if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise InvalidInput(f"{path} contains no named tensors; check which file it is")
    size = path.stat().st_size
    # A tensor of one number can claim billions of rows, and would need memory for all of them.
    if odd := [name for name, tensor in tensors.items() if not _is_plain(tensor) or tensor.nbytes > size]:
        raise InvalidInput(f"{path} has {odd[0]}, which is not a plain tensor; use a .safetensors file")
    return tensors


def _loaded(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of malformed pickles, which are refused below
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # files of torch before 1.6 cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True)


def _named(content: Any) -> Iterator[tuple[Any, Any]]:
    # Files of trainers also contain their state.
    inner = content.get("state_dict", content) if isinstance(content, dict) else {}
    yield from inner.items() if isinstance(inner, dict) else ()


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized
