"""Tensors from files to where they are used, without a second copy of all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

WORKERS = 8
"""Threads that read files: one is bound by copying pages, long before a disk's cache or a GPU's bus is."""

PIECE = 1 << 26
"""Bytes of page-locked memory for each of them."""


class Mover:
    """Moves tensors to a device, several at a time where that pays, in pieces through page-locked memory.

    Use it as a context; its threads and memory go with the block.
    """

    def __init__(self, device: torch.device, *, workers: int = WORKERS, piece: int = PIECE) -> None:
        self._device, self._piece = device, piece
        self._workers = 1 if device.type == "cpu" else workers
        self._own = threading.local()

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(max_workers=self._workers)
        if self._device.type == "cuda":
            # Memory that work still under way gives back could otherwise be written to by these threads' streams.
            torch.cuda.synchronize(self._device)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def map(self, move: Callable[[T], Tensor], things: Iterable[T]) -> Iterator[Tensor]:
        """Yield what a function gives for each of several things, in their order."""
        return map(move, things) if self._workers == 1 else self._pool.map(move, things)

    def move(self, tensor: Tensor, *, dtype: torch.dtype) -> Tensor:
        """Return a tensor of main memory on the device, in another precision."""
        if self._device.type != "cuda":
            return tensor.to(device=self._device, dtype=dtype)
        return self._through_locked_memory(tensor.contiguous(), dtype)

    def _through_locked_memory(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        moved = torch.empty(tensor.shape, dtype=dtype, device=self._device)
        stream, locked, arrived = self._buffers()
        count = self._piece // tensor.element_size()
        from_file, on_device = tensor.view(-1), moved.view(-1)
        # Chunks are turned to the precision on the device: it is faster there, and no more bytes travel.
        locked, arrived = locked.view(tensor.dtype), arrived.view(tensor.dtype)
        with torch.cuda.stream(stream):
            for start in range(0, from_file.numel(), count):
                part = from_file[start : start + count]
                locked[: len(part)].copy_(part)
                arrived[: len(part)].copy_(locked[: len(part)], non_blocking=True)
                on_device[start : start + count].copy_(arrived[: len(part)])
                stream.synchronize()
        return moved

    def _buffers(self) -> tuple[Any, Tensor, Tensor]:
        """Return this thread's stream, and its memory on either side."""
        if not hasattr(self._own, "buffers"):
            self._own.buffers = (
                torch.cuda.Stream(self._device),  # type: ignore[no-untyped-call]
                torch.empty(self._piece, dtype=torch.uint8, pin_memory=True),
                torch.empty(self._piece, dtype=torch.uint8, device=self._device),
            )
        buffers: tuple[Any, Tensor, Tensor] = self._own.buffers
        return buffers
