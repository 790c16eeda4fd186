"""Scores of methods, and their form in `scores.json`."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import read_json
from ex4d_evaluation.cameras import COLUMNS as CAMERA_COLUMNS
from ex4d_evaluation.metric import Column
from ex4d_evaluation.metrics import METRICS
from ex4d_evaluation.references import REGIONS
from ex4d_evaluation.sets import SET_METRICS
from ex4d_evaluation.statistics import Summary, summary_of
from ex4d_evaluation.vbench import COLUMNS as VBENCH

COLUMNS: Mapping[str, Column] = {
    column.name: column
    for column in (
        *(column for metric in METRICS for column in metric.columns),
        *(column for metric in SET_METRICS for column in metric.columns),
        *CAMERA_COLUMNS,
        *VBENCH,
    )
}
"""All columns by name, in the order of tables."""

LIBRARIES = (
    *("ex4d-core", "numpy", "opencv-python-headless", "scipy", "torch"),
    *("lpips", "torch-fidelity", "cd-fvd", "transformers"),
)


@attrs.frozen(kw_only=True)
class Row:
    """The scores of one video."""

    method: str
    seed: str = ""
    """Of one of several seeds, or ''."""
    case: str
    clip: str
    camera: str
    values: Mapping[str, float]
    """By COLUMN/REGION."""
    curves: Mapping[str, list[float]] = attrs.field(factory=dict)
    """Values of the frames, by COLUMN/REGION; NaN where undefined."""


@attrs.frozen(kw_only=True)
class Scores:
    """The scores of all videos."""

    rows: tuple[Row, ...]
    sets: Mapping[str, Mapping[str, Mapping[str, float]]] = attrs.field(factory=dict)
    """Scores of sets of videos: by method, then camera or `all`, then column."""
    cameras: tuple[str, ...] = ()
    """Names of the camera paths, in order."""
    notes: tuple[str, ...] = ()
    missing: Mapping[str, str] = attrs.field(factory=dict)
    """Why a metric was not computed, by the name of its first column."""
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    """Versions, hardware, and the manifest."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in order."""
        return tuple(dict.fromkeys(row.method for row in self.rows))

    @property
    def measured(self) -> tuple[str, ...]:
        """COLUMN/REGION of all numbers, in the order of tables."""
        names = {name for row in self.rows for name in row.values}
        names |= {f"{name}/all" for cameras in self.sets.values() for values in cameras.values() for name in values}
        order = list(COLUMNS)
        return tuple(f"{column}/{region}" for column in order for region in REGIONS if f"{column}/{region}" in names)

    def summary(self, method: str, name: str, camera: str | None = None) -> Summary | None:
        """Return mean and interval of a number over the videos of a method; None if it has none.

        Args:
            method: name of the method.
            name: COLUMN/REGION.
            camera: name of a camera path, or None for all.
        """
        column = name.partition("/")[0]
        of_set = self.sets.get(method, {}).get(camera or "all", {}).get(column)
        if of_set is not None:
            videos = [row for row in self.rows if row.method == method and camera in (None, row.camera)]
            clips = {row.clip for row in videos}
            return Summary(mean=of_set, count=len(videos), clips=len(clips), low=None, high=None)
        values: dict[str, list[float]] = {}
        for row in self.rows:
            if row.method == method and camera in (None, row.camera) and name in row.values:
                values.setdefault(row.clip, []).append(row.values[name])
        return summary_of(values)

    def as_json(self) -> dict[str, Any]:
        """Return plain values for `scores.json`: infinite numbers are texts, undefined ones null."""
        columns = {name.partition("/")[0] for name in self.measured}
        plain: dict[str, Any] = _plain(
            {
                "definitions": {name: COLUMNS[name].definition for name in COLUMNS if name in columns},
                "notes": self.notes,
                "missing": self.missing,
                "facts": self.facts,
                "cameras": self.cameras,
                "summary": {
                    method: {
                        name: attrs.asdict(summary)
                        for name in self.measured
                        if (summary := self.summary(method, name)) is not None
                    }
                    for method in self.methods
                },
                "sets": self.sets,
                "rows": [attrs.asdict(row) for row in self.rows],
            }
        )
        return plain


def read_scores(path: Path) -> Scores:
    """Read `scores.json`.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it is not a file of scores.
    """
    tree = read_json(path, "scores", most=2**30)
    try:
        rows = [
            {**row, "values": _numbers(row["values"]), "curves": {k: _curve(v) for k, v in row["curves"].items()}}
            for row in tree["rows"]
        ]
        return Scores(
            rows=tuple(Row(**row) for row in rows),
            sets={m: {c: _numbers(v) for c, v in cameras.items()} for m, cameras in tree["sets"].items()},
            cameras=tuple(tree["cameras"]),
            notes=tuple(tree["notes"]),
            missing=tree["missing"],
            facts=tree["facts"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{path} is not a file of scores: {error}; run ex4d eval score again") from error


def machine() -> dict[str, Any]:
    """Return versions and hardware."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _curve(values: list[Any]) -> list[float]:
    return [math.nan if value is None else float(value) for value in values]
