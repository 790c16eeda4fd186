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
    Format,
    ReadOptions,
    Says,
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

_ALL: frozenset[Says] = frozenset({"lens", "zoom", "time"})

FORMATS = {
    kind.name: kind
    for kind in (
        Format(
            name="ex4d", suffix=".npz", says=_ALL, content=ex4d_npz.content, read=ex4d_npz.read, write=ex4d_npz.write
        ),
        Format(
            name="json",
            suffix=".json",
            says=_ALL,
            content=json_of,
            read=matrices.read_matrices,
            write=matrices.write_matrices,
        ),
        Format(name="csv", suffix=".csv", says=_ALL, content=text_of, read=matrices.read_csv, write=matrices.write_csv),
        Format(
            name="nerfstudio",
            suffix=".json",
            says=_ALL,
            content=json_of,
            read=transforms.read,
            write=transforms.write_nerfstudio,
        ),
        Format(
            name="blender",
            suffix=".json",
            says=frozenset({"lens", "time"}),
            content=json_of,
            read=transforms.read,
            write=transforms.write_blender,
        ),
        Format(
            name="colmap",
            suffix="",
            says=frozenset({"lens", "zoom"}),
            content=colmap.content,
            read=colmap.read,
            write=colmap.write,
        ),
        Format(
            name="trajectorycrafter",
            suffix=".txt",
            says=frozenset(),
            content=text_of,
            read=trajectorycrafter.read,
            write=trajectorycrafter.write,
        ),
        Format(
            name="recammaster",
            suffix=".json",
            says=frozenset(),
            content=json_of,
            read=recammaster.read,
            write=recammaster.write,
        ),
    )
}
"""By name."""

_NEED_LENS = ("ex4d", "colmap")


def read_camera_path(path: Path, reading: ReadOptions | None = None, *, format: str | None = None) -> CameraFile:
    """Return what a camera file holds.

    Args:
        path: a file, or a folder of COLMAP's.
        reading: what the reader may need to know.
        format: a name in `FORMATS`; None looks at the name and at what is in it.

    Raises:
        InputNotFound: there is no such file.
        InvalidInput: it does not contain a camera path.
    """
    check_path(path, WHAT)
    kind, content = _opened(path, format)
    with file_errors(path, WHAT), naming(path):
        file = kind.read(content, attrs.evolve(reading or ReadOptions(), file=path))
    return attrs.evolve(file, warnings=tuple(f"{path} {doubt}" for doubt in file.warnings))


def write_camera_path(path: CameraPath, file: Path, *, format: str | None = None, distance: float = 1.0) -> None:
    """Write a path as a file that `--cam` takes and that gives the same path back.

    Args:
        path: poses and lens.
        file: where to; of COLMAP's a folder.
        format: a name in `FORMATS`; None goes by the suffix: .npz, .csv, .json, .txt (TrajectoryCrafter's).
        distance: to the subject, for formats that count in it, in the units of the path.

    Raises:
        InvalidInput: the format cannot say what the path does.
        OutputFailed: the file cannot be written.
    """
    value = CameraFile(
        world_to_camera=path.world_to_camera.double().numpy(), intrinsics=path.intrinsics, frames=path.frames
    )
    _write(value, file, _format(format) if format else _by_suffix(file), distance)


def write_keyframes(path: CameraPath, file: Path, *, shares: tuple[float, ...]) -> None:
    """Write poses as keyframes of a path, as JSON: `--cam FILE` goes smoothly through them at any number of frames.

    Args:
        path: a pose for each keyframe.
        file: where to, `.json`.
        shares: how much of the path is done at each keyframe, rising from 0 to 1.

    Raises:
        InvalidInput: there is not one share for each pose.
        OutputFailed: the file cannot be written.
    """
    if len(shares) != path.num_frames:
        raise InvalidInput(f"there are {path.num_frames} keyframes and {len(shares)} shares; give one for each")
    value = CameraFile(world_to_camera=path.world_to_camera.double().numpy(), intrinsics=path.intrinsics, shares=shares)
    _write(value, file, FORMATS["json"], 1.0)


def convert(
    source: Path, target: Path, *, to: str | None, reading: ReadOptions | None = None, format: str | None = None
) -> CameraFile:
    """Write what is in one camera file as another, and return it.

    Args:
        source: any file that `read_camera_path` takes.
        target: where to.
        to: a name in `FORMATS`; None goes by the suffix.
        reading: what the reader may need to know; its distance is for the writer too.
        format: of the source; None looks.

    Raises:
        InputNotFound: there is no such file.
        InvalidInput: it does not contain a camera path, the format cannot store it, or the target is the source.
        OutputFailed: the file cannot be written.
    """
    value = read_camera_path(source, reading, format=format)
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"{target} is the file that is read, and another tool may need it; write to another name")
    _write(value, target, _format(to) if to else _by_suffix(target), (reading or ReadOptions()).distance)
    return value


def _opened(path: Path, format: str | None) -> tuple[Format, Any]:
    """Return the format of a file, by its name and by what is in it where none is given, and its content."""
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
    for kind in FORMATS.values():  # of those with one suffix the first is the plainest
        if kind.suffix and kind.suffix == path.suffix.lower():
            return kind
    suffixes = ", ".join(sorted({kind.suffix for kind in FORMATS.values() if kind.suffix}))
    raise InvalidInput(f"{path} has no suffix of a camera path ({suffixes}); name the format: {', '.join(FORMATS)}")


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise InvalidInput(
            f"there is no camera format {shown(name)}{nearest(name[:100], FORMATS)}; known: {', '.join(FORMATS)}"
        )
    return FORMATS[name]


def _write(file: CameraFile, path: Path, kind: Format, distance: float) -> None:
    file = attrs.evolve(file, intrinsics=None) if "lens" not in kind.says and not _zooms(file) else file
    lost = [what for says, what in _NOT_SAID.items() if says not in kind.says and _DOES[says](file)]
    if lost:
        raise InvalidInput(f"{kind.name} cannot store {lost[0]}; use json")
    if kind.name in _NEED_LENS and file.intrinsics is None:
        raise InvalidInput(f"{kind.name} needs a lens, and the path has none; save it as json or csv")
    if file.shares is not None and kind.name != "json":
        raise InvalidInput(f"{kind.name} cannot say where keyframes are; save them as json")
    _refuse_to_replace(path, kind)
    with atomic_write(path) as temporary:
        kind.write(file, temporary, distance)


def _refuse_to_replace(path: Path, kind: Format) -> None:
    """Keep what else lies in a folder: the whole of it would make room for the model."""
    others = sorted({file.name for file in path.iterdir()} - set(colmap.FILES)) if path.is_dir() else []
    if others:
        raise InvalidInput(f"{path} holds {others[0]}, which {kind.name} would not keep; name a new folder")


def _zooms(file: CameraFile) -> bool:
    return file.intrinsics is not None and len(file.intrinsics) > 1


def _changes_time(file: CameraFile) -> bool:
    return file.frames is not None


_DOES: dict[Says, Callable[[CameraFile], bool]] = {"zoom": _zooms, "time": _changes_time}
_NOT_SAID: dict[Says, str] = {"zoom": "changing intrinsics", "time": "which frames of the clip are shown"}
