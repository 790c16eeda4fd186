"""How long work reports what it has done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")

Progress = Callable[[int, int], None]
"""Called as `progress(done, total)`, first with done = 0; it may raise `Cancelled` to stop the work."""


def silent(done: int, total: int) -> None:
    """Ignore progress."""


def track(items: Iterable[Item], progress: Progress, total: int | None = None) -> Iterator[Item]:
    """Yield `items`, telling `progress` before the first and after each."""
    if total is None:
        assert isinstance(items, Sized), "give total for an iterable without a length"
        total = len(items)
    progress(0, total)
    for done, item in enumerate(items, start=1):
        yield item
        progress(done, total)
