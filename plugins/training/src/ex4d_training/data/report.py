"""The report of a preparation: a file, and tables for the terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
from rich import filesize
from rich.console import RenderableType
from rich.table import Table

from ex4d_core.files import atomic_write
from ex4d_core.terminal import as_text, plain_markup
from ex4d_training.data.rejected_log import RejectedVideo

REPORT = "report.json"

_SHOWN = 10
"""Rejected videos shown on the terminal; the file lists all."""


@attrs.frozen(kw_only=True)
class Report:
    """Numbers of a preparation, and the rejected videos."""

    folder: Path
    """Output folder."""
    videos: int
    """Found in the input."""
    samples: int
    shards: int
    bytes: int
    """Size of all shards."""
    absent: int = 0
    """Rows of the CSV file whose video does not exist."""
    without_caption: tuple[str, ...] = ()
    """Videos without a caption."""
    refused: tuple[RejectedVideo, ...] = ()
    """Videos without samples."""
    complete: bool = True
    """Whether all parts have written their shards."""

    @property
    def prepared(self) -> int:
        """Number of videos with samples."""
        return self.videos - len(self.refused)

    @property
    def counts(self) -> dict[str, int]:
        """Number of videos rejected by each filter, largest first."""
        return dict(Counter(entry.refusal.filter for entry in self.refused).most_common())


def write_report(report: Report) -> None:
    """Write `report.json` into the folder of the shards.

    Raises:
        OutputFailed: the file cannot be written.
    """
    with atomic_write(report.folder / REPORT) as temporary:
        temporary.write_text(report_json(report) + "\n", encoding="utf-8")


def report_json(report: Report) -> str:
    """Return the report as JSON: the counts, and each rejected video with the reason."""
    refused = [
        {"video": entry.video, "filter": entry.refusal.filter, "reason": entry.refusal.reason}
        for entry in report.refused
    ]
    tree = attrs.asdict(report, filter=lambda field, _: field.name != "refused")
    own = {"folder": str(report.folder), "prepared": report.prepared, "counts": report.counts, "refused": refused}
    return json.dumps({**tree, **own}, indent=1)


def report_tables(report: Report) -> Iterator[RenderableType]:
    """Yield tables and lines for the terminal."""
    table = Table("videos", title="preparation", title_justify="left")
    table.add_column("number", justify="right")
    table.add_row("found", str(report.videos))
    for name, count in report.counts.items():
        table.add_row(as_text(f"rejected by {name}"), f"-{count}")
    table.add_row("prepared", str(report.prepared))
    yield table
    # Filters work as configured; unreadable and failed videos need attention.
    failed = [entry for entry in report.refused if not entry.early or entry.refusal.filter == "unreadable"]
    for entry in failed[:_SHOWN]:
        yield plain_markup(f"rejected: {entry.video}: {entry.refusal.reason}")
    if len(failed) > _SHOWN:
        yield f"and {len(failed) - _SHOWN} more, in {plain_markup(report.folder / REPORT)}"
    if report.absent:
        yield f"{report.absent} videos of the table do not exist on this machine"
    if not report.complete:
        yield "shards of other parts are missing; the data set is complete when all parts have ended"
    size = filesize.decimal(report.bytes)
    yield f"{report.samples} samples, {size}, shards: {report.shards}, in {plain_markup(report.folder)}"
