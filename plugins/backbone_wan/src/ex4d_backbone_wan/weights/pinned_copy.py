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
"""Threads that read files: each is bound by copying pages, long before a disk's cache or a GPU's bus is."""

PIECE = 1 << 26
"""Bytes of page-locked memory for each of them, and as many on the device."""


class Mover:
    """Moves tensors to a device; to a GPU several at a time, in pieces through page-locked memory.

    Use it as a context: its threads and its memory go with the block.
    """

    def __init__(self, device: torch.device, *, workers: int = WORKERS, piece: int = PIECE) -> None:
        self._device, self._piece = device, piece
        self._workers = 1 if device.type == "cpu" else workers
        self._own = threading.local()

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(max_workers=self._workers)
        if self._device.type == "cuda":
            # Memory that work under way has given back must not be written to by these threads' streams before.
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
        moved = torch.empty(tensor.shape, dtype=dtype, device=self._device)
        stream, locked, arrived = self._buffers()
        with torch.cuda.stream(stream):
            copy_in_pieces(tensor, moved, locked=locked, arrived=arrived, wait=stream.synchronize)
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


def copy_in_pieces(
    source: Tensor, target: Tensor, *, locked: Tensor, arrived: Tensor, wait: Callable[[], None]
) -> None:
    """Copy a tensor into another of its shape, piece by piece.

    The precision changes on the target's device, where that is faster, and no wider numbers travel than the file has.

    Args:
        source: in main memory.
        target: contiguous, on the device.
        locked: bytes in main memory that a piece is put into first.
        arrived: as many on the device, that it is put into next.
        wait: returns when what the device was told is done, so that both may be used again.
    """
    given, wanted = source.contiguous().view(-1), target.view(-1)
    locked, arrived = locked.view(source.dtype), arrived.view(source.dtype)
    for start in range(0, given.numel(), locked.numel()):
        piece = given[start : start + locked.numel()]
        locked[: len(piece)].copy_(piece)
        arrived[: len(piece)].copy_(locked[: len(piece)], non_blocking=True)
        wanted[start : start + len(piece)].copy_(arrived[: len(piece)])
        wait()
