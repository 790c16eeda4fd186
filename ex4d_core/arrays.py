"""Read untrusted NumPy files (`.npy`, `.npz`), validated before any array is decoded."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import psutil
from numpy.lib import format as npy

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_file, reading

_MOST_ARRAYS = 4096

_ZIP_START = b"PK\x03\x04"


def read_npy(path: Path, what: str) -> np.ndarray:
    """Return the array of a `.npy` file, mapped into memory and not writable.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, contains objects, or is truncated.
    """
    size = check_file(path, what).st_size
    with reading(path, what), path.open("rb") as file:
        if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
            raise InvalidInput(f"{path} is not a readable {what}: it is not an array of numpy.save")
        file.seek(0)
        _check_length(_head(file, path), size - file.tell(), path)
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def open_npz(path: Path, what: str) -> Arrays:
    """Return the arrays of a `.npz` file by name; each is decoded on first access.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, or an array contains objects, is damaged or does not fit into memory.
    """
    check_file(path, what)
    with reading(path, what), path.open("rb") as file:
        starts_as_archive = file.read(len(_ZIP_START)) == _ZIP_START
        if not zipfile.is_zipfile(file):  # the list of arrays is at the end
            why = "it is cut off; copy it again" if starts_as_archive else "it is not an archive of numpy.savez"
            raise InvalidInput(f"{path} is not a readable {what}: {why}")
    with reading(path, what), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(members) > _MOST_ARRAYS:
            raise InvalidInput(f"{path} contains {len(members)} arrays; at most {_MOST_ARRAYS} are supported")
    return Arrays(path, what, members)


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of a `.npz` file by name, each decoded on first access; the file is not kept open."""

    def __init__(self, path: Path, what: str, members: Mapping[str, zipfile.ZipInfo]) -> None:
        self._path, self._what, self._members = path, what, members
        self._decoded: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._decoded:
            self._decoded[name] = self._decode(self._members[name])
        return self._decoded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members  # that of Mapping would decode it

    def head(self, name: str) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
        """Return shape and type of an array without decoding it.

        Raises:
            InvalidInput: it cannot be read, contains objects, or is truncated.
        """
        with self._opened(self._members[name]) as file:
            return self._checked_head(file, self._members[name])

    def _decode(self, member: zipfile.ZipInfo) -> np.ndarray:
        with self._opened(member) as file:
            self._checked_head(file, member)
            if member.file_size > psutil.virtual_memory().available:
                raise MemoryError
            file.seek(0)
            return npy.read_array(file, allow_pickle=False)

    @contextmanager
    def _opened(self, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
        with reading(self._path, self._what), zipfile.ZipFile(self._path) as archive, archive.open(member) as file:
            yield file

    def _checked_head(self, file: IO[bytes], member: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
        head = _head(file, self._path)
        _check_length(head, member.file_size - file.tell(), self._path)
        return head


def _head(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Read the header of an array; return its shape and type."""
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise InvalidInput(f"{path} contains Python objects, which are not supported; save numbers")
    if any(side < 0 for side in shape):
        raise InvalidInput(f"{path} is damaged: an array has the shape {list(shape)}")
    return shape, dtype


def _check_length(head: tuple[tuple[int, ...], np.dtype[np.generic]], available: int, path: Path) -> None:
    """Check that the file contains all bytes of an array, before memory is allocated."""
    shape, dtype = head
    if (needed := math.prod(shape) * dtype.itemsize) > available:
        raise InvalidInput(f"{path} is damaged: it has only {max(available, 0):,} of the {needed:,} bytes of an array")
