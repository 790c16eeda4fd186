"""Report the progress of long work."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

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


class Reporter(Protocol):
    """Where a run tells a person, or a log, what it does."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Open a stage and give the callback for its progress."""
        ...

    def note(self, text: str) -> None:
        """Say something in passing, such as a choice that was made."""
        ...

    def warn(self, text: str) -> None:
        """Say something that should not be missed, such as an artifact that is made again."""
        ...


class SilentReporter:
    """Tells nobody."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Open a stage."""
        return nullcontext(silent)

    def note(self, text: str) -> None:
        """Drop the text."""

    def warn(self, text: str) -> None:
        """Hand the text to Python's warnings."""
        warnings.warn(text, stacklevel=2)
