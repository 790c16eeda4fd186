"""The record of each job in the output folder, from which reports are made and by which jobs are resumed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import cattrs

from ex4d_core.errors import Ex4dError
from ex4d_core.files import atomic_write
from ex4d_core.pipeline.records import dumped
from ex4d_core.reading import read_json

RECORDS = "jobs"
"""Folder of the records in the output folder."""

Status = Literal["done", "failed", "crashed", "running", "interrupted", "invalid", "pending"]

STAGES = ("read", "depth", "refine", "guidance", "result")
"""Stages with their own columns in reports."""


@attrs.frozen(kw_only=True)
class StageCost:
    """Time and memory of one stage, summed over the camera paths of a job; memory is the maximum."""

    seconds: float = 0.0
    peak_gib: float = 0.0
    gpu_peak_gib: float = 0.0
    reused: bool = False
    """Whether its artifact existed along each path."""


@attrs.frozen(kw_only=True)
class JobReport:
    """The state of a job."""

    id: str
    clip: str = ""
    cam: tuple[str, ...] = ()
    status: Status = "pending"
    """`failed`: an error of the clip or a component; `crashed`: the process ended; `interrupted`: it was stopped."""
    error: str = ""
    """One sentence, if the job is not done."""
    outputs: tuple[str, ...] = ()
    """Relative to the output folder."""
    seconds: float = 0.0
    stages: Mapping[str, StageCost] = attrs.field(factory=dict)
    key: str = ""
    """As `Job.key` when the job was started."""
    run: str = ""
    """Identifier of the run that started it last."""
    starts: int = 0
    """Number of times that this run started it."""
    worker: str = ""
    """Host and process."""
    fresh: bool = attrs.field(default=False, metadata={"stored": False})
    """Whether the job was run now, not found."""
    unexpected: bool = attrs.field(default=False, metadata={"stored": False})
    """Whether it failed in a way that its component does not foresee, after which the process is not used again."""

    def is_done(self, key: str, has: Callable[[str], bool]) -> bool:
        """Return whether the job with this key is done, and the output folder has its outputs."""
        return self.status == "done" and self.key == key and all(map(has, self.outputs))


def crash_sentence(reason: str) -> str:
    """Return the error of a job whose process ended each time.

    Args:
        reason: how it ended, such as `its process was killed by SIGKILL`.
    """
    return f"{reason} each time that it ran this clip; run the clip alone with ex4d run to see why"


def record_file(folder: Path, id: str) -> Path:
    """Return the record of a job in an output folder."""
    return folder / RECORDS / f"{id}.json"


def read_record(folder: Path, id: str) -> JobReport:
    """Return the recorded state of a job; `pending` if it has no record or a damaged one."""
    file = record_file(folder, id)
    if not file.exists():
        return JobReport(id=id)
    try:
        facts = read_json(file, "record of a job")
        return attrs.evolve(cattrs.structure(facts, JobReport), id=id)
    except (Ex4dError, cattrs.BaseValidationError, ValueError, TypeError):
        return JobReport(id=id)


def write_record(folder: Path, report: JobReport) -> None:
    """Write the record of a job.

    Raises:
        OutputFailed: the folder cannot be written to.
    """
    facts = attrs.asdict(report, filter=lambda field, _: field.metadata.get("stored", True))
    with atomic_write(record_file(folder, report.id)) as temporary:
        temporary.write_text(dumped(facts), encoding="utf-8")


def rows(reports: Iterable[JobReport]) -> Iterator[dict[str, Any]]:
    """Yield a row of the report for each job, with plain values."""
    for report in reports:
        row: dict[str, Any] = {
            "id": report.id,
            "clip": report.clip,
            "cam": "; ".join(report.cam),
            "status": report.status,
            "seconds": round(report.seconds, 3),
        }
        for stage in STAGES:
            cost = report.stages.get(stage)
            row[f"{stage}_seconds"] = round(cost.seconds, 3) if cost else None
        row["peak_gib"] = max((round(cost.peak_gib, 3) for cost in report.stages.values()), default=None)
        row["gpu_peak_gib"] = max((round(cost.gpu_peak_gib, 3) for cost in report.stages.values()), default=None)
        yield {**row, "outputs": "; ".join(report.outputs), "worker": report.worker, "error": report.error}


def write_table(reports: Iterable[JobReport], file: Path) -> list[Path]:
    """Write a report as CSV, and as Parquet beside it if pyarrow is installed; return the files.

    Args:
        reports: the rows.
        file: the CSV file.

    Raises:
        OutputFailed: the folder cannot be written to.
    """
    table = list(rows(reports))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(next(rows([JobReport(id="")]))), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    with atomic_write(file) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return [file]
    with atomic_write(file.with_suffix(".parquet")) as temporary:
        parquet.write_table(pyarrow.Table.from_pylist(table), temporary)
    return [file, file.with_suffix(".parquet")]
