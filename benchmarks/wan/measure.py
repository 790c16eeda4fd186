"""Measuring and reporting for the benchmarks of Wan."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.wan.networks import Setting

GIBI = 2**30


@attrs.frozen(kw_only=True)
class Figure:
    """Measurements of one case."""

    case: str
    seconds: tuple[float, ...]
    peak_gib: float
    """Peak of GPU memory in tensors."""


@attrs.define(kw_only=True)
class Bench:
    """Settings and results of all cases."""

    setting: Setting
    runs: int
    steps: int
    budgets: tuple[float, ...]
    gpus: tuple[int, ...]
    step_cache: float
    figures: list[Figure] = attrs.field(factory=list)

    @property
    def on_gpu(self) -> bool:
        return self.setting.device.type == "cuda"

    def measure(self, case: str, work: Callable[[], Any], *, runs: int | None = None) -> Any:
        """Time a function after a warm-up (`runs=0`: time the first call only); print and record the result."""
        seconds = []
        made = None
        wanted = self.runs if runs is None else runs
        for turn in range(1 + wanted):
            made = None
            if turn == min(1, wanted) and self.on_gpu:
                torch.cuda.reset_peak_memory_stats()
            self.wait()
            started = time.perf_counter()
            made = work()
            self.wait()
            seconds.append(time.perf_counter() - started)
        peak = torch.cuda.max_memory_allocated() / GIBI if self.on_gpu else 0.0
        counted = seconds[1:] or seconds
        self.figures.append(Figure(case=case, seconds=tuple(counted), peak_gib=peak))
        text = " ".join(f"{each:.3f}" for each in counted)
        say(case, f"{text} s (first {seconds[0]:.2f}), peak {peak:.1f} GiB")
        return made

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()


def say(case: str, text: str) -> None:
    print(f"{case:40} {text}", flush=True)


def apart(made: Tensor, expected: Tensor) -> str:
    """Return the difference of two results relative to their norm."""
    made, expected = made.float().cpu(), expected.float().cpu()
    return f"{((made - expected).norm() / expected.norm()).item():.2e}"


def free() -> None:
    """Free unused memory."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def limited(gib: float) -> Iterator[None]:
    """Limit the memory of the allocator."""
    free()
    if not torch.cuda.is_available():
        yield
        return
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(gib * GIBI / whole)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def show(figures: list[Figure]) -> None:
    """Print a line for each case."""
    table = Table("case", "seconds", "GPU, GiB")
    for figure in figures:
        table.add_row(figure.case, " ".join(f"{each:.3f}" for each in figure.seconds), f"{figure.peak_gib:.1f}")
    Console().print(table)
