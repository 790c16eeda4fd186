"""Read and write camera paths in the formats of ex4d and other tools; docs/cameras.md has the table of formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.bounds import shown
from ex4d_core.cameras.files import colmap, ex4d_npz, matrices, recammaster, trajectorycrafter, transforms
from ex4d_core.cameras.files._value import (
    WHAT,
    CameraFile,
    Capability,
    Format,
    ReadOptions,
    check_rigid,
    json_of,
    naming,
    text_of,
)
from ex4d_core.errors import InvalidInput, nearest
from ex4d_core.files import atomic_write
from ex4d_core.reading import check_path
from ex4d_core.reading import reading as file_errors
from ex4d_core.types import CameraPath

__all__ = [
    "FORMATS",
    "CameraFile",
    "ReadOptions",
    "check_rigid",
    "convert",
    "naming",
    "read_camera_path",
    "write_camera_path",
    "write_keyframes",
]

_ALL: frozenset[Capability] = frozenset({"lens", "zoom", "time"})

FORMATS = {
    kind.name: kind
    for kind in (
        Format(
            name="ex4d",
            suffix=".npz",
            capabilities=_ALL,
            content=ex4d_npz.content,
            read=ex4d_npz.read,
            write=ex4d_npz.write,
        ),
        Format(
            name="json",
            suffix=".json",
            capabilities=_ALL,
            content=json_of,
            read=matrices.read_matrices,
            write=matrices.write_matrices,
        ),
        Format(
            name="csv",
            suffix=".csv",
            capabilities=_ALL,
            content=text_of,
            read=matrices.read_csv,
            write=matrices.write_csv,
        ),
        Format(
            name="nerfstudio",
            suffix=".json",
            capabilities=_ALL,
            content=json_of,
            read=transforms.read,
            write=transforms.write_nerfstudio,
        ),
        Format(
            name="blender",
            suffix=".json",
            capabilities=frozenset({"lens", "time"}),
            content=json_of,
            read=transforms.read,
            write=transforms.write_blender,
        ),
        Format(
            name="colmap",
            suffix="",
            capabilities=frozenset({"lens", "zoom"}),
            content=colmap.content,
            read=colmap.read,
            write=colmap.write,
        ),
        Format(
            name="trajectorycrafter",
            suffix=".txt",
            capabilities=frozenset(),
            content=text_of,
            read=trajectorycrafter.read,
            write=trajectorycrafter.write,
        ),
        Format(
            name="recammaster",
            suffix=".json",
            capabilities=frozenset(),
            content=json_of,
            read=recammaster.read,
            write=recammaster.write,
        ),
    )
}
"""Formats by name."""

_NEED_LENS = ("ex4d", "colmap")


def read_camera_path(path: Path, reading: ReadOptions | None = None, *, format: str | None = None) -> CameraFile:
    """Read a camera file.

    Args:
        path: a file, or the folder of a COLMAP model.
        reading: information that the file may lack.
        format: a name in `FORMATS`; None: detected from name and content.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it does not contain a camera path.
    """
    check_path(path, WHAT)
    kind, content = _opened(path, format)
    with file_errors(path, WHAT), naming(path):
        file = kind.read(content, attrs.evolve(reading or ReadOptions(), file=path))
    return attrs.evolve(file, warnings=tuple(f"{path} {warning}" for warning in file.warnings))


def write_camera_path(path: CameraPath, file: Path, *, format: str | None = None, distance: float = 1.0) -> None:
    """Write a camera path to a file that `--cam` can read.

    Args:
        path: the poses and intrinsics.
        file: the output file; a folder for COLMAP.
        format: a name in `FORMATS`; None: by suffix, .npz, .csv, .json or .txt (TrajectoryCrafter).
        distance: distance to the subject in the units of the path, for formats that use it as unit of length.

    Raises:
        InvalidInput: the format cannot represent the path.
        OutputFailed: the file cannot be written.
    """
    value = CameraFile(
        world_to_camera=path.world_to_camera.double().numpy(), intrinsics=path.intrinsics, frames=path.frames
    )
    _write(value, file, _format(format) if format else _by_suffix(file), distance)


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
    source: Path, target: Path, *, to: str | None, reading: ReadOptions | None = None, format: str | None = None
) -> CameraFile:
    """Convert a camera file to another format, and return its content.

    Args:
        source: any file that `read_camera_path` accepts.
        target: the output file.
        to: a name in `FORMATS`; None: by the suffix of the target.
        reading: information that the source may lack; its distance is also used for writing.
        format: of the source; None: detected.

    Raises:
        InputNotFound: the source does not exist.
        InvalidInput: it does not contain a camera path, the format cannot store it, or the target is the source.
        OutputFailed: the file cannot be written.
    """
    value = read_camera_path(source, reading, format=format)
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"{target} is the input file; choose another output name")
    _write(value, target, _format(to) if to else _by_suffix(target), (reading or ReadOptions()).distance)
    return value


def _opened(path: Path, format: str | None) -> tuple[Format, Any]:
    """Return the format of a file, by default detected from name and content, and its content."""
    if format:
        kind = _format(format)
    elif path.is_dir() or path.name in ("images.txt", "cameras.txt"):
        kind = FORMATS["colmap"]
    elif path.suffix.lower() == ".json":
        tree = json_of(path)
        return _of_tree(tree, path), tree
    else:
        kind = _by_suffix(path)
    return kind, kind.content(path)


def _of_tree(tree: Any, path: Path) -> Format:
    if not isinstance(tree, dict) or {"world_to_camera", "camera_to_world"} & set(tree):
        return FORMATS["json"]
    if "frame0" in tree:
        return FORMATS["recammaster"]
    if "frames" in tree:
        return FORMATS["nerfstudio" if "fl_x" in tree else "blender"]
    raise InvalidInput(
        f"{path} is not a camera path: it has neither world_to_camera, camera_to_world, frames nor frame0; "
        "docs/cameras.md describes the formats"
    )


def _by_suffix(path: Path) -> Format:
    for kind in FORMATS.values():  # the first format of a suffix is its default
        if kind.suffix and kind.suffix == path.suffix.lower():
            return kind
    suffixes = ", ".join(sorted({kind.suffix for kind in FORMATS.values() if kind.suffix}))
    raise InvalidInput(f"{path} has no suffix of a camera file ({suffixes}); specify the format: {', '.join(FORMATS)}")


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise InvalidInput(
            f"unknown camera format {shown(name)}{nearest(name[:100], FORMATS)}; use one of {', '.join(FORMATS)}"
        )
    return FORMATS[name]


def _write(file: CameraFile, path: Path, kind: Format, distance: float) -> None:
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
    others = sorted({file.name for file in path.iterdir()} - set(colmap.FILES)) if path.is_dir() else []
    if others:
        raise InvalidInput(f"{path} contains {others[0]}, which would be deleted; choose a new folder")


def _zooms(file: CameraFile) -> bool:
    return file.intrinsics is not None and len(file.intrinsics) > 1


def _changes_time(file: CameraFile) -> bool:
    return file.frames is not None


_NEEDS: dict[Capability, Callable[[CameraFile], bool]] = {"zoom": _zooms, "time": _changes_time}
_CONTENT: dict[Capability, str] = {"zoom": "changing intrinsics", "time": "which frames of the clip are shown"}
