"""Tables of scores in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ex4d_core.files import atomic_write
from ex4d_evaluation.layout import RANGES
from ex4d_evaluation.metrics import MISSING
from ex4d_evaluation.scores import COLUMNS, Scores
from ex4d_evaluation.statistics import Summary

MOST_CAMERAS = 6
"""Number of camera paths above which tables only have the mean over all of them."""

REGIONS = {
    "all": "all pixels",
    "known": "known pixels",
    "hidden": "hidden pixels",
    "covisible": "co-visible pixels",
    "edges": "depth edges",
}


REGION_DEFINITIONS = {
    "known": "visible region of the guidance",
    "hidden": "all pixels outside of the visible region of the guidance",
    "covisible": "mask of the data set",
    "edges": "pixels within 2 pixels of a change of the true depth of more than 10 %",
}


def regions_defined(scores: Scores) -> list[tuple[str, str]]:
    """Return name and definition of the regions that numbers are given for."""
    measured = {name.partition("/")[2] for name in scores.measured}
    return [(name, text) for name, text in REGION_DEFINITIONS.items() if name in measured]


def machine_lines(scores: Scores) -> list[str]:
    """Return versions and hardware."""
    facts = scores.facts
    versions = ", ".join(f"{name} {version}" for name, version in facts.get("libraries", {}).items())
    return [
        f"Python {facts.get('python', '?')}, {versions};",
        f"{facts.get('platform', '?')}, {facts.get('gpu') or 'no GPU'}.",
    ]


def write_table(scores: Scores, path: Path) -> None:
    """Write `table.md`.

    Raises:
        OutputFailed: the file cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(table(scores), encoding="utf-8")


def table(scores: Scores) -> str:
    """Return a table for each number, with a row for each method and a column for each camera path, and definitions."""
    return "\n".join([*_overview(scores), *_ranges(scores), *_parts(scores), *_definitions(scores)])


def title(name: str) -> str:
    """Return the heading of a number COLUMN/REGION, with unit and direction."""
    column, _, region = name.partition("/")
    each = COLUMNS[column]
    unit = f", {each.unit}" if each.unit else ""
    where = f", {REGIONS[region]}" if region != "all" else ""
    return f"{each.label}{where}{unit} {'↑' if each.better == 'higher' else '↓'}"


def shown(summary: Summary | None, *, interval: bool = True) -> str:
    """Return a mean with its interval and number of videos, or a dash."""
    if summary is None:
        return "-"
    mean = number(summary.mean)
    if not interval or summary.low is None or summary.high is None:
        return mean
    return f"{mean} [{number(summary.low)}, {number(summary.high)}]"


def number(value: float) -> str:
    """Return a number with four significant digits, at least two decimals from 1 on."""
    if math.isinf(value):
        return "∞"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"


def _overview(scores: Scores) -> Iterator[str]:
    yield "# Scores"
    yield ""
    names = scores.measured
    lines = [["method", "n", *map(title, names)]]
    for method in scores.methods:
        count = sum(row.method == method for row in scores.rows)
        lines.append([method, str(count), *(shown(scores.summary(method, name), interval=False) for name in names)])
    yield from _markdown(lines)
    yield ""
    yield from (f"- {note}" for note in scores.notes)
    yield from (f"- {COLUMNS[name].label} is {MISSING}: {why}" for name, why in scores.missing.items())
    yield ""


def _ranges(scores: Scores) -> Iterator[str]:
    """Yield the table of EX-4D's paper: numbers without truth, at each range."""
    cameras = [camera for camera in scores.cameras if camera in RANGES]
    names = [name for name in scores.measured if name.partition("/")[0] in ("fid", "fvd") or name.startswith("vbench_")]
    if not cameras or not names:
        return
    yield "## Ranges of the camera"
    yield ""
    columns = [(name, camera) for name in names for camera in cameras]
    lines = [["method", *(f"{title(name)} {RANGES[camera]}°" for name, camera in columns)]]
    for method in scores.methods:
        lines.append([method, *(shown(scores.summary(method, *column)) for column in columns)])
    yield from _markdown(lines)
    yield ""


def _parts(scores: Scores) -> Iterator[str]:
    cameras: Sequence[str | None] = scores.cameras if 1 < len(scores.cameras) <= MOST_CAMERAS else ()
    for name in scores.measured:
        yield f"## {title(name)}"
        yield ""
        lines = [["method", *(str(camera) for camera in cameras), "all", "n"]]
        for method in scores.methods:
            summaries = [scores.summary(method, name, camera) for camera in (*cameras, None)]
            if any(summaries):
                count, clips = (summaries[-1].count, summaries[-1].clips) if summaries[-1] else (0, 0)
                lines.append([method, *map(shown, summaries), f"{count} of {clips}"])
        yield from _markdown(lines)
        yield ""
    yield "Mean over videos, in brackets the 95 % interval of a bootstrap over clips; n is the number of videos, and of"
    yield "clips that they are of."
    yield ""


def _definitions(scores: Scores) -> Iterator[str]:
    yield "## Definitions"
    yield ""
    for column in dict.fromkeys(name.partition("/")[0] for name in scores.measured):
        yield f"- **{COLUMNS[column].label}**: {COLUMNS[column].definition}."
    yield from (f"- **{REGIONS[name]}**: {text}." for name, text in regions_defined(scores))
    yield ""
    yield from machine_lines(scores)
    yield ""


def _markdown(lines: Sequence[Sequence[str]]) -> Iterable[str]:
    head, *body = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|"
    yield from (f"| {' | '.join(line)} |" for line in body)
