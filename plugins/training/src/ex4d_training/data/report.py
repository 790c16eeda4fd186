"""What became of the videos, for people and as a file."""

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
from ex4d_training.data.rejected_log import Refused

REPORT = "report.json"

_SHOWN = 10
"""Videos that are named on the screen; the file names all."""


@attrs.frozen(kw_only=True)
class Report:
    """What became of the videos."""

    folder: Path
    """With the shards."""
    videos: int
    """That were found."""
    samples: int
    shards: int
    bytes: int
    """Of all shards."""
    absent: int = 0
    """Named in a CSV and not on this machine."""
    without_caption: tuple[str, ...] = ()
    """Videos that nobody describes."""
    refused: tuple[Refused, ...] = ()
    """Videos that gave no samples."""

    @property
    def prepared(self) -> int:
        """Videos that gave samples."""
        return self.videos - len(self.refused)

    @property
    def counts(self) -> dict[str, int]:
        """How many videos each filter took, most first."""
        return dict(Counter(entry.refusal.filter for entry in self.refused).most_common())


def write_report(report: Report) -> None:
    """Write `report.json` into the folder of the shards.

    Raises:
        OutputFailed: it cannot be written.
    """
    with atomic_write(report.folder / REPORT) as temporary:
        temporary.write_text(report_json(report) + "\n", encoding="utf-8")


def report_json(report: Report) -> str:
    """Return the report as JSON: the counts, and each video that gave no samples with the reason."""
    refused = [
        {"video": entry.video, "filter": entry.refusal.filter, "reason": entry.refusal.reason}
        for entry in report.refused
    ]
    tree = attrs.asdict(report, filter=lambda field, _: field.name != "refused")
    own = {"folder": str(report.folder), "prepared": report.prepared, "counts": report.counts, "refused": refused}
    return json.dumps({**tree, **own}, indent=1)


def report_tables(report: Report) -> Iterator[RenderableType]:
    """Yield what people see at the end."""
    table = Table("videos", title="prepared", title_justify="left")
    table.add_column("number", justify="right")
    table.add_row("found", str(report.videos))
    for name, count in report.counts.items():
        table.add_row(as_text(f"taken by {name}"), f"-{count}")
    table.add_row("gave samples", str(report.prepared))
    yield table
    # Filters do what they were told to; what could not be read is worth a look.
    failed = [entry for entry in report.refused if not entry.early or entry.refusal.filter == "unreadable"]
    for entry in failed[:_SHOWN]:
        yield plain_markup(f"left out: {entry.video}: {entry.refusal.reason}")
    if len(failed) > _SHOWN:
        yield f"and {len(failed) - _SHOWN} more, in {plain_markup(report.folder / REPORT)}"
    if report.absent:
        yield f"{report.absent} more are named in the table and not on this machine"
    size = filesize.decimal(report.bytes)
    yield f"{report.samples} samples, {size}, shards: {report.shards}, in {plain_markup(report.folder)}"
