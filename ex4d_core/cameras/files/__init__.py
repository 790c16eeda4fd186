"""Read and write camera paths in the formats of ex4d and other tools; docs/cameras.md has the table of formats."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np

from ex4d_core.bounds import require
from ex4d_core.cameras.files._colmap_files import TEXT
from ex4d_core.cameras.files._detection import FORMATS, format_named, format_of
from ex4d_core.cameras.files._format import Capability, Format, content_of
from ex4d_core.cameras.files._poses import assumed_size, centered_size, convention_of_user, filled, named_gaps
from ex4d_core.cameras.files._value import WHAT, CameraFile, FieldSide, ReadOptions, check_rigid, naming
from ex4d_core.errors import InvalidInput
from ex4d_core.files import atomic_write, file_hash
from ex4d_core.reading import MOST_TEXT, as_path, check_path
from ex4d_core.reading import reading as file_errors
from ex4d_core.types import CameraPath

__all__ = [
    "FORMATS",
    "CameraFile",
    "FieldSide",
    "ReadOptions",
    "centered_size",
    "check_rigid",
    "content_hash",
    "convert",
    "filled",
    "named_gaps",
    "naming",
    "read_camera_path",
    "share_world",
    "write_camera_path",
    "write_keyframes",
]

_BY_SUFFIX = {".npz": "ex4d", ".csv": "csv", ".json": "json", ".txt": "trajectorycrafter"}
"""Format in which a file is written by default."""

_NEED_LENS = ("ex4d", "colmap")
_MODEL_FILES = ("images.txt", "cameras.txt", "images.bin", "cameras.bin")
"""Files that stand for the folder of a COLMAP model."""


def read_camera_path(path: str | Path, reading: ReadOptions | None = None, *, format: str | None = None) -> CameraFile:
    """Read a camera file; `cam="FILE"` moves the camera along it.

    Args:
        path: a file, or the folder of a COLMAP model.
        reading: information that the file may lack.
        format: a name in `FORMATS`; None: detected from name and content.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it does not contain a camera path.
    """
    path = as_path(path, WHAT)
    check_path(path, WHAT)
    content = content_of(path.parent if path.name in _MODEL_FILES else path)
    reading = attrs.evolve(reading or ReadOptions(), file=path)
    with file_errors(path, WHAT):
        kind = format_named(format) if format else format_of(content, reading)[0]
        if content.kind not in kind.kinds:
            raise InvalidInput(f"{path} is not a file of {kind.name}, which is: {kind.files}")
        with naming(path), convention_of_user(reading.convention) as conventions:
            file = kind.read(content, reading)
            if reading.convention is not None and not conventions:
                raise InvalidInput(f"convention= does not apply to {kind.name}, which has only one; remove it")
    notes = [
        f"is read as {reading.convention}, as requested, in place of {own}, the convention of {kind.name}"
        for own in [own for own in conventions if own != reading.convention][:1]
    ]
    warnings = (*file.warnings, *notes)
    return attrs.evolve(file, format=kind.name, warnings=tuple(f"{path} {warning}" for warning in warnings))


def share_world(one: str, other: str) -> bool:
    """Return whether files of two formats, by name, have one world: formats of one tool, whose world is its own."""
    first, second = FORMATS[one], FORMATS[other]
    return first.read is second.read and first.world not in ("ex4d", "its first pose")


def content_hash(path: Path, reading: ReadOptions | None = None, *, format: str | None = None) -> str:
    """Return a hash of the content of a camera file and of the files next to it or in it that it is read with.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it does not contain a camera path.
    """
    file = read_camera_path(path, reading, format=format)
    own = file_hash(path) if path.is_file() and path.stat().st_size <= MOST_TEXT else ""
    facts = (own, file.intrinsics, file.unsized, file.fov, file.fov_side, file.frames, file.times, file.positions)
    poses = hashlib.blake2b(np.ascontiguousarray(file.world_to_camera).tobytes(), digest_size=16).hexdigest()
    return hashlib.blake2b(f"{poses}\0{facts!r}".encode(), digest_size=16).hexdigest()


def write_camera_path(
    path: CameraPath | CameraFile, file: str | Path, *, format: str | None = None, distance: float = 1.0
) -> None:
    """Write a camera path to a file that `--cam` can read.

    Args:
        path: the poses and intrinsics, also as `read_camera_path` returns them.
        file: the output file; a folder for COLMAP.
        format: a name in `FORMATS`; None: by suffix, .npz, .csv, .json or .txt (TrajectoryCrafter).
        distance: distance to the subject in the units of the path, for formats that use it as unit of length.

    Raises:
        InvalidInput: the format cannot represent the path.
        OutputFailed: the file cannot be written.
    """
    file = as_path(file, "output file")
    if not isinstance(path, CameraFile):
        require(path, CameraPath, "write_camera_path")
        poses = path.world_to_camera.double().numpy()
        path = CameraFile(world_to_camera=poses, intrinsics=path.intrinsics, frames=path.frames)
    _write(path, file, format_named(format) if format else _by_suffix(file), distance)


def write_keyframes(path: CameraPath, file: Path, *, times: tuple[float, ...]) -> None:
    """Write keyframes as JSON; `--cam FILE` interpolates them smoothly at any number of frames.

    Args:
        path: a pose for each keyframe.
        file: the output file, `.json`.
        times: normalized time of each keyframe, increasing from 0 to 1.

    Raises:
        InvalidInput: the numbers of poses and times differ.
        OutputFailed: the file cannot be written.
    """
    if len(times) != path.num_frames:
        raise InvalidInput(f"there are {path.num_frames} keyframes but {len(times)} times; give one for each")
    value = CameraFile(world_to_camera=path.world_to_camera.double().numpy(), intrinsics=path.intrinsics, times=times)
    _write(value, file, FORMATS["json"], 1.0)


def convert(
    source: Path,
    target: Path,
    *,
    to: str | None,
    reading: ReadOptions | None = None,
    format: str | None = None,
    fill: bool = False,
) -> CameraFile:
    """Convert a camera file to another format, and return its content.

    Args:
        source: any file that `read_camera_path` accepts.
        target: the output file.
        to: a name in `FORMATS`; None: by the suffix of the target.
        reading: information that the source may lack; its distance is also used for writing.
        format: of the source; None: detected.
        fill: interpolate the poses of missing frames.

    Raises:
        InputNotFound: the source does not exist.
        InvalidInput: it does not contain a camera path, the format cannot store it, or the target is the source.
        OutputFailed: the file cannot be written.
    """
    value = assumed_size(read_camera_path(source, reading, format=format), source)
    if gaps := named_gaps(value):
        how = "interpolated" if fill else "left out; interpolate them with --fill"
        value = attrs.evolve(
            value, warnings=(*value.warnings, f"{source} has no pose of {gaps}, counted from 0: {how}")
        )
        value = filled(value) if fill else value
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"{target} is the input file; choose another output name")
    kind = format_named(to) if to else _by_suffix(target)
    _write(value, target, kind, (reading or ReadOptions()).distance)
    if value.intrinsics and "lens" not in kind.capabilities:
        lost = f"{target} has no intrinsics, because {kind.name} cannot store them"
        value = attrs.evolve(value, warnings=(*value.warnings, lost))
    return value


def _by_suffix(path: Path) -> Format:
    name = _BY_SUFFIX.get(path.suffix.lower())
    if name is None:
        written = ", ".join(kind.name for kind in FORMATS.values() if kind.write)
        raise InvalidInput(
            f"{path} has no suffix of a camera file ({', '.join(sorted(_BY_SUFFIX))}); specify the format: {written}"
        )
    return FORMATS[name]


def _write(file: CameraFile, path: Path, kind: Format, distance: float) -> None:
    if kind.write is None:
        written = ", ".join(each.name for each in FORMATS.values() if each.write)
        raise InvalidInput(f"{kind.name} is only read, not written; use one of {written}")
    file = attrs.evolve(file, intrinsics=None) if "lens" not in kind.capabilities and not _zooms(file) else file
    lost = [
        what
        for capability, what in _CONTENT.items()
        if capability not in kind.capabilities and _NEEDS[capability](file)
    ]
    if lost:
        raise InvalidInput(f"{kind.name} cannot store {lost[0]}; use json")
    if kind.name in _NEED_LENS and file.intrinsics is None:
        raise InvalidInput(f"{kind.name} requires intrinsics, which the path does not have; use json or csv")
    if file.times is not None and kind.name != "json":
        raise InvalidInput(f"{kind.name} cannot store keyframes; use json")
    _refuse_to_replace(path, kind)
    with atomic_write(path) as temporary:
        kind.write(file, temporary, distance)


def _refuse_to_replace(path: Path, kind: Format) -> None:
    """Refuse to replace a folder that contains other files."""
    others = sorted({file.name for file in path.iterdir()} - set(TEXT)) if path.is_dir() else []
    if others:
        raise InvalidInput(f"{path} contains {others[0]}, which would be deleted; choose a new folder")


def _zooms(file: CameraFile) -> bool:
    return file.intrinsics is not None and len(file.intrinsics) > 1


def _changes_time(file: CameraFile) -> bool:
    return file.frames is not None


_NEEDS: dict[Capability, Callable[[CameraFile], bool]] = {"zoom": _zooms, "time": _changes_time}
_CONTENT: dict[Capability, str] = {"zoom": "changing intrinsics", "time": "which frames of the clip are shown"}
