"""The table of a sweep, as CSV and Markdown."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from ex4d_core.files import atomic_write
from ex4d_core.names import safe_name
from ex4d_core.runs.batch import Outcome


@attrs.frozen(kw_only=True)
class Row:
    """A clip along one path with one combination of values."""

    values: Mapping[str, str]
    """By SECTION.OPTION, as text."""
    outcome: Outcome
    """Run folder, files, stages and error."""
    metrics: Mapping[str, float] = attrs.field(factory=dict)
    """By column of the table; empty if the run failed."""

    @property
    def title(self) -> str:
        """Clip, path and values, for messages."""
        return f"{self.outcome.title} {' '.join(f'{key}={value}' for key, value in self.values.items())}"

    def cells(self) -> dict[str, str]:
        """Return the row of the table by column, as text."""
        seconds = {
            f"{record.stage} (s)": "reused" if record.reused else f"{record.cost.seconds:.2f}"
            for record in self.outcome.records
        }
        return {
            "clip": self.outcome.clip.name,
            "cam": self.outcome.cam or "",
            **self.values,
            **{name: f"{value:.4f}" for name, value in self.metrics.items()},
            **seconds,
            "folder": str(self.outcome.folder),
            "error": self.outcome.error or "",
        }


@attrs.frozen(kw_only=True)
class Sweep:
    """The runs of a sweep."""

    rows: tuple[Row, ...] = attrs.field(repr=lambda rows: f"<{len(rows)} rows>")
    files: Mapping[str, Path]
    """The tables: `csv` and `markdown`."""

    def table(self) -> list[dict[str, str]]:
        """Return the rows as text, with the same columns in each; those that are empty in all rows are left out."""
        cells = [row.cells() for row in self.rows]
        columns = sorted(dict.fromkeys(name for row in cells for name in row), key=("folder", "error").count)
        used = [name for name in columns if any(row.get(name) for row in cells)]
        return [{name: row.get(name, "") for name in used} for row in cells]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rows = self.table()
        lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
        texts = [[" ".join(cell.replace("|", r"\|").split()) for cell in line] for line in lines]
        return "".join(f"| {' | '.join(line)} |\n" for line in texts)

    def csv(self) -> str:
        """Return the table as CSV."""
        text = io.StringIO()
        rows = self.table()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def _repr_html_(self) -> str:
        rows = self.table()
        lines = ["".join(f"<th>{html.escape(name)}</th>" for name in rows[0])]
        lines += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row.values()) for row in rows]
        return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def write_tables(rows: Sequence[Row], parent: Path) -> Sweep:
    """Write the table of a sweep into a folder, named by options and values.

    Raises:
        OutputFailed: the folder cannot be written to.
    """
    swept: dict[str, dict[str, None]] = {}
    for row in rows:
        for key, value in row.values.items():
            swept.setdefault(key, {})[value] = None
    stem = "_".join(f"{key}={','.join(values)}" for key, values in swept.items())
    name = safe_name(f"sweep_{stem}", most=120)
    files = {"csv": parent / f"{name}.csv", "markdown": parent / f"{name}.md"}
    sweep = Sweep(rows=tuple(rows), files=files)
    for path, text in ((files["csv"], sweep.csv()), (files["markdown"], sweep.markdown())):
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return sweep
