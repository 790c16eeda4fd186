"""Tables and JSON of `ex4d fetch`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from rich import filesize
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from ex4d_core.plugins.weights import WeightsPlan


def plan_tables(plan: WeightsPlan) -> Iterator[RenderableType]:
    """Yield the required, cached and missing files, and the terms."""
    provider = plan.offer.spec
    if not plan.checkpoints:
        yield f"{plan.offer.kind} {plan.offer.name}: all weights are local folders; nothing to download"
        return
    table = Table(
        "repository", "revision", title=f"weights of {plan.offer.kind} {plan.offer.name}", title_justify="left"
    )
    for heading in ("files", "size", "cached", "to download"):
        table.add_column(heading, justify="right")
    for part in plan.checkpoints:
        amounts = (part.size, part.size - part.missing, part.missing)
        sizes = [str(len(part.remote)), *map(filesize.decimal, amounts)]
        table.add_row(escape(part.files.repo), escape(_revision(part.files.revision, part.commit)), *sizes)
    yield table
    if plan.unchecked:
        yield f"hashes to compare: {filesize.decimal(plan.unchecked)} of cached files"
    yield f"cache: {escape(str(plan.cache))}, {filesize.decimal(plan.free)} free"
    yield f"license: {escape(provider.license)}"
    if plan.usage_terms:
        yield f"notice: {escape(plan.usage_terms)}"


def plan_json(plan: WeightsPlan, folders: list[Path] | None) -> str:
    """Return the plan as JSON, with the folders after the download."""
    paths = [None] * len(plan.checkpoints) if folders is None else [str(folder) for folder in folders]
    return json.dumps(
        {
            "role": plan.offer.kind,
            "name": plan.offer.name,
            "license": plan.offer.spec.license,
            "notice": plan.usage_terms,
            "cache": str(plan.cache),
            "free": plan.free,
            "missing": plan.missing,
            "unchecked": plan.unchecked,
            "checkpoints": [
                {
                    "repo": part.files.repo,
                    "revision": part.files.revision,
                    "commit": part.commit,
                    "size": part.size,
                    "missing": part.missing,
                    "files": {file.path: file.size for file in part.remote},
                    "folder": path,
                }
                for part, path in zip(plan.checkpoints, paths, strict=True)
            ],
        },
        indent=2,
    )


def _revision(revision: str, commit: str) -> str:
    return commit[:12] if revision == commit else f"{revision} ({commit[:12]})"
