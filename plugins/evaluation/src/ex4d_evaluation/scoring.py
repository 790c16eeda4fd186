"""Score the videos of all methods in an evaluation folder."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.files import atomic_write, tree_hash
from ex4d_core.names import text_hash
from ex4d_core.progress import Reporter, SilentReporter
from ex4d_core.reading import read_json
from ex4d_core.video_io import probe_video
from ex4d_evaluation.cameras import camera_errors
from ex4d_evaluation.estimating import estimator_of
from ex4d_evaluation.layout import GEOMETRY, MANIFEST, OF_SEED, SOURCE, Case, Evaluation, guidance_keys, method_of
from ex4d_evaluation.metrics import METRICS, MISSING, Measured, Metric
from ex4d_evaluation.networks import CLIP_LENGTH
from ex4d_evaluation.references import Content, Pair, check_pair, pair_of, read_pair
from ex4d_evaluation.report import write_report
from ex4d_evaluation.scores import Row, Scores, machine
from ex4d_evaluation.sets import SET_METRICS, SetMetric, set_scores
from ex4d_evaluation.tables import title, write_table
from ex4d_evaluation.vbench import imported_values

CACHE = "cache"
VERSION = 1
"""Of the metrics; another number invalidates cached values."""


def score(folder: str | Path, *, methods: Sequence[str] | None = None, reporter: Reporter | None = None) -> Scores:
    """Score the videos `results/METHOD/CLIP__CAMERA.mp4` of a folder.

    Writes `scores.json`, `table.md` and `report.html` there.
    References of a case are in `cases/CLIP__CAMERA/`: `truth`, `known` and `covisible` masks, `source`, and `camera`.
    Values are cached by the content of the files.

    Args:
        folder: the evaluation folder.
        methods: names of methods, by default all.
        reporter: receives progress and messages; silent by default.

    Raises:
        InputNotFound: the folder or a method does not exist, or there are no videos.
        InvalidInput: a video cannot be read, or has another length, size or rate than its truth.
        OutputFailed: the folder cannot be written to.
    """
    evaluation, reporter = Evaluation(Path(folder)), reporter or SilentReporter()
    chosen = evaluation.chosen(methods)
    cases = evaluation.cases.values()
    pairs = [pair for method in chosen for case in cases if (pair := pair_of(evaluation, method, case))]
    for pair in pairs:
        check_pair(pair)
    usable, external = _usable(METRICS, reporter), imported_values(evaluation)
    rows = []
    with reporter.stage("score") as progress:
        progress(0, len(pairs))
        for done, pair in enumerate(pairs, start=1):
            row = _row(evaluation, pair, usable)
            rows.append(attrs.evolve(row, values={**row.values, **external.get((pair.method, pair.case.name), {})}))
            progress(done, len(pairs))
    scores = Scores(
        rows=(*rows, *_source_rows(evaluation)),
        sets=set_scores(evaluation, pairs, reporter=reporter),
        cameras=_camera_order(evaluation),
        notes=(*_notes(evaluation, chosen, pairs), *_infinite(rows)),
        missing=_missing(METRICS) | _missing(SET_METRICS),
        facts={**machine(), "run": _manifest(evaluation)},
    )
    _write_json(scores, evaluation.folder / "scores.json")
    write_table(scores, evaluation.folder / "table.md")
    write_report(evaluation, scores)
    return scores


def _missing(metrics: Iterable[Metric | SetMetric]) -> dict[str, str]:
    return {metric.columns[0].name: why for metric in metrics if (why := metric.unavailable())}


def _usable(metrics: Iterable[Metric], reporter: Reporter) -> list[Metric]:
    usable = []
    for metric in metrics:
        if why := metric.unavailable():
            reporter.note(f"{metric.columns[0].label} is {MISSING}: {why}")
        else:
            usable.append(metric)
    return usable


def _row(evaluation: Evaluation, pair: Pair, metrics: Sequence[Metric]) -> Row:
    hashes = [tree_hash(path) for path in pair.files]
    decoded: list[Content] = []

    def content() -> Content:
        if not decoded:
            decoded.append(read_pair(pair))
        return decoded[0]

    curves: dict[str, list[float]] = {}
    for metric in metrics:
        key = text_hash("\0".join([metric.name, str(VERSION), *hashes, *pair.masks]))
        path = evaluation.folder / CACHE / f"{metric.name}-{key}.json"
        curves |= _cached(path, lambda metric=metric: _measured(metric, content()))  # type: ignore[misc]
    values = {name: mean for name, curve in curves.items() if not math.isnan(mean := _mean(curve))}
    return Row(
        method=method_of(pair.method),
        seed=pair.method.removeprefix(method_of(pair.method)).removeprefix(OF_SEED),
        case=pair.case.name,
        clip=pair.case.clip,
        camera=pair.case.camera,
        values=values | _camera_values(evaluation, pair.method, pair.case, "camera"),
        curves={name: curve for name, curve in curves.items() if len(curve) > 1},
    )


def _measured(metric: Metric, content: Content) -> dict[str, list[float]]:
    """Return the values of a metric by COLUMN/REGION; those of frames, or a single one."""
    reference = {"truth": content.truth, "guidance": content.guidance, "nothing": content.video}[metric.against]
    if reference is None:
        return {}
    regions = content.regions if metric.by_region else {"all": content.regions["all"]}
    if metric.against == "guidance":
        regions = {"all": content.regions["known"]}
    found: dict[str, list[float]] = {}
    for region, pixels in regions.items():
        measured: Measured = metric.measure(content.video, reference, pixels) if pixels.any() else {}
        found |= {f"{column}/{region}": np.atleast_1d(values).tolist() for column, values in measured.items()}
    return found


def _cached(path: Path, work: Callable[[], dict[str, list[float]]]) -> dict[str, list[float]]:
    """Return values from a file of the cache, which is written if it does not exist or is damaged."""
    try:
        stored = read_json(path, "cached scores")
        return {name: [float(value) for value in values] for name, values in stored.items()}
    except (InputNotFound, InvalidInput, AttributeError, TypeError, ValueError):
        found = work()
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({name: list(map(str, values)) for name, values in found.items()}))
    return found


def _mean(curve: Sequence[float]) -> float:
    defined = [value for value in curve if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def _camera_values(evaluation: Evaluation, method: str, case: Case, true: str) -> dict[str, float]:
    estimated, truth = evaluation.estimated_camera(method, case), case.camera_file(true)
    if estimated is None or truth is None:
        return {}
    return {f"{name}/all": value for name, value in camera_errors(estimated, truth).items()}


def _source_rows(evaluation: Evaluation) -> list[Row]:
    """Return the errors of the estimator on the source clips, which bound what errors of methods mean."""
    return [
        Row(method=SOURCE, case=case.name, clip=case.clip, camera=case.camera, values=values)
        for case in evaluation.cases.values()
        if (values := _camera_values(evaluation, SOURCE, case, "source_camera"))
    ]


def _camera_order(evaluation: Evaluation) -> tuple[str, ...]:
    listed = [str(case.get("camera")) for case in _manifest(evaluation).get("cases", []) if isinstance(case, dict)]
    return tuple(dict.fromkeys([*listed, *(case.camera for case in evaluation.cases.values())]))


def _manifest(evaluation: Evaluation) -> Mapping[str, Any]:
    path = evaluation.folder / MANIFEST
    if not path.is_file():
        return {}
    manifest = read_json(path, "manifest")
    if not isinstance(manifest, dict) or not isinstance(manifest.get("cases", []), list):
        raise InvalidInput(f"{path} is not a manifest; run ex4d eval run again")
    return manifest


def _notes(evaluation: Evaluation, methods: Sequence[str], pairs: Sequence[Pair]) -> Iterable[str]:
    """Yield what readers of the table must know."""
    for method in methods:
        absent = [name for name in evaluation.cases if name not in evaluation.results[method]]
        if absent:
            yield f"{method} lacks {len(absent)} of {len(evaluation.cases)} videos, such as {absent[0]}"
    for method in methods:
        if method_of(method) != method and method_of(method) in methods:
            yield (
                f"{method_of(method)} has results with and without seeds, which are pooled; a seed that is in both "
                "counts twice, so remove one"
            )
            break
    without = {pair.case.name for pair in pairs if pair.truth is None}
    if without:
        yield (
            f"{len(without)} of {len(evaluation.cases)} cases have no truth, such as {min(without)}, so they have no "
            "PSNR, SSIM or LPIPS"
        )
    if len({pair.case.clip for pair in pairs}) == 1:
        yield "there is one clip only, so intervals cannot be given, and FID and FVD would mean nothing"
    yield from _mixed_guidance(evaluation, methods)
    yield from _short(pairs)
    if not any(evaluation.estimated_camera(pair.method, pair.case) for pair in pairs):
        yield (
            f"camera errors are {MISSING}: there are no paths cameras/METHOD/CLIP__CAMERA.*; estimate them with "
            "ex4d eval cameras, or store those of another tool"
        )
    elif estimator := estimator_of(evaluation):
        yield f"camera paths were estimated with {estimator}; the row {SOURCE} has its own error"


def _mixed_guidance(evaluation: Evaluation, methods: Iterable[str]) -> Iterable[str]:
    """Yield a note if methods were run with different guidance; the folder has that of the last run only."""
    chosen = set(methods)
    for case in evaluation.cases.values():
        keys = guidance_keys(case.folder)
        if len({key for method, key in keys.items() if method in chosen}) > 1:
            yield (
                f"{', '.join(keys)} were run with different guidance of {case.name}: known and hidden pixels, PSNR to "
                f"guidance and the row {GEOMETRY} are from that of {list(keys)[-1]}, the last run; run them with "
                "the same options of depth, mesh and guidance, or in separate folders"
            )
            return


def _short(pairs: Sequence[Pair]) -> Iterable[str]:
    """Yield a note on videos that are shorter than the clips of FVD."""
    short = [pair for pair in pairs if probe_video(pair.video).num_frames < CLIP_LENGTH]
    if short:
        yield (
            f"{len(short)} of {len(pairs)} videos have fewer than {CLIP_LENGTH} frames, such as {short[0].method}/"
            f"{short[0].case.name}, so they do not count in FVD"
        )


def _infinite(rows: Iterable[Row]) -> Iterable[str]:
    """Yield a note on means that are infinite because of frames without an error."""
    found = [(row, name) for row in rows for name, value in row.values.items() if math.isinf(value)]
    if found:
        row, name = found[0]
        count = len({id(row) for row, _ in found})
        yield (
            f"{count} videos have frames that equal their reference in a region, "
            f"such as {row.method}/{row.case} ({title(name)}); their PSNR is infinite, and so is the mean of the method"
        )


def _write_json(scores: Scores, path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(scores.as_json(), indent=1) + "\n", encoding="utf-8")
