"""Progress and results on the console: bars on a terminal, plain lines in a log, a table at the end."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ex4d_core.terminal import as_text, one_message

if TYPE_CHECKING:  # a heavy import, needed by few commands
    from ex4d_core.runs.batch import Outcome
    from ex4d_core.runs.sweep_table import Sweep


def summary(outcomes: Sequence[Outcome]) -> Group:
    """Return a table of stages, seconds and peak memory, followed by failures and output paths."""
    has_paths = any(outcome.cam is not None for outcome in outcomes)
    table = Table("clip", *["cam"] * has_paths, "stage", title="ex4d", title_justify="left")
    table.add_column("load, s", justify="right")
    table.add_column("compute, s", justify="right")
    table.add_column("peak memory", justify="right")
    lines: list[Text] = []
    for outcome in outcomes:
        who = (as_text(outcome.clip.name), as_text(outcome.cam or ""))[: 1 + has_paths]
        if outcome.error is not None:
            table.add_row(*who, Text("failed", style="red"), "", "", "", end_section=True)
            named = attrs.evolve(outcome, clip=Path(outcome.clip.name))
            lines.append(Text.assemble(("failed", "red"), as_text(f": {named.title}: {one_message(outcome.error)}")))
            continue
        for record in outcome.records:
            load = "" if record.reused else f"{record.load:.1f}"
            compute = "reused" if record.reused else f"{record.cost.seconds:.1f}"
            peak = "" if record.reused else _memory(record.cost.peak_bytes, record.cost.peak_gpu_bytes)
            table.add_row(*who, record.stage, load, compute, peak)
            who = (Text(), Text())[: 1 + has_paths]
        table.add_section()
        lines += [as_text(f"{label:<7} {path}") for label, path in _shown(outcome)]
    for line in lines:
        line.overflow = "ignore"  # wrapped paths cannot be copied
    return Group(table, *lines)


def sweep_summary(sweep: Sweep) -> Group:
    """Return the table of a sweep, followed by failures and the paths of the table."""
    rows = [{name: cell for name, cell in row.items() if name not in ("folder", "error")} for row in sweep.table()]
    table = Table(*rows[0], title="ex4d", title_justify="left")
    lines: list[Text] = []
    for row, cells in zip(sweep.rows, rows, strict=True):
        table.add_row(*map(as_text, cells.values()), style="red" if row.outcome.error else None)
        if row.outcome.error is not None:
            lines.append(Text.assemble(("failed", "red"), as_text(f": {row.title}: {one_message(row.outcome.error)}")))
    lines += [as_text(f"{label:<8} {path}") for label, path in sweep.files.items()]
    for line in lines:
        line.overflow = "ignore"  # wrapped paths cannot be copied
    return Group(table, *lines)


def sweep_json(sweep: Sweep) -> str:
    """Return JSON: the tables, and values, measures and outcome of each run."""
    outcomes = _facts([row.outcome for row in sweep.rows])
    runs = [
        {"values": dict(row.values), "measures": _finite(row.metrics), **outcome}
        for row, outcome in zip(sweep.rows, outcomes, strict=True)
    ]
    return json.dumps({"tables": {label: str(path) for label, path in sweep.files.items()}, "runs": runs}, indent=2)


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return values with None in place of infinity, which JSON does not have."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


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
    return json.dumps(_facts(outcomes), indent=2)


def _facts(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [
        {
            "clip": str(outcome.clip),
            "cam": outcome.cam,
            "folder": str(outcome.folder),
            "error": outcome.error,
            "files": {label: str(path) for label, path in outcome.files.items()},
            "stages": [{"stage": r.stage, "reused": r.reused, **r.facts} for r in outcome.records],
        }
        for outcome in outcomes
    ]
