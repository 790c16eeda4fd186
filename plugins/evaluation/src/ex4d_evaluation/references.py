"""Read the videos of a case and check that they match; nothing is resampled."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.video_io import VideoInfo, probe_video, read_mask, read_video
from ex4d_evaluation.layout import GEOMETRY, Case, Evaluation
from ex4d_evaluation.metric import Frames, Region

REGIONS = ("all", "known", "hidden", "covisible", "edges")
"""Names of the regions, in the order of tables."""
MASKS = ("known", "covisible", "edges")
"""Names of the mask videos of a case; white is True."""


@attrs.frozen(kw_only=True)
class Pair:
    """A video of a method and the files that it is compared with."""

    method: str
    case: Case
    video: Path
    truth: Path | None
    guidance: Path | None
    masks: dict[str, Path]

    @property
    def files(self) -> list[Path]:
        """All files that determine the scores."""
        return [path for path in (self.video, self.truth, self.guidance, *self.masks.values()) if path is not None]


@attrs.frozen(kw_only=True, eq=False)
class Content:
    """The frames of a pair."""

    video: Frames
    truth: Frames | None
    guidance: Frames | None
    regions: dict[str, Region]
    """By name in `REGIONS`: `all`, and those for which there are masks."""


def pair_of(evaluation: Evaluation, method: str, case: Case) -> Pair | None:
    """Return a video and its references, or None if the method has no video of the case."""
    video = evaluation.results[method].get(case.name)
    if video is None:
        return None
    masks = {name: path for name in MASKS if (path := case.video(name)) is not None}
    guidance = evaluation.results.get(GEOMETRY, {}).get(case.name) or case.video("guidance")
    return Pair(
        method=method,
        case=case,
        video=video,
        truth=case.video("truth"),
        guidance=guidance if "known" in masks and method != GEOMETRY else None,
        masks=masks,
    )


def check_pair(pair: Pair) -> None:
    """Check that a video has the length, size and rate of its references, without decoding it.

    Raises:
        InputNotFound: a file does not exist.
        InvalidInput: a file cannot be read, or differs from its truth.
    """
    ours = probe_video(pair.video)
    references = {"truth": pair.truth, "guidance": pair.guidance, **{f"mask {k}": v for k, v in pair.masks.items()}}
    for what, path in references.items():
        if path is not None:
            theirs = probe_video(path)
            _check_length(pair.video, ours.num_frames, f"its {what} {path}", theirs.num_frames)
            _check_size(pair.video, (ours.width, ours.height), f"its {what} {path}", (theirs.width, theirs.height))
            if not path.is_dir():  # images have no rate
                _check_rate(pair.video, ours, f"its {what} {path}", theirs)


def read_pair(pair: Pair) -> Content:
    """Decode a video and its references.

    Raises:
        InputNotFound: a file does not exist.
        InvalidInput: a file is damaged, or differs from its truth.
    """
    video = _frames(pair.video)
    truth, guidance = (None if path is None else _frames(path) for path in (pair.truth, pair.guidance))
    height, width = (video if truth is None else truth).shape[1:3]
    regions = {"all": np.ones((len(video), height, width), bool)}
    for name, path in pair.masks.items():
        regions[name] = read_mask(path)[0].numpy()[:, :height, :width]
    if "known" in regions:
        regions["hidden"] = ~regions["known"]
    for what, frames in (("truth", truth), ("guidance", guidance), *regions.items()):
        if frames is not None:  # containers can declare another length than they have
            _check_length(pair.video, len(video), f"its {what}", len(frames))
            _check_size(pair.video, video.shape[2:0:-1], f"its {what}", frames.shape[2:0:-1])
    cut = (slice(None), slice(height), slice(width))
    return Content(
        video=video[cut], truth=truth, guidance=None if guidance is None else guidance[cut], regions=_ordered(regions)
    )


def _ordered(regions: dict[str, Region]) -> dict[str, Region]:
    return {name: regions[name] for name in REGIONS if name in regions}


def _frames(path: Path) -> Frames:
    frames: Frames = read_video(path, strict=True, warn=lambda text: None).frames.numpy()
    return frames


def _check_length(video: Path, ours: int, what: str, theirs: int) -> None:
    if ours != theirs:
        raise InvalidInput(f"{video} has {ours} frames but {what} has {theirs}; they must be equal")


def _check_size(video: Path, ours: tuple[int, ...], what: str, theirs: tuple[int, ...]) -> None:
    # H.264 has even sides, so `ex4d run` repeats an odd last column or row.
    if [side + side % 2 for side in ours] != [side + side % 2 for side in theirs]:
        raise InvalidInput(
            f"{video} has frames of {ours[0]}x{ours[1]} but {what} of {theirs[0]}x{theirs[1]}; "
            "they must be equal, since scores of resized videos cannot be compared"
        )


def _check_rate(video: Path, ours: VideoInfo, what: str, theirs: VideoInfo) -> None:
    if abs(float(ours.fps) - float(theirs.fps)) > 0.01:
        raise InvalidInput(
            f"{video} has {float(ours.fps):g} frames per second but {what} has {float(theirs.fps):g}; "
            "they must be equal, or frames show other times"
        )
