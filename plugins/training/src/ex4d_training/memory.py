"""What to say when a GPU is too small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from ex4d_core.errors import Ex4dError


class OutOfMemory(Ex4dError, MemoryError):
    """The GPU has too little memory for what was asked."""


@contextmanager
def saying_what_to_change(what: str, *, ways: Sequence[str]) -> Iterator[None]:
    """Turn running out of the GPU's memory into an error that names what needs less.

    Args:
        what: was being done.
        ways: to need less that are not taken yet, the best first.

    Raises:
        OutOfMemory: the GPU's memory did not suffice.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        free, whole = (size / 2**30 for size in torch.cuda.mem_get_info())
        held = torch.cuda.max_memory_allocated() / 2**30
        todo = "; or ".join(ways) if ways else "a GPU with more memory"
        raise OutOfMemory(
            f"{torch.cuda.get_device_name()} ran out of memory in {what}: {held:.1f} GiB were in use here at most, "
            f"{free:.1f} of its {whole:.1f} GiB are free now. It takes {todo}"
        ) from error
