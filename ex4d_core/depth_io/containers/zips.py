"""Zip archives with a file for each frame."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import attrs
import numpy as np
import psutil

from ex4d_core.depth_io.containers.maps import IMAGE_SUFFIXES, open_map
from ex4d_core.depth_io.containers.series import depth_series
from ex4d_core.depth_io.falsecolor import Colors
from ex4d_core.depth_io.frames import DepthFrames
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import reading
from ex4d_core.video_io.limits import MOST_BYTES

ZIP_START = b"PK\x03\x04"

_MOST_MEMBERS = 200_000


def member_names(path: Path) -> list[str]:
    """Return the names of the files in an archive, without those of the system that packed it.

    Raises:
        InvalidInput: it cannot be read, or has too many files.
    """
    with reading(path, "depth file"), zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    if len(names) > _MOST_MEMBERS:
        raise InvalidInput(f"{path} contains {len(names)} files; at most {_MOST_MEMBERS} are supported")
    return [name for name in names if not any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)]


def member_bytes(path: Path, name: str) -> bytes:
    """Return the content of a file in an archive.

    Raises:
        InvalidInput: it cannot be read, or is too large.
    """
    with reading(path, "depth file"), zipfile.ZipFile(path) as archive:
        size = archive.getinfo(name).file_size
        if size > MOST_BYTES:
            raise InvalidInput(f"{path}: {name} has {size:,} bytes; at most {MOST_BYTES:,} are read")
        if size > psutil.virtual_memory().available:
            raise MemoryError
        return archive.read(name)


def open_zip(path: Path, *, layer: str | None, colors: Colors) -> DepthFrames:
    """Return the maps of an archive of images.

    Raises:
        InvalidInput: it cannot be read, or has no series of images that is depth.
    """
    folders: dict[str, list[PurePosixPath]] = {}
    for name in member_names(path):
        file = PurePosixPath(name)
        if file.suffix.lower() in IMAGE_SUFFIXES:
            folders.setdefault(str(file.parent), []).append(file)
    if not folders:
        raise InvalidInput(f"{path} has no images ({', '.join(sorted(IMAGE_SUFFIXES))}); use an archive of depth maps")
    named = [name for name in folders if "depth" in PurePosixPath(name).name.lower()]
    candidates = named if len(folders) > 1 and named else list(folders)
    if len(candidates) > 1:
        raise InvalidInput(
            f"{path} has images in the folders {', '.join(sorted(folders)[:4])}; pack only those of depth"
        )
    files = depth_series(folders[candidates[0]], path)

    def open_member(index: int) -> DepthFrames:
        name = str(files[index])
        return open_map(Path(f"{path}/{name}"), layer=layer, colors=colors, data=member_bytes(path, name))

    first = open_member(0)

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        for index in indices:
            frames = open_member(index)
            if (frames.size, frames.unit) != (first.size, first.unit):
                raise InvalidInput(
                    f"{path}: {files[index]} has another size or type than {files[0]}; they must be equal"
                )
            yield next(frames.read([0]))

    stems = [file.stem for file in files]
    numbers = tuple(map(int, stems)) if all(stem.isdecimal() and len(stem) < 10 for stem in stems) else None
    return attrs.evolve(first, count=len(files), read=read, numbers=numbers)
