"""Evaluations as batches: cases become rows of a manifest for `ex4d batch run`, whose videos are collected."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ex4d_core.cli.flags import COLUMNS, column_tables, read_defaults
from ex4d_core.config import RunConfig, Tree, make_config
from ex4d_core.config.run_config import config_tree, parse_value
from ex4d_core.errors import Ex4dError, InputNotFound, InvalidConfig, InvalidInput, OutputFailed
from ex4d_core.files import atomic_write
from ex4d_core.jobs.folder import current_report
from ex4d_core.jobs.manifest import Job, read_manifest
from ex4d_core.pipeline.records import RUN_RECORD, Facts, Record
from ex4d_core.pipeline.session import Session
from ex4d_core.plugins.registry import Registry
from ex4d_core.runs.export import open_run
from ex4d_core.runs.saved_config import with_paths
from ex4d_core.types import DepthKind
from ex4d_evaluation.layout import MANIFEST, OF_SEED, SEPARATOR
from ex4d_evaluation.protocols import Plan
from ex4d_evaluation.running import CASES, Made, make_videos, no_scale, store_outputs, write_source

ID = "{case}@{results}"
"""Id of a job; a job of one of several seeds ends in @SEED."""
OUTPUTS = ("result", "color", "mask", "camera")
"""Labels of the files that are collected, with which their names start."""


def make_manifest(file: Path, data: Path, folder: Path, **options: Any) -> Made:
    """Prepare the cases of a protocol, and write a manifest with a row for each case and seed; nothing is run.

    Args:
        file: the manifest, CSV.
        data: as for `make_videos`.
        folder: the evaluation folder.
        options: as for `make_videos`.

    Raises:
        OutputFailed: the manifest exists, or a file cannot be written.
        InvalidConfig: a manifest cannot express a case, or has another suffix than .csv.
        Ex4dError: as for `make_videos`.
    """
    if file.suffix.lower() != ".csv":
        raise InvalidConfig(f"the manifest {file} is written as CSV; choose a name that ends in .csv")
    if os.path.lexists(file):
        raise OutputFailed(f"{file} exists and is not overwritten; choose another name, or remove it")
    trees: dict[str, Tree] = {}
    registry = Registry()

    def add(session: Session, config: RunConfig, plan: Plan, folder: Path, results: str) -> None:
        depth = config.depth
        if plan.view and plan.view.depth is None and depth.name == "file" and depth.options.get("kind") != "metric":
            raise no_scale(plan.view.clip)
        write_source(session.open_clip(plan.source).video, folder / CASES / plan.name)
        trees[ID.format(case=plan.name, results=results)] = with_paths(config_tree(config), registry, _absolute)

    made = make_videos(data, folder, run=add, **options)
    if trees:
        with atomic_write(file) as temporary:
            _write(temporary, trees)
            _check(temporary, trees)
    return made


def collect(folder: Path, batch: Path) -> Made:
    """Copy the videos of `ex4d batch run` to the evaluation folder whose cases they show.

    Args:
        folder: the evaluation folder.
        batch: the output folder of the batch.

    Raises:
        InputNotFound: the evaluation folder has no cases, or the output folder has no manifest.
        InvalidInput: a manifest cannot be read.
    """
    facts = Record(folder / MANIFEST).read()
    places = _places(facts, folder)
    copies = sorted(batch.glob("manifest.*"))
    if not copies:
        raise InputNotFound(f"{batch} has no manifest; pass the output folder of ex4d batch run")
    rows = read_manifest(copies[0], columns=COLUMNS, tables=column_tables)
    done, failed = [], {row.id: row.error for row in rows.invalid}
    for job in rows.jobs:
        try:
            if job.id not in places:
                raise InvalidInput(f"{folder} has no such case and method; pass the folder that eval run has prepared")
            case, results = places[job.id]
            files = _outputs(job, batch)
            if facts.get("protocol") == "truth" and job.config.depth.name != "file":
                _check_scale(batch / job.id, case.rpartition(SEPARATOR)[0])
            stamp = Record(batch / job.id / RUN_RECORD).read().get("files", {}).get(files["color"].name, {})
            store_outputs(files, folder, case, results, guidance_key=str(stamp.get("key", "")))
            done.append(job.id)
        except Ex4dError as error:
            failed[job.id] = str(error)
    methods = dict.fromkeys(places[name][1].partition(OF_SEED)[0] for name in done)
    return Made(folder=folder, method=", ".join(methods), done=tuple(done), failed=failed)


def _places(facts: Facts, folder: Path) -> dict[str, tuple[str, str]]:
    """Return the case and the folder of the results of each job."""
    try:
        names = [str(case["name"]) for case in facts.get("cases", ())]
        results = list(facts.get("methods", {}))
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"{folder / MANIFEST} is not a manifest; run ex4d eval run again") from error
    if not names:
        raise InputNotFound(f"{folder} has no cases; prepare them with ex4d eval run DATA -o {folder} --manifest FILE")
    return {ID.format(case=name, results=each): (name, each) for name in names for each in results}


def _outputs(job: Job, batch: Path) -> dict[str, Path]:
    """Return the outputs of a job by label, after checking that its video is the one that `ex4d eval run` makes."""
    report = current_report(batch, job.id)
    if report.status != "done":
        raise InvalidInput(f"{report.status}{f': {report.error}' if report.error else ''}; run ex4d batch run again")
    if report.key != job.key():
        raise InvalidInput(
            "it was run with other options or inputs than the row of the manifest has; run ex4d batch run again, "
            "without options and without a user configuration that changes results"
        )
    files = {Path(name).name.partition("_")[0]: batch / name for name in report.outputs}
    if missing := [label for label in OUTPUTS if not (label in files and files[label].is_file())]:
        raise InvalidInput(f"it has no {missing[0]}; run ex4d batch run again, with --goal result")
    return files


def _check_scale(run: Path, clip: str) -> None:
    """Check that the estimated depth of a run has the unit of the poses."""
    depth = open_run(run).stored_depth()
    if depth is None:
        raise InvalidInput(f"{run} has no depth, whose scale must be checked; run ex4d batch run again")
    if depth.kind is not DepthKind.METRIC:
        raise no_scale(clip)


def _absolute(text: str) -> str:
    return os.path.abspath(text) if os.path.lexists(text) else text


def _write(file: Path, trees: Mapping[str, Tree]) -> None:
    rows = [{"id": name, **_cells(tree)} for name, tree in trees.items()]
    columns = dict.fromkeys(column for row in rows for column in row)
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _cells(tree: Tree) -> dict[str, str]:
    """Return the cells of a configuration; flags outside of sections are named as their entry."""
    (clip,), (cam,) = tree["clips"], tree.get("cam", RunConfig().cam)
    cells = {"clip": clip, "cam": cam, "seed": str(tree.get("seed", RunConfig().seed))}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            cells |= {f"{name}.{option}": _cell(each) for option, each in value.items()}
        elif name not in ("clips", "cam"):
            cells[name] = str(value)
    return cells


def _cell(value: Any) -> str:
    """Return a value as TOML, or as plain text where that is read as the same text."""
    is_plain = isinstance(value, str) and value != "" and parse_value(value) == value
    return str(value) if is_plain else json.dumps(value, ensure_ascii=False)


def _check(file: Path, trees: Mapping[str, Tree]) -> None:
    """Check that `ex4d batch run` reads rows as the configurations that they were written from, except the device."""
    defaults = make_config(read_defaults())
    manifest = read_manifest(file, columns=COLUMNS, tables=column_tables, defaults=defaults)
    for row in manifest.invalid:
        raise InvalidConfig(f"the manifest cannot express {row.id}: {row.error}; use ex4d eval run without --manifest")
    for job in manifest.jobs:
        own, found = trees[job.id], config_tree(job.config)
        names = sorted(name for name in {*own, *found} - {"device"} if own.get(name) != found.get(name))
        if names:
            raise InvalidConfig(
                f"ex4d batch run would run {job.id} with other options of {', '.join(names)} than ex4d eval run: the "
                "user configuration sets them (set EX4D_CONFIG= for both commands), or a manifest cannot express them "
                "(use ex4d eval run without --manifest)"
            )
