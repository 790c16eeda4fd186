"""The command `ex4d clean`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ex4d_core.cli.kit import Json
from ex4d_core.shell import command_line
from ex4d_core.terminal import can_ask, confirm, say, show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ex4d_core.runs.clean import RunFolder

DAY = 24 * 60 * 60.0
"""Seconds."""


def clean(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Run folders, or folders that contain them.", show_default="outputs"),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(metavar="<days>", min=0, help="Only artifacts that were written longer ago.", show_default="all"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    json_: Json = False,
) -> None:
    """List the cached artifacts of run folders by size, and remove them; results and settings stay."""
    from ex4d_core.runs.clean import find_run_folders, remove

    before = math.inf if older_than is None else time.time() - older_than * DAY
    runs = find_run_folders(folders or [Path("outputs")], before=before)
    total = sum(run.bytes for run in runs if not run.is_in_use)
    worth_showing = [run for run in runs if run.items or run.is_in_use]
    if worth_showing and not json_:
        show(*_tables(worth_showing))
    agreed = yes or (bool(total) and not dry_run and can_ask() and confirm(f"Remove {_size(total)}?"))
    removed = sum(map(remove, runs)) if agreed and not dry_run else 0
    if json_:
        say(_as_json(runs, removed))
    elif removed:
        say(f"removed: {_size(removed)}")
    elif total:
        limit = () if older_than is None else ("--older-than", f"{older_than:g}")
        command = command_line(("ex4d", "clean", *map(str, folders or ()), *limit, "--yes"))
        say(f"nothing was removed; {command} removes {_size(total)}")
    else:
        say("nothing to remove")


def _tables(runs: Sequence[RunFolder]) -> Iterator[RenderableType]:
    from rich.markup import escape
    from rich.table import Table

    for run in runs:
        table = Table("kind", "stage", title=escape(str(run.folder)), title_justify="left")
        table.add_column("size", justify="right")
        table.add_column("folder")
        for item in run.items:
            table.add_row(item.kind, item.stage, _size(item.bytes), escape(item.path.name))
        yield table
        if run.is_in_use:
            yield "in use by a running process; nothing is removed here"
        else:
            yield f"to make them again: {escape(run.made_again)}"


def _as_json(runs: Sequence[RunFolder], removed: int) -> str:
    listed = [
        {
            "folder": str(run.folder),
            "in_use": run.is_in_use,
            "made_again": run.made_again,
            "items": [
                {"path": str(item.path), "kind": item.kind, "stage": item.stage, "bytes": item.bytes}
                for item in run.items
            ],
        }
        for run in runs
    ]
    return json.dumps({"folders": listed, "removed": removed}, indent=2)


def _size(count: int) -> str:
    from rich import filesize

    return filesize.decimal(count)
