"""Measure the time and peak memory of a block."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import psutil

_LINUX_STATUS = Path("/proc/self/status")
_LINUX_RESET = Path("/proc/self/clear_refs")


@attrs.define(kw_only=True)
class Usage:
    """Time and peak memory of a block; set when the block ends."""

    seconds: float = 0.0
    """Wall-clock time."""
    peak_bytes: int = 0
    """Largest resident memory of the process; outside Linux its memory at the end."""
    peak_gpu_bytes: int = 0
    """Largest memory allocated on the CUDA device, 0 without one."""


_measured: list[Usage] = []
"""Of the blocks that have not ended."""


def count_other_process(usage: Usage) -> None:
    """Add the peak memory of another process, which works for this one, to the blocks that are being measured."""
    for block in _measured:
        block.peak_bytes += usage.peak_bytes
        block.peak_gpu_bytes += usage.peak_gpu_bytes


@contextmanager
def measure() -> Iterator[Usage]:
    """Measure the block."""
    cost = Usage()
    _reset_peak()
    if torch := _torch_on_gpu():
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    _measured.append(cost)
    try:
        yield cost
    finally:
        _measured[:] = [block for block in _measured if block is not cost]
    cost.seconds = time.perf_counter() - started
    cost.peak_bytes += _peak()
    if torch := _torch_on_gpu():
        cost.peak_gpu_bytes += torch.cuda.max_memory_allocated()


def _torch_on_gpu() -> Any:
    """Return torch if it is imported and there is a CUDA device; it takes seconds to import, and may be unused."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_available() else None


def _reset_peak() -> None:
    try:
        _LINUX_RESET.write_text("5")  # proc(5): resets the peak resident set size
    except OSError:
        return


def _peak() -> int:
    try:
        for line in _LINUX_STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return int(psutil.Process().memory_info().rss)
