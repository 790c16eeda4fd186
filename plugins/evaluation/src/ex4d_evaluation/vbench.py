"""Scores of VBench, which needs an environment of its own: its dependencies are older than those of ex4d."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ex4d_core.errors import InvalidInput
from ex4d_core.files import atomic_write
from ex4d_core.reading import read_json
from ex4d_core.video_io import read_video, write_video
from ex4d_evaluation.layout import SEPARATOR, Evaluation
from ex4d_evaluation.metric import Column

FOLDER, IMPORTED = "vbench", "imported"
DIMENSIONS = (
    "subject_consistency",
    "background_consistency",
    "motion_smoothness",
    "dynamic_degree",
    "aesthetic_quality",
    "imaging_quality",
)
"""Dimensions that VBench can compute for videos of others (`--mode=custom_input`)."""

SCALES = {"imaging_quality": 100}
"""By which VBench divides the mean over videos, but not their values."""

COLUMNS = tuple(
    Column(
        name=f"vbench_{name}",
        label=f"VBench {name.replace('_', ' ')}",
        better="higher",
        definition=f"dimension {name} of VBench for custom videos, mean over videos; not the total score of VBench",
    )
    for name in DIMENSIONS
)


def export_videos(evaluation: Evaluation) -> Path:
    """Copy the videos of all methods into one folder for VBench, and return a script that evaluates them.

    Raises:
        InputNotFound: there are no results.
        OutputFailed: a file cannot be written.
    """
    videos = evaluation.folder / FOLDER / "videos"
    shutil.rmtree(videos, ignore_errors=True)  # VBench evaluates all that is there
    for name, (method, case) in _names(evaluation).items():
        _write_mp4(evaluation.results[method][case], videos / f"{name}.mp4")
    lines = [
        f"vbench evaluate --dimension {name} --videos_path videos --output_path results --mode=custom_input"
        for name in DIMENSIONS
    ]
    script = evaluation.folder / FOLDER / "run.sh"
    head = ["#!/bin/sh", "# In an environment with: pip install vbench", "set -e", 'cd "$(dirname "$0")"']
    text = "\n".join([*head, *lines, ""])
    with atomic_write(script) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return script


def _write_mp4(video: Path, target: Path) -> None:
    """Copy a video; VBench reads files `.mp4` and ignores others."""
    if video.suffix != ".mp4":
        write_video(read_video(video, warn=lambda text: None), target)
        return
    with atomic_write(target) as temporary:
        shutil.copyfile(video, temporary)


def import_results(evaluation: Evaluation, path: Path) -> None:
    """Store results of VBench, `*_eval_results.json` or a folder of them, in the evaluation folder.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it has no results of videos of this evaluation.
        OutputFailed: the file cannot be written.
    """
    files = sorted(path.glob("*_eval_results.json")) if path.is_dir() else [path]
    names = _names(evaluation)
    if not any(_values(file, names) for file in files):
        raise InvalidInput(f"{path} has no results of VBench for videos of {evaluation.folder / FOLDER}")
    for file in files:
        with atomic_write(evaluation.folder / FOLDER / IMPORTED / file.name) as temporary:
            shutil.copyfile(file, temporary)


def imported_values(evaluation: Evaluation) -> dict[tuple[str, str], dict[str, float]]:
    """Return the imported values by method and case.

    Raises:
        InvalidInput: a file is malformed.
    """
    found: dict[tuple[str, str], dict[str, float]] = {}
    for file in sorted((evaluation.folder / FOLDER / IMPORTED).glob("*.json")):
        for key, values in _values(file, _names(evaluation)).items():
            found.setdefault(key, {}).update(values)
    return found


def _names(evaluation: Evaluation) -> dict[str, tuple[str, str]]:
    """Return method and case by the name of the exported video."""
    return {
        f"{method}{SEPARATOR}{case}": (method, case) for method, videos in evaluation.results.items() for case in videos
    }


def _values(file: Path, names: Mapping[str, tuple[str, str]]) -> dict[tuple[str, str], dict[str, float]]:
    """Return the values of videos in a file of VBench: `{dimension: [mean, [{video_path, video_results}, ...]]}`."""
    tree: Any = read_json(file, "file of results of VBench")
    found: dict[tuple[str, str], dict[str, float]] = {}
    try:
        for dimension, (_, videos) in tree.items():
            for video in videos:
                key, value = names.get(Path(video["video_path"]).stem), float(video["video_results"])
                if key is not None and dimension in DIMENSIONS and math.isfinite(value):
                    found.setdefault(key, {})[f"vbench_{dimension}/all"] = value / SCALES.get(dimension, 1)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{file} is not a file of results of VBench: {error}") from error
    return found
