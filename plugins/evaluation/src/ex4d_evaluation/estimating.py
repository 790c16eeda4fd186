"""Estimate the camera paths of videos with a depth estimator, for camera errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.cameras.files import write_camera_path
from ex4d_core.config import RunConfig
from ex4d_core.errors import Ex4dError, InvalidInput
from ex4d_core.files import atomic_write, tree_hash
from ex4d_core.names import text_hash
from ex4d_core.pipeline.session import Session
from ex4d_core.progress import Progress, Reporter, SilentReporter, silent
from ex4d_core.reading import read_json
from ex4d_core.types import CameraPath, DepthVideo, Video
from ex4d_core.video_io import read_video
from ex4d_evaluation.layout import ESTIMATOR, SOURCE, Evaluation
from ex4d_evaluation.odometry import poses_by_odometry

VERSION = 1
"""Of this module and of odometry; another number invalidates cached paths."""


@attrs.frozen(kw_only=True)
class Estimated:
    """The outcome of an estimation."""

    folder: Path
    estimator: str
    """Name and method, for the notes of the table."""
    done: int
    failed: dict[str, str]
    """By METHOD/CASE, one sentence."""


def estimate_cameras(
    folder: str | Path,
    *,
    config: RunConfig | None = None,
    methods: Sequence[str] | None = None,
    reporter: Reporter | None = None,
) -> Estimated:
    """Write `cameras/METHOD/CLIP__CAMERA.npz` for all videos and source clips, with poses of a depth estimator.

    Poses of the estimator (`DepthVideo.cameras`) are used as they are; if it gives none, they are found by odometry on
    its depth and intrinsics. Paths are cached by the content of the video.

    Args:
        folder: the evaluation folder.
        config: selects the depth estimator.
        methods: names of methods, by default all.
        reporter: receives progress and messages; silent by default.

    Raises:
        InputNotFound: the folder or a method does not exist.
        InvalidInput: `cameras` has paths of another estimator, or the results are not named properly.
        ComponentNotFound: the estimator is not installed.
        OutputFailed: the folder cannot be written to.
    """
    evaluation = Evaluation(Path(folder))
    session = Session(config or RunConfig(), reporter=reporter or SilentReporter())
    videos = _videos(evaluation, evaluation.chosen(methods))
    chosen = session.choose("depth")
    name = f"{chosen.offer.name} {chosen.offer.source.version}"
    _claim(evaluation, name)
    key = json.dumps([VERSION, name, repr(chosen.options), getattr(chosen.options, "fingerprint", str)()])
    failed = {}
    with session.reporter.stage("cameras") as progress:
        progress(0, len(videos))
        for done, (place, video) in enumerate(videos.items(), start=1):
            stored = evaluation.folder / "cache" / f"cameras-{text_hash(key + tree_hash(video))}.npz"
            try:
                if not stored.exists():
                    write_camera_path(_estimated(session, video), stored)
                with atomic_write(evaluation.folder / "cameras" / f"{place}.npz") as temporary:
                    shutil.copyfile(stored, temporary)
            except Ex4dError as error:  # the other videos are estimated
                failed[place] = str(error)
            progress(done, len(videos))
    return Estimated(folder=evaluation.folder, estimator=name, done=len(videos) - len(failed), failed=failed)


def camera_path_of(video: Video, estimator: Any, *, progress: Progress = silent) -> CameraPath:
    """Return the camera path of a video (world = camera of frame 0) with intrinsics.

    Args:
        video: the frames.
        estimator: a depth estimator.
        progress: reports frames.

    Raises:
        InvalidInput: the estimator gives no poses, and none can be found with its depth.
    """
    depth: DepthVideo = estimator.estimate(video, progress=progress)
    if depth.cameras is None:
        return poses_by_odometry(video, depth, progress=progress)
    return attrs.evolve(depth.cameras, intrinsics=depth.intrinsics)


def estimator_of(evaluation: Evaluation) -> str:
    """Return the name of the estimator of `cameras`, or '' if the paths came from elsewhere.

    Raises:
        InvalidInput: the file that names it is damaged.
    """
    path = evaluation.folder / "cameras" / ESTIMATOR
    if not path.is_file():
        return ""
    facts = read_json(path, "estimator")
    if not isinstance(facts, dict) or not isinstance(facts.get("estimator"), str):
        raise InvalidInput(f"{path} does not name an estimator; remove the folder {path.parent} and estimate again")
    return str(facts["estimator"])


def _claim(evaluation: Evaluation, name: str) -> None:
    """Record the estimator; refuse a folder with other paths, which would be mixed or replaced."""
    folder = evaluation.folder / "cameras"
    owner = estimator_of(evaluation)
    if owner != name and any(path.is_file() for path in folder.glob("*/*")):
        raise InvalidInput(f"{folder} has camera paths of {owner or 'another estimator'}; rename it first")
    with atomic_write(folder / ESTIMATOR) as temporary:
        temporary.write_text(json.dumps({"estimator": name}))


def _videos(evaluation: Evaluation, methods: Sequence[str]) -> dict[str, Path]:
    """Return videos by METHOD/CASE, those of the source clips last."""
    found = {f"{method}/{case}": video for method in methods for case, video in evaluation.results[method].items()}
    sources = {f"{SOURCE}/{case.name}": case.video("source") for case in evaluation.cases.values()}
    return found | {place: video for place, video in sources.items() if video is not None}


def _estimated(session: Session, video: Path) -> CameraPath:
    frames = read_video(video, strict=True, warn=session.reporter.warn)
    return camera_path_of(frames, session.depth_estimator())
