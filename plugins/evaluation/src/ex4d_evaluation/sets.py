"""Metrics of sets of videos: the Fréchet distance of the features of two networks, FID and FVD."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ex4d_core.files import atomic_write, tree_hash
from ex4d_core.progress import Reporter
from ex4d_core.video_io import read_video
from ex4d_evaluation import networks
from ex4d_evaluation.layout import Evaluation, method_of
from ex4d_evaluation.metric import Column, Frames
from ex4d_evaluation.references import Pair

Features = NDArray[np.float32]


@attrs.frozen(kw_only=True)
class SetMetric:
    """A metric of the videos of a method together, compared with reference videos."""

    name: str
    columns: tuple[Column, ...]
    features: Callable[[Frames], Features]
    """Takes a video, returns float32 [N, D]: a row for each frame or clip."""
    unavailable: Callable[[], str]
    """Returns why it cannot be computed here, with what to install, or ''."""


REFERENCE = "against the true views, or the source clips if a case has no truth"

SET_METRICS: tuple[SetMetric, ...] = (
    SetMetric(
        name="fid",
        features=networks.inception_features,
        unavailable=networks.inception_unavailable,
        columns=(
            Column(
                name="fid",
                label="FID",
                better="lower",
                definition=f"Fréchet distance of the InceptionV3 features of all frames, {REFERENCE}; network and "
                "resizing (bilinear, as TensorFlow 1) of torch-fidelity; values of other resizing filters differ",
            ),
        ),
    ),
    SetMetric(
        name="fvd",
        features=networks.i3d_features,
        unavailable=networks.i3d_unavailable,
        columns=(
            Column(
                name="fvd",
                label="FVD",
                better="lower",
                definition="Fréchet distance of the I3D logits of consecutive clips of "
                f"{networks.CLIP_LENGTH} frames of all videos, {REFERENCE}; network and preprocessing of cd-fvd",
            ),
        ),
    ),
)


def set_scores(
    evaluation: Evaluation, pairs: Sequence[Pair], *, reporter: Reporter
) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    """Return scores by method, then camera or `all`, then column."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for metric in SET_METRICS:
        if metric.unavailable():
            continue
        reporter.note(metric.columns[0].label)
        for method in dict.fromkeys(method_of(pair.method) for pair in pairs):
            for camera in (*dict.fromkeys(pair.case.camera for pair in pairs), "all"):
                own = [
                    pair for pair in pairs if method_of(pair.method) == method and camera in (pair.case.camera, "all")
                ]
                distance = _distance(metric, own, evaluation.folder / "cache")
                if distance is not None:
                    found.setdefault(method, {}).setdefault(camera, {})[metric.name] = distance
    return found


def _distance(metric: SetMetric, pairs: Sequence[Pair], cache: Path) -> float | None:
    videos, references = [pair.video for pair in pairs], _references(pairs)
    made, real = (_all_features(metric, paths, cache) for paths in (videos, references))
    return frechet_distance(made, real) if min(len(made), len(real)) > 1 else None


def _references(pairs: Sequence[Pair]) -> list[Path]:
    """Return the true views, or each source clip once if a case has no truth."""
    if all(pair.truth is not None for pair in pairs):
        return list(dict.fromkeys(pair.truth for pair in pairs if pair.truth is not None))
    sources = {pair.case.clip: pair.case.video("source") for pair in pairs}
    return [path for path in sources.values() if path is not None]


def _all_features(metric: SetMetric, videos: Iterable[Path], cache: Path) -> Features:
    rows = [_cached_features(metric, video, cache) for video in videos]
    rows = [each for each in rows if len(each)]
    return np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)


def _cached_features(metric: SetMetric, video: Path, cache: Path) -> Features:
    path = cache / f"features-{metric.name}-{tree_hash(video)}.npy"
    if path.is_file():
        stored: Features = np.load(path)
        return stored
    features = metric.features(read_video(video, strict=True, warn=lambda text: None).frames.numpy())
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.save(file, features)
    return features


def frechet_distance(one: Features, other: Features) -> float:
    """Return the Fréchet distance of two normal distributions with the means and covariances of features.

    The trace of the root of the product of the covariances is the nuclear norm of the product of the centered
    features, which is exact also for fewer rows than columns.

    Args:
        one: float32 [N, D], N at least 2.
        other: float32 [M, D], M at least 2.
    """
    a, b = (each.astype(np.float64) for each in (one, other))
    shift = a.mean(axis=0) - b.mean(axis=0)
    a, b = ((each - each.mean(axis=0)) / np.sqrt(len(each) - 1) for each in (a, b))
    # X = QR: the orthogonal factors do not change the nuclear norm of the product.
    first, second = (np.linalg.qr(each).R for each in (a, b))
    root = np.linalg.norm(first @ second.T, ord="nuc")
    return float(shift @ shift + (a * a).sum() + (b * b).sum() - 2 * root)
