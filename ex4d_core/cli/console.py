"""Progress and results on the console: bars on a terminal, plain lines in a log, a table at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from rich import filesize
from rich import progress as bars
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ex4d_core.progress import Progress
from ex4d_core.terminal import as_text, make_console, one_message, printable

if TYPE_CHECKING:  # a heavy import, needed by few commands
    from ex4d_core.runs.batch import Outcome

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


def summary(outcomes: Sequence[Outcome]) -> Group:
    """Return a table of stages, seconds and peak memory, followed by failures and output paths."""
    has_paths = any(outcome.cam is not None for outcome in outcomes)
    table = Table("clip", *["cam"] * has_paths, "stage", title="ex4d", title_justify="left")
    table.add_column("seconds", justify="right")
    table.add_column("peak memory", justify="right")
    lines: list[Text] = []
    for outcome in outcomes:
        who = (as_text(outcome.clip.name), as_text(outcome.cam or ""))[: 1 + has_paths]
        if outcome.error is not None:
            table.add_row(*who, Text("failed", style="red"), "", "", end_section=True)
            named = attrs.evolve(outcome, clip=Path(outcome.clip.name))
            lines.append(Text.assemble(("failed", "red"), as_text(f": {named.title}: {one_message(outcome.error)}")))
            continue
        for record in outcome.records:
            seconds = "reused" if record.reused else f"{record.cost.seconds:.1f}"
            peak = "" if record.reused else _memory(record.cost.peak_bytes, record.cost.peak_gpu_bytes)
            table.add_row(*who, record.stage, seconds, peak)
            who = (Text(), Text())[: 1 + has_paths]
        table.add_section()
        lines += [as_text(f"{label:<7} {path}") for label, path in _shown(outcome)]
    for line in lines:
        line.overflow = "ignore"  # wrapped paths cannot be copied
    return Group(table, *lines)


def _shown(outcome: Outcome) -> list[tuple[str, str]]:
    """Return label and path of the files; meshes of many frames are one line."""
    meshes = [path for label, path in outcome.files.items() if label.startswith("mesh ")]
    shown = [(label, str(path)) for label, path in outcome.files.items() if not label.startswith("mesh ")]
    return [*shown, ("meshes", f"{meshes[0]} and {len(meshes) - 1} more")] if meshes else shown


def _memory(peak: int, gpu: int) -> str:
    text = f"{peak / 2**30:.1f} GiB"
    return f"{text}, GPU {gpu / 2**30:.1f} GiB" if gpu else text


def masks_json(outcomes: Sequence[Outcome]) -> str:
    """Return JSON: sheet, mask statistics and error of each clip."""
    return json.dumps(
        [
            {
                "clip": str(outcome.clip),
                "sheet": str(outcome.files["sheet"]) if outcome.files else None,
                "masks": json.loads(outcome.files["statistics"].read_text(encoding="utf-8")) if outcome.files else [],
                "error": outcome.error,
            }
            for outcome in outcomes
        ],
        indent=2,
    )


def outcomes_json(outcomes: Sequence[Outcome]) -> str:
    """Return JSON: clip, path, files, stages and error of each run."""
    return json.dumps(
        [
            {
                "clip": str(outcome.clip),
                "cam": outcome.cam,
                "folder": str(outcome.folder),
                "error": outcome.error,
                "files": {label: str(path) for label, path in outcome.files.items()},
                "stages": [{"stage": r.stage, "reused": r.reused, **attrs.asdict(r.cost)} for r in outcome.records],
            }
            for outcome in outcomes
        ],
        indent=2,
    )
