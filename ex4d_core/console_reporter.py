"""Progress and messages on the console: bars on a terminal, plain lines in a log or notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import attrs
from rich import filesize
from rich import progress as bars
from rich.console import Console

from ex4d_core.progress import Progress, Reporter, SilentReporter
from ex4d_core.terminal import as_text, make_console, one_message, printable

_LOG_EVERY = 5.0
"""Seconds between two progress lines of a stage in a log."""


def _pace(rate: float) -> str:
    """Return the rate in frames per second, or the seconds per frame."""
    return f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"


class _RateColumn(bars.ProgressColumn):
    """Column of frames per second."""

    def render(self, task: bars.Task) -> str:
        """Return the rate, if it is known."""
        return _pace(task.speed) if task.speed else "-/s"


@attrs.frozen(kw_only=True)
class _Unit:
    """Formatting of amounts and rates."""

    amount: Callable[[int], str]
    rate: Callable[[float], str]
    columns: Callable[[], tuple[bars.ProgressColumn, bars.ProgressColumn]]
    """Creates the columns of amount and rate for one progress bar."""


_FRAMES = _Unit(amount=str, rate=_pace, columns=lambda: (bars.MofNCompleteColumn(), _RateColumn()))
_BYTES = _Unit(
    amount=filesize.decimal,
    rate=lambda rate: f"{filesize.decimal(int(rate))}/s",
    columns=lambda: (bars.DownloadColumn(), bars.TransferSpeedColumn()),
)


class ConsoleReporter:
    """Reports to stderr: a bar for each stage on a terminal, otherwise lines; only warnings if quiet."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._quiet = quiet
        self._console = console or make_console(err=True, soft_wrap=True, highlight=False)

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Show the progress of a stage during the block."""
        return self._show(name, _FRAMES)

    def transfer(self, name: str) -> AbstractContextManager[Progress]:
        """Show a transfer in bytes until the block ends."""
        return self._show(name, _BYTES)

    def note(self, text: str) -> None:
        """Print a line, unless quiet."""
        if not self._quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        """Print a warning, also if quiet."""
        self._print(f"warning: {one_message(text)}")

    def _print(self, text: str) -> None:
        self._console.print(as_text(text))

    @contextmanager
    def _show(self, name: str, unit: _Unit) -> Iterator[Progress]:
        if self._quiet:
            yield lambda done, total: None
        elif self._console.is_terminal:
            with self._bar(name, unit) as progress:
                yield progress
        else:
            with self._log(name, unit) as progress:
                yield progress

    @contextmanager
    def _bar(self, name: str, unit: _Unit) -> Iterator[Progress]:
        columns = (
            bars.TextColumn("{task.description:<9}", markup=False),
            bars.BarColumn(),
            *unit.columns(),
            bars.TimeElapsedColumn(),
            bars.TextColumn("elapsed,"),
            bars.TimeRemainingColumn(),
            bars.TextColumn("left"),
        )
        with bars.Progress(*columns, console=self._console) as display:
            task = display.add_task(printable(name), total=None)
            yield lambda done, total: display.update(task, completed=done, total=total)

    @contextmanager
    def _log(self, name: str, unit: _Unit) -> Iterator[Progress]:
        started = printed = time.monotonic()
        last = (0, 0)
        first: tuple[float, int] | None = None  # excludes loading and resumed progress from the rate

        def progress(done: int, total: int) -> None:
            nonlocal printed, last, first
            last, now = (done, total), time.monotonic()
            if first is None:
                first, printed = (now, done), now
            if now - printed >= _LOG_EVERY and first[1] < done < total:
                printed = now
                rate = (done - first[1]) / (now - first[0])
                amount = f"{unit.amount(done)}/{unit.amount(total)}"
                self._print(f"{name}: {amount}, {unit.rate(rate)}, {(total - done) / rate:.0f} s left")

        yield progress
        amount = f"{unit.amount(last[0])}/{unit.amount(last[1])}"
        self._print(f"{name}: {amount} in {time.monotonic() - started:.1f} s")


def reporter_for(progress: bool | None = None) -> Reporter:
    """Return a reporter for a Python program.

    Args:
        progress: whether to show progress; None: in a notebook and on a terminal.
    """
    in_notebook = "ipykernel" in sys.modules
    if progress is None:
        progress = in_notebook or (sys.stderr is not None and sys.stderr.isatty())
    if not progress:
        return SilentReporter()
    if in_notebook:
        # It shows stderr as an error, and cannot move the cursor as bars do, although it sets FORCE_COLOR.
        lines = make_console(soft_wrap=True, highlight=False, force_jupyter=False, force_terminal=False)
        return ConsoleReporter(console=lines)
    return ConsoleReporter()
