"""A view of a data set: a source clip and a target camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.cameras.files import CameraFile
from ex4d_core.errors import InputNotFound
from ex4d_core.types import Intrinsics


@attrs.frozen(kw_only=True)
class View:
    """A source clip and one target camera."""

    clip: str
    camera: str
    source: Path
    """Video or folder of images."""
    truth: Path | None
    """What the target camera saw, frame by frame in step with the source; None if the data set does not have it."""
    source_cameras: CameraFile
    """A pose for each frame of the source."""
    target_cameras: CameraFile
    """A pose for each frame of the source, in the same world and unit."""
    depth: dict[str, Any] | None = None
    """Options of the depth estimator, for depth of the data set in the unit of the poses; None: estimated."""
    covisible: tuple[Path, ...] = ()
    """Co-visibility mask of each frame: images that are white where the source sees the target's pixel."""
    edges: Path | None = None
    """Mask video of the pixels near edges of the true depth of the target, if it is known."""
    prompt: str = ""


@attrs.frozen(kw_only=True)
class Sampling:
    """Size of scenes that are rendered for the evaluation."""

    num_frames: int
    size: tuple[int, int]
    """Width and height in pixels."""


@attrs.frozen(kw_only=True)
class DataSet:
    """A layout of a data set."""

    name: str
    layout: str
    """Its files, for messages."""
    matches: Callable[[Path], bool]
    views: Callable[[Path, Path, Sampling], Iterator[View]]
    """Takes the folder of the data set, a folder for prepared files, and the size of rendered scenes."""


def lenses_of(file: CameraFile, size: tuple[int, int]) -> tuple[Intrinsics, ...] | None:
    """Return the intrinsics of a camera file for images of width x height, or None if it has none."""
    if file.intrinsics is not None:
        return tuple(lens.scaled_to(width=size[0], height=size[1]) for lens in file.intrinsics)
    return None if file.unsized is None else tuple(lens.sized(*size) for lens in file.unsized)


def required(path: Path, why: str) -> Path:
    """Return a path that must exist.

    Args:
        path: the path.
        why: what needs it, for the error.

    Raises:
        InputNotFound: it does not exist.
    """
    if not path.exists():
        raise InputNotFound(f"{path} does not exist, but {why}; the data set is incomplete, download it again")
    return path
