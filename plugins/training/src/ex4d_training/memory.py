"""Errors for GPUs with too little memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from ex4d_core.errors import Ex4dError


class OutOfMemory(Ex4dError, MemoryError):
    """The GPU has too little memory."""


@contextmanager
def explaining_memory(what: str, *, ways: Sequence[str]) -> Iterator[None]:
    """Turn a CUDA out-of-memory error into one that lists options that need less.

    Args:
        what: the work of the block.
        ways: options that reduce memory, best first.

    Raises:
        OutOfMemory: the GPU is out of memory.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        free, whole = (size / 2**30 for size in torch.cuda.mem_get_info())
        held = torch.cuda.max_memory_allocated() / 2**30
        todo = "; or ".join(ways) if ways else "a GPU with more memory"
        raise OutOfMemory(
            f"{torch.cuda.get_device_name()} ran out of memory in {what}: this process used up to {held:.1f} GiB, "
            f"{free:.1f} of {whole:.1f} GiB are free now; use {todo}"
        ) from error
