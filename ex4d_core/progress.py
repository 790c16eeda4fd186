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
    """Yield `items`, and report progress before the first and after each."""
    if total is None:
        assert isinstance(items, Sized), "pass total for an iterable without a length"
        total = len(items)
    progress(0, total)
    for done, item in enumerate(items, start=1):
        yield item
        progress(done, total)


class Reporter(Protocol):
    """Receives the progress and the messages of a run."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Open a stage and return a context manager that yields its progress callback."""
        ...

    def transfer(self, name: str) -> AbstractContextManager[Progress]:
        """Open a transfer, whose progress is in bytes."""
        ...

    def note(self, text: str) -> None:
        """Report information, such as an automatic selection."""
        ...

    def warn(self, text: str) -> None:
        """Report a warning, such as a damaged artifact."""
        ...


class SilentReporter:
    """Ignores progress and messages; warnings become Python warnings."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Open a stage."""
        return nullcontext(silent)

    def transfer(self, name: str) -> AbstractContextManager[Progress]:
        """Open a transfer."""
        return nullcontext(silent)

    def note(self, text: str) -> None:
        """Drop the text."""

    def warn(self, text: str) -> None:
        """Issue a Python warning."""
        warnings.warn(text, stacklevel=2)
