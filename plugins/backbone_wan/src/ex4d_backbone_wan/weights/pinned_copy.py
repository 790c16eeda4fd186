"""Copy tensors from files to a device through pinned memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

WORKERS = 8
"""Threads that read files; each is limited by copying pages, not by the disk cache or the bus."""

PIECE = 1 << 26
"""Bytes of pinned memory per thread, and as many on the device."""


class Mover:
    """Moves tensors to a device; to a GPU in several threads, in pieces through pinned memory.

    Use it as a context manager, which frees its threads and memory.
    """

    def __init__(self, device: torch.device, *, workers: int = WORKERS, piece: int = PIECE) -> None:
        self._device, self._piece = device, piece
        self._workers = 1 if device.type == "cpu" else workers
        self._own = threading.local()

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(max_workers=self._workers)
        if self._device.type == "cuda":
            # Memory freed by queued work must not be overwritten by the streams of these threads.
            torch.cuda.synchronize(self._device)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def map(self, move: Callable[[T], Tensor], things: Iterable[T]) -> Iterator[Tensor]:
        """Apply a function to each item, in order."""
        return map(move, things) if self._workers == 1 else self._pool.map(move, things)

    def move(self, tensor: Tensor, *, dtype: torch.dtype) -> Tensor:
        """Copy a tensor from main memory to the device and convert its dtype."""
        if self._device.type != "cuda":
            return tensor.to(device=self._device, dtype=dtype)
        moved = torch.empty(tensor.shape, dtype=dtype, device=self._device)
        stream, locked, arrived = self._buffers()
        with torch.cuda.stream(stream):
            copy_in_pieces(tensor, moved, locked=locked, arrived=arrived, wait=stream.synchronize)
        return moved

    def move_back(self, tensor: Tensor) -> Tensor:
        """Copy a tensor from the device to main memory, pinned if the device is a GPU."""
        home = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=self._device.type == "cuda")
        return home.copy_(tensor)

    def _buffers(self) -> tuple[Any, Tensor, Tensor]:
        """Return the stream, the pinned memory and the device memory of this thread."""
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
    """Copy a tensor into another of the same shape, piece by piece.

    The dtype is converted on the device, which is faster and transfers no more bytes than the file has.

    Args:
        source: in main memory.
        target: contiguous, on the device.
        locked: pinned bytes in main memory, for a piece.
        arrived: as many bytes on the device.
        wait: waits for the device, before both buffers are reused.
    """
    given, wanted = source.contiguous().view(-1), target.view(-1)
    locked, arrived = locked.view(source.dtype), arrived.view(source.dtype)
    for start in range(0, given.numel(), locked.numel()):
        piece = given[start : start + locked.numel()]
        locked[: len(piece)].copy_(piece)
        arrived[: len(piece)].copy_(locked[: len(piece)], non_blocking=True)
        wanted[start : start + len(piece)].copy_(arrived[: len(piece)])
        wait()
