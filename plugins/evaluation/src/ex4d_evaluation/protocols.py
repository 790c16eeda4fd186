"""Protocols: which camera paths each clip is run along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import attrs

from ex4d_core.errors import InputNotFound, InvalidConfig, InvalidInput
from ex4d_core.names import safe_name
from ex4d_core.runs.batch import find_clips
from ex4d_evaluation.datasets import View, data_set_of, synthetic
from ex4d_evaluation.datasets._record import Sampling
from ex4d_evaluation.layout import RANGES, SEPARATOR

Protocol = Literal["ranges", "truth"]


@attrs.frozen(kw_only=True)
class Plan:
    """A clip and a camera path to run."""

    name: str
    """CLIP__CAMERA."""
    source: Path
    cam: str = ""
    """The `--cam` text, if the path does not come from a data set."""
    view: View | None = None


def plans_of(
    data: Path, protocol: Protocol, *, staging: Path, sampling: Sampling, name: str | None = None
) -> list[Plan]:
    """Return the cases of a protocol, ordered by clip.

    Args:
        data: folder of clips, or of a data set.
        protocol: `ranges`: every clip along each range; `truth`: the pairs of a data set.
        staging: folder for prepared files.
        sampling: size of rendered scenes.
        name: name of the data set; None: recognized by its layout.

    Raises:
        InputNotFound: the folder does not exist or has no clips.
        InvalidInput: its layout is unknown, or a file cannot be read.
        InvalidConfig: a data set is named for `ranges`.
    """
    if protocol == "ranges" and (name is not None or str(data) == synthetic.DATA_SET.name):
        raise InvalidConfig(f"{name or data} is a data set with true views; use --protocol truth")
    plans = list(_ranges(data) if protocol == "ranges" else _pairs(data, staging, sampling, name))
    if not plans:
        raise InputNotFound(f"{data} has no clips")
    names = [plan.name for plan in plans]
    if repeated := next((each for each in names if names.count(each) > 1), None):
        raise InvalidInput(f"{data} has two cases named {repeated}; rename a clip")
    return plans


def _ranges(data: Path) -> Iterator[Plan]:
    clips = find_clips([str(data)])
    if clips == [data] and not data.exists():
        raise InputNotFound(f"{data} does not exist; pass a folder of clips")
    for clip in clips:
        for camera, span in RANGES.items():
            cam = span.removeprefix("0..")  # a plain angle starts at the source camera, also with --compat ex4d
            yield Plan(name=case_name(clip.stem if clip.is_file() else clip.name, camera), source=clip, cam=cam)


def _pairs(data: Path, staging: Path, sampling: Sampling, name: str | None) -> Iterator[Plan]:
    for view in data_set_of(data, name).views(data, staging, sampling):
        yield Plan(name=case_name(view.clip, view.camera), source=view.source, view=view)


def case_name(clip: str, camera: str) -> str:
    """Return CLIP__CAMERA with names that are valid for files."""
    return f"{safe_name(clip, most=100)}{SEPARATOR}{safe_name(camera.replace(SEPARATOR, '_'), most=100)}"
