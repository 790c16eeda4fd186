"""Run functions of many small operations as one CUDA graph."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MOST_GRAPHS = 4
"""Graphs of a function that are kept, one for each combination of shapes."""


class Graphed:
    """A function of tensors that is launched at once on CUDA, and called on other devices.

    Images of video size keep a GPU busy for a few microseconds for each operation, and launching one takes longer. The
    function must return new tensors, and use neither values of tensors nor other tensors that change.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]]) -> None:
        self._function = function
        self._graphs: OrderedDict[object, _Graph] = OrderedDict()
        self._lock = Lock()

    def __call__(self, *arguments: Tensor | None) -> tuple[Tensor, ...]:
        """Return the results for arguments of one device."""
        device = next(each.device for each in arguments if each is not None)
        if device.type != "cuda":
            return self._function(*arguments)
        import torch

        shapes = tuple(None if each is None else (each.shape, each.dtype) for each in arguments)
        with self._lock, torch.cuda.device(device):
            key = device, torch.cuda.current_stream().cuda_stream, shapes
            if key not in self._graphs:
                self._graphs[key] = _Graph(self._function, arguments)
            self._graphs.move_to_end(key)
            if len(self._graphs) > MOST_GRAPHS:
                self._graphs.popitem(last=False)
            return self._graphs[key].run(arguments)


class _Graph:
    """One recorded call."""

    def __init__(self, function: Callable[..., tuple[Tensor, ...]], arguments: tuple[Tensor | None, ...]) -> None:
        import torch

        self._inputs = tuple(None if each is None else each.clone() for each in arguments)
        # The first call fills caches, on another stream, as the recording requires.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # of torch
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            function(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = function(*self._inputs)

    def run(self, arguments: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        for place, value in zip(self._inputs, arguments, strict=True):
            if place is not None and value is not None:
                place.copy_(value)
        self._graph.replay()
        return tuple(each.clone() for each in self._outputs)
