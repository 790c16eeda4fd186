"""Artifacts of ViPE (vipe/utils/io.py): `pose/CLIP.npz`, `intrinsics/CLIP.npz`: `data`, and frame numbers `inds`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ex4d_core.arrays import open_npz
from ex4d_core.bounds import numbers
from ex4d_core.cameras.files._arrays import array_of, read_arrays
from ex4d_core.cameras.files._format import Content, Format, Match, certain, folder_of
from ex4d_core.cameras.files._poses import lens_fields
from ex4d_core.cameras.files._value import WHAT, CameraFile, ReadOptions
from ex4d_core.errors import InvalidInput

POSES, LENSES = "pose", "intrinsics"


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the poses of a clip, and its intrinsics if they are in the neighboring folder.

    Raises:
        InvalidInput: it has no poses, or the folder has several clips.
    """
    if content.kind == "folder":
        path = _clip(content.path / POSES, reading)
        content = Content(path, "npz", open_npz(path, WHAT))
    if content.shape("data")[1:] == (4,):
        raise InvalidInput(f"it has the intrinsics of ViPE; use ../{POSES}/{content.path.name}, which has the poses")
    file = read_arrays(content, "data", "c2w-opencv")
    frames = _frames(array_of(content, "inds"), file.num_poses)
    warnings, fields = _lenses(content.path.parent.parent / LENSES / content.path.name, frames)
    order = frames - frames[0]
    return attrs.evolve(
        file,
        positions=tuple(order.tolist()) if order[-1] >= len(order) else None,
        warnings=warnings,
        **fields,
    )


def _frames(inds: np.ndarray, poses: int) -> np.ndarray:
    frames = numbers(inds, "inds")
    if frames.shape != (poses,) or (np.diff(frames) <= 0).any() or (frames % 1).any():
        raise InvalidInput("inds must be increasing frame numbers, one for each pose")
    return frames.astype(np.int64)


def _lenses(path: Path, frames: np.ndarray) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return warnings and the field of the intrinsics of some frames."""
    if not path.is_file():
        return (), {}
    arrays = open_npz(path, WHAT)
    if not {"data", "inds"} <= set(arrays):
        return (f"has no intrinsics: {path} has no arrays data and inds",), {}
    data, inds = numbers(arrays["data"], "data"), numbers(arrays["inds"], "inds")
    if data.ndim != 2 or data.shape[1] < 4 or inds.shape != data.shape[:1]:
        return (f"has no intrinsics: the shape of data in {path} is not [T, 4]",), {}
    at = np.searchsorted(inds, frames).clip(0, len(inds) - 1)
    if (inds[at] != frames).any():
        return (f"has no intrinsics: {path} does not have all frames",), {}
    distorted = ("has a lens model with distortion, which is ignored",) if data.shape[1] > 4 else ()
    return distorted, lens_fields(data[at, :4], None, len(frames))


def _clip(folder: Path, reading: ReadOptions) -> Path:
    files = folder_of(folder).matching(r".*\.npz")
    if reading.camera is not None:
        files = [file for file in files if file.stem == reading.camera]
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:8]) or "none"
        raise InvalidInput(f"its folder {POSES} has several clips or none ({names}); use one of its files")
    return files[0]


def _matches(content: Content) -> Match | None:
    if content.kind == "folder":
        return certain(f"folders {POSES} and {LENSES}") if {POSES, LENSES} <= set(content.value.names) else None
    return certain("data and inds") if content.has("data", "inds") else None


FORMATS = (
    Format(
        name="vipe",
        files="`pose/*.npz` of ViPE: `data`, `inds`; or the folder of its artifacts",
        kinds=("npz", "folder"),
        matches=_matches,
        read=read,
        convention="c2w-opencv",
        lens="`../intrinsics/*.npz`, pixels, can change",
    ),
)
