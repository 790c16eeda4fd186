"""Write `report.html`: a sortable table, curves over the frames, and the videos side by side."""

from __future__ import annotations

import json
import math
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from ex4d_core.cameras.files import read_camera_path
from ex4d_core.files import atomic_write
from ex4d_core.video_io import read_video, write_video
from ex4d_evaluation.layout import OF_SEED, Case, Evaluation
from ex4d_evaluation.metrics import MISSING
from ex4d_evaluation.scores import COLUMNS, Scores
from ex4d_evaluation.statistics import Summary
from ex4d_evaluation.tables import REGIONS, machine_lines, number, regions_defined, title

PLAYABLE = (".mp4", ".webm", ".m4v", ".mov")
"""Suffixes of videos that browsers play."""


def write_report(evaluation: Evaluation, scores: Scores) -> Path:
    """Write the page into the evaluation folder, and videos that browsers can play beside those that they cannot.

    Raises:
        InvalidInput: a video cannot be read.
        OutputFailed: a file cannot be written.
    """
    page = resources.files("ex4d_evaluation").joinpath("report.html").read_text(encoding="utf-8")
    path = evaluation.folder / "report.html"
    with atomic_write(path) as temporary:
        temporary.write_text(page.replace("__DATA__", embedded(_facts(evaluation, scores))), encoding="utf-8")
    return path


def embedded(facts: Any) -> str:
    """Return JSON for a script element of a page; a name cannot end the element."""
    return json.dumps(facts, allow_nan=False).replace("<", "\\u003c")


def _facts(evaluation: Evaluation, scores: Scores) -> dict[str, Any]:
    names = scores.measured
    columns = dict.fromkeys(name.partition("/")[0] for name in names)
    return {
        "methods": list(scores.methods),
        "columns": [{"name": name, "title": title(name), "better": _better(name)} for name in names],
        "titles": {name: title(name) for name in names},
        "cameras": list(scores.cameras),
        "summaries": {camera: _cells(scores, camera or None) for camera in ("", *scores.cameras)},
        "notes": [*scores.notes, *_missing(scores)],
        "definitions": [
            *([COLUMNS[name].label, COLUMNS[name].definition] for name in columns),
            *([REGIONS[name], text] for name, text in regions_defined(scores)),
        ],
        "machine": " ".join(machine_lines(scores)),
        "cases": {name: _case(evaluation, scores, case) for name, case in evaluation.cases.items()},
    }


def _missing(scores: Scores) -> list[str]:
    return [f"{COLUMNS[name].label} is {MISSING}: {why}" for name, why in scores.missing.items()]


def _better(name: str) -> str:
    return COLUMNS[name.partition("/")[0]].better


def _cells(scores: Scores, camera: str | None) -> dict[str, Any]:
    """Return the cells of the table for a camera path, by method and number."""
    return {
        method: {name: _cell(found) for name in scores.measured if (found := scores.summary(method, name, camera))}
        for method in scores.methods
    }


def _cell(summary: Summary) -> dict[str, Any]:
    has_interval = summary.low is not None and summary.high is not None
    return {
        "mean": _plain(summary.mean),
        "text": number(summary.mean),
        "interval": f"[{number(summary.low or 0)}, {number(summary.high or 0)}]" if has_interval else "",
        "count": summary.count,
    }


def _case(evaluation: Evaluation, scores: Scores, case: Case) -> dict[str, Any]:
    videos = {"truth": case.video("truth"), "source": case.video("source")}
    videos |= {method: found.get(case.name) for method, found in evaluation.results.items()}
    return {
        "videos": [
            [title, _url(evaluation, path), _poster(evaluation, path)]
            for title, path in videos.items()
            if path is not None
        ],
        "curves": [
            {
                "method": f"{row.method}{row.seed and OF_SEED + row.seed}",
                "values": {name: list(map(_plain, curve)) for name, curve in row.curves.items()},
            }
            for row in scores.rows
            if row.case == case.name and row.curves
        ],
        "angles": _angles(case),
    }


def _plain(value: float) -> float | str | None:
    return value if math.isfinite(value) else None if math.isnan(value) else "inf"


def _angles(case: Case) -> list[float] | None:
    """Return the rotation of each target camera from the first, in degrees, if the path is known."""
    file = case.camera_file("camera")
    if file is None:
        return None
    turns = read_camera_path(file).world_to_camera[:, :3, :3]
    cosines = (np.einsum("ij,tij->t", turns[0], turns) - 1) / 2
    angles: list[float] = np.degrees(np.arccos(np.clip(cosines, -1, 1))).tolist()
    return angles


def _url(evaluation: Evaluation, path: Path) -> str:
    """Return the address of a video relative to the page, after conversion to MP4 if browsers cannot play it."""
    if path.suffix.lower() not in PLAYABLE:
        playable = _beside(evaluation, path, ".mp4")
        if _is_outdated(playable, path):
            write_video(read_video(path, warn=lambda text: None), playable)
        path = playable
    return _relative(evaluation, path)


def _poster(evaluation: Evaluation, path: Path) -> str:
    """Return the address of an image of the first frame, shown before and where a browser cannot play the video."""
    poster = _beside(evaluation, path, ".jpg")
    if _is_outdated(poster, path):
        frame = read_video(path, num_frames=1, warn=lambda text: None).frames[0].numpy()
        with atomic_write(poster) as temporary:
            temporary.write_bytes(cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes())
    return _relative(evaluation, poster)


def _beside(evaluation: Evaluation, path: Path, suffix: str) -> Path:
    return evaluation.folder / "report_videos" / f"{path.parent.name}-{path.stem}{suffix}"


def _is_outdated(made: Path, path: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < path.stat().st_mtime


def _relative(evaluation: Evaluation, path: Path) -> str:
    return quote(path.relative_to(evaluation.folder).as_posix())
