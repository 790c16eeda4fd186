"""Extraction of videos from untrusted zip files into one folder."""

from __future__ import annotations

import io
import lzma
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ex4d_core.errors import DownloadFailed, Ex4dError, InvalidInput, OutputFailed, one_line
from ex4d_core.files import atomic_write
from ex4d_core.names import safe_name
from ex4d_core.progress import Progress, track
from ex4d_core.runs.batch import VIDEO_SUFFIXES

_AT_ONCE = 2**20
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError, OverflowError)


def unpack(pieces: Sequence[Path], folder: Path, *, progress: Progress) -> int:
    """Extract the videos of a zip file into a folder, each atomically, and return their number.

    Folders within the zip file are dropped, as in the table of the data set. Videos whose names are not portable are
    skipped, and so are those that exist already.

    Args:
        pieces: the zip file, or the pieces that it was split into.
        folder: output folder.
        progress: receives the number of extracted videos.

    Raises:
        DownloadFailed: the file is not a zip file, is damaged, or uses an unsupported method.
        InvalidInput: the file cannot be read.
        OutputFailed: the folder cannot be written, or the disk is full.
    """
    with _reading_zip(pieces), io.BufferedReader(_Joined(pieces), _AT_ONCE) as file, zipfile.ZipFile(file) as archive:
        inside = {_name(info): info for info in archive.infolist() if _is_video(_name(info))}
        _check_fits([info.file_size for name, info in inside.items() if not _is_whole(folder / name, info)], folder)
        for name, info in track(inside.items(), progress, total=len(inside)):
            if not _is_whole(folder / name, info):
                _extract(archive, info, folder / name, pieces)
    return len(inside)


@contextmanager
def _reading_zip(pieces: Sequence[Path]) -> Iterator[None]:
    """Turn errors of reading a zip file into one sentence; a damaged file is removed, to be downloaded again."""
    name = pieces[0].name
    try:
        yield
    except Ex4dError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise InvalidInput(f"{pieces[0]} cannot be read: {error.strerror or error}") from error
        raise _damaged(pieces, error) from error  # of a decoder
    except _DAMAGE as error:
        raise _damaged(pieces, error) from error
    except RuntimeError as error:  # of an encrypted one, or of an unknown method
        raise DownloadFailed(f"{name} cannot be unpacked: {one_line(error)}; report it to the data set") from error


def _damaged(pieces: Sequence[Path], error: Exception) -> DownloadFailed:
    for piece in pieces:
        piece.resolve().unlink(missing_ok=True)
    return DownloadFailed(f"{pieces[0].name} is damaged ({one_line(error)}); run the same command again")


def _name(info: zipfile.ZipInfo) -> str:
    """Return the name of a file in a zip file without folders, so that it cannot leave the output folder."""
    return PurePosixPath(info.filename).name


def _is_video(name: str) -> bool:
    is_plain = not name.startswith(".") and safe_name(name) == name
    return is_plain and PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def _is_whole(path: Path, info: zipfile.ZipInfo) -> bool:
    return path.is_file() and path.stat().st_size == info.file_size


def _check_fits(sizes: Sequence[int], folder: Path) -> None:
    """Check that the extracted videos fit on the disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise OutputFailed(f"{folder} cannot be made: {error.strerror or error}") from error
    if sum(sizes) > free:
        raise OutputFailed(
            f"the videos of the zip file need {sum(sizes) / 1e9:.1f} GB, but the disk of {folder} has "
            f"{free / 1e9:.1f} GB free; free space, then run the same command again to resume"
        )


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, pieces: Sequence[Path]) -> None:
    with atomic_write(target) as temporary, temporary.open("wb") as out:
        for data in _content(archive, info, pieces):
            out.write(data)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, pieces: Sequence[Path]) -> Iterator[bytes]:
    """Yield the content of a file in a zip file; errors of the zip file stay apart from those of the output."""
    with _reading_zip(pieces), archive.open(info) as source:
        while data := source.read(_AT_ONCE):
            yield data


class _Joined(io.RawIOBase):
    """Several files read as one, so that the pieces of a zip file need not be joined."""

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__()
        self._opened = ExitStack()
        self._files: list[BinaryIO] = [self._opened.enter_context(path.open("rb")) for path in paths]
        self._starts = [0]
        for path in paths:
            self._starts.append(self._starts[-1] + path.stat().st_size)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        if start + offset < 0:
            raise OSError("seek before the start of the file")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any buffer will do
        for file, start, end in zip(self._files, self._starts, self._starts[1:], strict=False):
            if start <= self._at < end:
                file.seek(self._at - start)
                data = file.read(min(len(buffer), end - self._at))
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
        return 0

    def close(self) -> None:
        self._opened.close()
        super().close()
