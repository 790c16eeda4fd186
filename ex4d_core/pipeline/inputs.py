"""The files that a run reads; it never writes over them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ex4d_core.cameras.language import FILE, CamError, parse_path
from ex4d_core.config.run_config import ComponentConfig, RunConfig
from ex4d_core.errors import OutputFailed
from ex4d_core.roles import ROLES


def input_files(config: RunConfig, clip: Path | None) -> list[Path]:
    """Return the files and folders that a run reads: the clip, camera files, and options that name a file."""
    named = [config.lens.intrinsics, config.path.source_cameras]
    for role in ROLES:
        component: ComponentConfig = getattr(config, role)
        named += [value for value in component.options.values() if isinstance(value, str)]
    named += [os.path.join(config.cam_folder, file) for file in camera_files(config.cam)]
    paths = ([] if clip is None else [clip]) + [Path(name) for name in named if name]
    return [path for path in paths if _exists(path)]


def camera_files(cams: Iterable[str]) -> list[str]:
    """Return the camera files that `--cam` texts name."""
    files = []
    for text in cams:
        try:
            moves = [move for segment in parse_path(text) for move in segment]
        except CamError:  # the run reports it
            continue
        files += [str(move.options["path"]) for move in moves if move.name == FILE and "path" in move.options]
    return files


def is_input(path: Path, inputs: Iterable[Path]) -> bool:
    """Return whether a file or folder is an input or contains one, also through links and names in other case."""
    return any(is_same(path, each) or (path.is_dir() and _is_inside(each, path)) for each in inputs)


def refuse_inputs(outputs: Iterable[Path], inputs: Sequence[Path], *, instead: str = "another --output-dir") -> None:
    """Check that no output is an input or lies in a folder of images that is one.

    Args:
        outputs: files and folders that will be written.
        inputs: files and folders that are read.
        instead: what to choose instead, for the message.

    Raises:
        OutputFailed: an input would be changed.
    """
    for path in outputs:
        if is_input(path, inputs):
            raise OutputFailed(f"{path} is an input of this run, which is not overwritten; choose {instead}")
        if any(each.is_dir() and is_same(path.parent, each) for each in inputs):
            raise OutputFailed(f"{path.parent} is an input of this run, which is not changed; choose {instead}")


def _exists(path: Path) -> bool:
    try:
        return os.path.exists(path)
    except ValueError:  # a NUL
        return False


def is_same(path: Path, other: Path) -> bool:
    """Return whether two paths are one file or folder; not if one does not exist."""
    with suppress(OSError, ValueError):
        return os.path.samefile(path, other)
    return False


def _is_inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
