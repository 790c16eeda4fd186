"""The output folder of a manifest: run folders, records, logs, reports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from ex4d_core.errors import InputNotFound
from ex4d_core.files import atomic_write, locked_if_free
from ex4d_core.jobs.manifest import Job, Manifest, read_ids
from ex4d_core.jobs.records import RECORDS, JobReport, read_record, record_file, write_table
from ex4d_core.jobs.shards import Shard
from ex4d_core.jobs.storage import Storage

MANIFEST, REPORT = "manifest", "report"


def keep_manifest(storage: Storage, manifest: Path) -> None:
    """Copy a manifest into the output folder, so that reports list jobs that have not been started.

    Raises:
        OutputFailed: the folder cannot be written to.
    """
    copy = storage.folder / f"{MANIFEST}{manifest.suffix.lower()}"
    if os.path.exists(copy) and os.path.samefile(copy, manifest):
        return
    with atomic_write(copy) as temporary:
        shutil.copyfile(manifest, temporary)
    storage.push([copy.name])


def collect(storage: Storage) -> list[JobReport]:
    """Return the states of all jobs of an output folder, in the order of its manifest.

    Raises:
        InputNotFound: the folder does not exist or has no jobs.
        InvalidInput: its manifest, or the URL, cannot be read.
    """
    storage.pull(f"{MANIFEST}.*", f"{RECORDS}/*.json")
    folder = storage.folder
    manifests = sorted(folder.glob(f"{MANIFEST}.*"))
    if not manifests and not (folder / RECORDS).is_dir():
        raise InputNotFound(f"{storage.place} has no jobs; pass the output folder of ex4d batch run")
    listed = [name for manifest in manifests for name in read_ids(manifest)]
    started = sorted(file.stem for file in (folder / RECORDS).glob("*.json"))
    return [current_report(folder, name) for name in dict.fromkeys([*listed, *started])]


def current_report(folder: Path, id: str) -> JobReport:
    """Return the state of a job; one whose process has ended is `interrupted`."""
    report = read_record(folder, id)
    if report.status != "running":
        return report
    with locked_if_free(record_file(folder, id)) as is_free:
        if not is_free:
            return report
    error = "its process ended; run the manifest again to resume"
    return attrs.evolve(read_record(folder, id), status="interrupted", error=error)


def write_reports(
    storage: Storage, manifest: Manifest, jobs: Sequence[Job], reports: Iterable[JobReport], shard: Shard
) -> list[str]:
    """Write the report of a run, with a row for each job of its shard and for each invalid row; return the files.

    Raises:
        OutputFailed: the folder cannot be written to.
    """
    made = {report.id: report for report in reports}
    table = [
        made.get(job.id) or attrs.evolve(current_report(storage.folder, job.id), clip=job.clip, cam=job.config.cam)
        for job in jobs
    ]
    table += [JobReport(id=row.id, status="invalid", error=row.error) for row in manifest.invalid]
    name = REPORT if shard.count == 1 else f"{REPORT}-{shard.index}-of-{shard.count}"
    return write_report_table(table, storage, name)


def write_report_table(reports: Iterable[JobReport], storage: Storage, name: str = REPORT) -> list[str]:
    """Write a report into the output folder; return its files, or their URLs.

    Raises:
        OutputFailed: the folder cannot be written to.
    """
    files = write_table(reports, storage.folder / f"{name}.csv")
    storage.push([file.name for file in files])
    return (
        [f"{storage.place.rstrip('/')}/{file.name}" for file in files] if storage.is_remote else list(map(str, files))
    )
