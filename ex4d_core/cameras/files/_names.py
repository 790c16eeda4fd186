"""Names of images: the camera that took each, and their order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from ex4d_core.bounds import shown
from ex4d_core.cameras.files._value import ReadOptions, natural_order
from ex4d_core.errors import InvalidInput
from ex4d_core.names import natural_key


def order_of_names(names: Sequence[str]) -> list[int]:
    """Return the indices that sort images by their numbers, across folders such as `train` and `test`.

    Folders are sorted one after the other if they have images of the same name.
    """
    files = [PurePosixPath(name.replace("\\", "/")).name for name in names]
    if len(set(files)) < len(files):
        return natural_order(names)
    return sorted(range(len(names)), key=lambda index: natural_key(files[index]))


def of_camera(names: Sequence[str], cameras: Sequence[str], reading: ReadOptions, *, rig: bool = False) -> list[int]:
    """Return the indices of the images of the selected camera, or of the only one.

    Args:
        names: of the images.
        cameras: number or description of the camera of each image.
        reading: has the selected camera: a folder, the beginning of a name, or one of `cameras`.
        rig: whether several cameras film at the same time.

    Raises:
        InvalidInput: there are several cameras, or the selected one does not exist.
    """
    views = _views(names, cameras, rig=rig)
    every = list(range(len(names)))
    if reading.camera is None and len(set(views)) == 1:
        return every
    chosen = [at for at in every if reading.camera in (views[at], cameras[at]) and views[at]]
    chosen = chosen or [at for at in every if cameras[at] == reading.camera]
    if chosen:
        return chosen
    problem = f"has no camera {shown(reading.camera)}" if reading.camera else "has images of several cameras"
    known = sorted({view or camera for view, camera in zip(views, cameras, strict=True)} - {""})[:10]
    out_of = f"; select one with {reading.file.name}:camera=NAME, out of {', '.join(known)}" if known else ""
    raise InvalidInput(f"it {problem}{out_of}")


def _views(names: Sequence[str], cameras: Sequence[str], *, rig: bool) -> list[str]:
    """Return the camera that took each image: its folder, or the rest of its name, or its number.

    Folders with images of different numbers, such as `train` and `test`, are of one camera if it has one number.
    """
    paths = [PurePosixPath(name.replace("\\", "/")) for name in names]
    folders = [str(path.parent) for path in paths]
    parts = [_parts(path.stem) for path in paths]
    sides, numbers = [side for side, _ in parts], [number for _, number in parts]
    if _several(folders) and (rig or _several(cameras) or len(set(numbers)) < len(numbers)):
        stems = [path.stem for path in paths]
        return stems if _tells(stems, cameras) and not _tells(folders, cameras) else folders
    if _several(sides) and max(Counter(numbers).values()) > 1:
        return sides
    if rig and _several(cameras):
        return list(cameras)
    return [""] * len(names)


def _parts(stem: str) -> tuple[str, str]:
    """Return a name without its last number, and the number: left and 003 of left_003 or 003_left."""
    digits = re.search(r"([0-9]+)[^0-9]*$", stem)
    if digits is None:
        return stem, ""
    return f"{stem[: digits.start(1)]}{stem[digits.end(1) :]}".strip("_-. "), digits[1]


def _tells(groups: Sequence[str], cameras: Sequence[str]) -> bool:
    """Return whether each group of images is of one camera, as files of folders for each moment may be."""
    return len(set(zip(groups, cameras, strict=True))) == len(set(groups))


def _several(groups: Sequence[str]) -> bool:
    """Return whether there are several groups of images, rather than an image in each."""
    return 1 < len(set(groups)) <= len(groups) // 2
