"""The Hugging Face cache on this machine: file locations, integrity, and final names.

A repository has a folder with `blobs`, files named by their hashes; `snapshots/COMMIT`, links to them by their names;
and `refs`, which commit a branch stands for. Names that come from a server are checked in `hub_listing.py`.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from ex4d_core.errors import Ex4dError, OutputFailed
from ex4d_core.files import atomic_write, temporary_folder
from ex4d_core.hub.listing import ListedFile, Listing
from ex4d_core.hub.local import huggingface_hub
from ex4d_core.hub.resume import new_hash
from ex4d_core.reading import read_text

_CHUNK = 2**20


@attrs.frozen(kw_only=True)
class RemoteFile:
    """A file on the hub, and its paths in the cache."""

    path: str
    """Path in the repository."""
    size: int
    """In bytes."""
    sha256: str
    """SHA-256, or '' for a small file, which the hub stores in git."""
    git_id: str
    """Git hash of a small file, or '' for a large one."""
    link: Path
    """Path of its link in a snapshot."""
    blob: Path
    """Path of its content, shared by snapshots."""
    url: str = ""
    """Address of a file outside of the hub, or ''."""

    @property
    def part(self) -> Path:
        """Path of an unfinished download."""
        return self.blob.with_name(f"{self.blob.name}.ex4d.incomplete")

    @property
    def mark(self) -> Path:
        """Path of a note that its hash was verified, with its size and time."""
        return self.blob.with_name(f"{self.blob.name}.ex4d.checked")

    @property
    def place(self) -> Path | None:
        """The file on this machine, if it exists with the right size."""
        return next((place for place in (self.link, self.blob) if size_of(place) == self.size), None)

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine with the right size."""
        return self.place is not None

    @property
    def is_checked(self) -> bool:
        """Whether it is on this machine and unchanged since its hash was verified."""
        place = self.place
        with suppress(Ex4dError, OSError):
            return place is not None and read_text(self.mark, "mark", most=100) == _state(place)
        return False

    @property
    def missing(self) -> int:
        """Bytes to download."""
        return 0 if self.is_here else self.size - min(self.size, _part_size(self.part))

    @property
    def unchecked(self) -> int:
        """Bytes on this machine whose hash is not verified yet."""
        return self.size if self.is_here and not self.is_checked else 0


def repository_folder(repo: str, kind: str, cache: Path) -> Path:
    """Return the folder of a repository in the cache."""
    return cache / str(huggingface_hub().file_download.repo_folder_name(repo_id=repo, repo_type=kind))


def remote_files(listing: Listing, folder: Path) -> tuple[RemoteFile, ...]:
    """Return the files of a listing with their paths in the cache."""
    return tuple(_remote(file, folder, listing.commit) for file in listing.files)


def _remote(file: ListedFile, folder: Path, commit: str) -> RemoteFile:
    link = folder / "snapshots" / commit / file.path
    blob = folder / "blobs" / (file.sha256 or file.git_id)
    return RemoteFile(**attrs.asdict(file), link=link, blob=blob)


def is_intact(file: RemoteFile, *, tell: Callable[[int], None]) -> bool:
    """Return whether the content has the hash of the hub; `tell` is called with the number of bytes read.

    Raises:
        OSError: the file cannot be read.
    """
    if file.place is None:
        return False
    state, digest = _state(file.place), new_hash(file.size, in_git=not file.sha256)
    with file.place.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
            tell(len(chunk))
    if digest.hexdigest() != (file.sha256 or file.git_id):
        return False
    _write_mark(file, state)
    return True


def mark_checked(file: RemoteFile) -> None:
    """Record that the hash was verified, so that the next download does not read the file again."""
    if file.place is not None:
        _write_mark(file, _state(file.place))


def remove(file: RemoteFile) -> None:
    """Remove a damaged file and its link.

    Raises:
        OutputFailed: its path leads out of the cache.
        OSError: the file cannot be removed.
    """
    _check_inside(file)
    for place in (file.link, file.blob, file.mark):
        place.unlink(missing_ok=True)


def put_in_place(files: Sequence[RemoteFile], folder: Path, commit: str, revision: str) -> Path:
    """Link downloaded files into a snapshot, and return its folder.

    The snapshot, if it is new, appears with all of them at once, and the branch stands for it only afterwards.

    Raises:
        OutputFailed: the cache cannot be written.
        OSError: the system refuses.
    """
    snapshot = folder / "snapshots" / commit
    absent = [file for file in files if size_of(file.link) != file.size]
    if absent and not snapshot.exists():
        with atomic_write(snapshot) as temporary:
            temporary.mkdir()
            for file in absent:
                _link(file, temporary / file.path)
    else:
        for file in absent:
            _check_inside(file)
            file.link.parent.mkdir(parents=True, exist_ok=True)
            with temporary_folder(folder) as temporary:
                _link(file, temporary / "link")
                os.replace(temporary / "link", file.link)
    if revision != commit:
        _point(folder / "refs" / revision, commit)
    return snapshot


def _link(file: RemoteFile, link: Path) -> None:
    """Create a link that is valid at its final path."""
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.symlink(os.path.relpath(file.blob, file.link.parent), link)
    except (OSError, NotImplementedError):  # on Windows without permission to create links
        shutil.copyfile(file.blob, link)


def _point(ref: Path, commit: str) -> None:
    with suppress(Ex4dError):
        if read_text(ref, "branch", most=100) == commit:
            return
    with atomic_write(ref) as temporary:
        temporary.write_text(commit)


def _check_inside(file: RemoteFile) -> None:
    """Refuse a path below a folder that is a link, which could point anywhere."""
    depth = file.path.count("/")
    if astray := next((place for place in file.link.parents[: depth + 1] if place.is_symlink()), None):
        raise OutputFailed(f"{astray} is a link, and weights are not written through links; remove it")


def _write_mark(file: RemoteFile, state: str) -> None:
    # If this fails, the next download reads the file again.
    with suppress(OSError), atomic_write(file.mark) as temporary:
        temporary.write_text(state)


def _state(place: Path) -> str:
    status = place.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def size_of(path: Path) -> int | None:
    """Return the size of a file, or None if it does not exist."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _part_size(path: Path) -> int:
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
