"""Read tensors by name from GGUF files, dequantized by diffusers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ex4d_backbone_wan.weights.stored import StoredWeight
from ex4d_backbone_wan.weights.tensor_files import TensorFile
from ex4d_core.errors import InvalidInput, PluginFailed
from ex4d_core.hub.untrusted_weights import loading
from ex4d_core.reading import check_file

_ORIGINAL_SHAPE = "comfy.gguf.orig_shape."
"""Prefix of the entries that state the shapes of tensors with more than 4 axes."""


@contextmanager
def open_gguf(path: Path) -> Iterator[TensorFile]:
    """Open a file within a `with` block.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is damaged, or uses a kind of quantization that diffusers does not read.
        PluginFailed: the package gguf is not installed.
    """
    check_file(path, "GGUF file")
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise PluginFailed(
            f"{path} requires the package gguf, which is not installed; type: pip install gguf"
        ) from error
    with loading(path, "GGUF file"):
        reader = gguf.GGUFReader(path)
        tensors = {str(tensor.name): tensor for tensor in reader.tensors}
        shapes = {name: _shape(reader, tensor) for name, tensor in tensors.items()}

    def stored(name: str) -> StoredWeight | None:
        with loading(path, "GGUF file"):
            return _stored(tensors[name], path)

    def read(name: str) -> Tensor:
        found = stored(name)
        with loading(path, "GGUF file"):
            whole = torch.from_numpy(tensors[name].data.copy()) if found is None else found.expanded(torch.float32)
            return whole.reshape(shapes[name])

    yield TensorFile(shapes=shapes, read=read, stored=stored)


def _shape(reader: Any, tensor: Any) -> tuple[int, ...]:
    field = reader.get_field(f"{_ORIGINAL_SHAPE}{tensor.name}")
    if field is not None:
        return tuple(int(field.parts[index][0]) for index in field.data)
    return tuple(int(side) for side in reversed(tensor.shape))


def _stored(tensor: Any, path: Path) -> StoredWeight | None:
    """Return a quantized tensor; None for a plain one."""
    from diffusers.quantizers.gguf import utils
    from gguf import GGMLQuantizationType

    kind = tensor.tensor_type
    if kind in (GGMLQuantizationType.F32, GGMLQuantizationType.F16):
        return None
    if kind not in utils.SUPPORTED_GGUF_QUANT_TYPES:
        raise InvalidInput(f"{path} has {tensor.name} in {kind.name}, which diffusers does not read; use Q4 to Q8")
    return StoredWeight(data=torch.from_numpy(tensor.data.copy()), kind=kind)
