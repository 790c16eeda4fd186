"""A user study: a page of blind pairs of videos, and the table of preferences from its answers."""

from __future__ import annotations

import csv
import io
import itertools
import json
import secrets
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidInput
from ex4d_core.files import atomic_write
from ex4d_core.reading import read_json, read_text
from ex4d_core.video_io import read_video, write_video
from ex4d_evaluation.layout import GEOMETRY, Evaluation, method_of
from ex4d_evaluation.report import embedded

STUDY, KEY = "user_study", "user_study_key.json"
"""Folder of the page, and the file that says which video is whose; the file is not for participants."""

ANSWERS = ("left", "same", "right")


@attrs.frozen(kw_only=True)
class Preference:
    """How often a method was preferred to another."""

    method: str
    other: str
    wins: int
    ties: int
    losses: int

    @property
    def rate(self) -> float:
        """Fraction of wins; a tie counts as half of one."""
        return (self.wins + self.ties / 2) / (self.wins + self.ties + self.losses)


def write_study(folder: Path, *, methods: Sequence[str] | None = None) -> Path:
    """Write `user_study/index.html` with all pairs of methods for each case, and the key that identifies the videos.

    Names of methods are in the key only: videos are copied under random names, also as MP4 without metadata.

    Args:
        folder: the evaluation folder.
        methods: by default all but the guidance.

    Raises:
        InputNotFound: the folder or a method does not exist.
        InvalidInput: there are fewer than two methods, there is a key of another study, or a video cannot be read.
        OutputFailed: a file cannot be written.
    """
    evaluation = Evaluation(folder)
    chosen = evaluation.chosen(methods or [name for name in evaluation.results if name != GEOMETRY])
    chosen = list({method_of(name): name for name in reversed(chosen)}.values())[::-1]  # one seed of each
    if len(chosen) < 2:
        raise InvalidInput(
            f"a user study compares at least two methods, but {folder} has {', '.join(chosen) or 'none'}"
        )
    if (folder / KEY).exists():
        raise InvalidInput(f"{folder / KEY} is the key of another study, whose answers depend on it; rename it first")
    key: dict[str, dict[str, str]] = {}
    pairs = []
    shutil.rmtree(folder / STUDY, ignore_errors=True)
    for case in evaluation.cases.values():
        copies: dict[str, str] = {}
        for method in chosen:
            if video := evaluation.results[method].get(case.name):
                copies[method] = _copied(video, folder)
                key[copies[method]] = {"method": method_of(method), "case": case.name}
        source = case.video("source")
        shown_source = _copied(source, folder) if source and len(copies) > 1 else None
        pairs += [
            {"a": copies[a], "b": copies[b], "source": shown_source} for a, b in itertools.combinations(copies, 2)
        ]
    page = resources.files("ex4d_evaluation").joinpath("user_study.html").read_text(encoding="utf-8")
    _write(folder / KEY, json.dumps(key, indent=1))
    _write(folder / STUDY / "index.html", page.replace("__DATA__", embedded(pairs)))
    return folder / STUDY / "index.html"


def _copied(video: Path, folder: Path) -> str:
    name = secrets.token_hex(6)
    write_video(read_video(video, warn=lambda text: None), folder / STUDY / "videos" / f"{name}.mp4")
    return name


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def preferences(folder: Path, answers: Sequence[Path]) -> list[Preference]:
    """Return the preferences between each two methods, from the answers of participants.

    Args:
        folder: the evaluation folder.
        answers: CSV files with the columns left, right and answer.

    Raises:
        InputNotFound: a file does not exist.
        InvalidInput: a file is malformed or belongs to another study, or there are no answers.
    """
    key: Any = read_json(folder / KEY, "key of the user study")
    counts: dict[tuple[str, str], list[int]] = {}
    for path in answers:
        for number, row in enumerate(csv.DictReader(io.StringIO(read_text(path, "answers"))), start=2):
            videos = [key.get(row.get(side) or "") if isinstance(key, dict) else None for side in ("left", "right")]
            if not all(isinstance(video, dict) for video in videos) or row.get("answer") not in ANSWERS:
                raise InvalidInput(f"line {number} of {path} is not an answer to this study: {shown(dict(row))}")
            first, second = (str(video["method"]) for video in videos if video)
            ahead = ANSWERS.index(str(row["answer"]))
            if first > second:
                first, second, ahead = second, first, 2 - ahead
            counts.setdefault((first, second), [0, 0, 0])[ahead] += 1
    if not counts:
        raise InvalidInput(f"{', '.join(map(str, answers))} has no answers; save them with the button of the page")
    return [
        Preference(method=first, other=second, wins=wins, ties=ties, losses=losses)
        for (first, second), (wins, ties, losses) in sorted(counts.items())
    ]


def preference_table(found: Sequence[Preference]) -> str:
    """Return a Markdown table of preferences."""
    lines = ["| method | preferred | no difference | other preferred | other | rate |", "|---|---:|---:|---:|---|---:|"]
    lines += [
        f"| {each.method} | {each.wins} | {each.ties} | {each.losses} | {each.other} | {each.rate:.1%} |"
        for each in found
    ]
    return "\n".join([*lines, "", "A tie counts as half of a preference in the rate.", ""])
