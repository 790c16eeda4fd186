"""Download from the Hugging Face hub: weights into the hub's own cache, and parts of data sets.

The client of the hub provides addresses and the user's token. This module writes all files: it validates answers of the
server, resumes interrupted downloads in the middle of a file, and verifies the hash of each file before it gets its
final name.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import attrs

from ex4d_core.errors import Cancelled, DownloadFailed, OutputFailed
from ex4d_core.hub.cache import (
    RemoteFile,
    is_intact,
    mark_checked,
    put_in_place,
    remote_files,
    remove,
    repository_folder,
)
from ex4d_core.hub.errors import explained
from ex4d_core.hub.listing import list_files
from ex4d_core.hub.local import HubRepo, check_repo_id, huggingface_hub
from ex4d_core.hub.resume import DownloadSource, receive
from ex4d_core.progress import Progress

__all__ = ["HubSnapshot", "Plan", "RemoteFile", "download", "look_up", "plan_of"]

_AT_ONCE = 4
"""Parallel downloads, because one connection rarely uses the full bandwidth."""


@attrs.frozen(kw_only=True)
class HubSnapshot:
    """Required files of one repository at a commit."""

    files: HubRepo
    commit: str
    """Commit of the revision."""
    remote: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Total bytes."""
        return sum(file.size for file in self.remote)

    @property
    def missing(self) -> int:
        """Bytes to download."""
        return sum(file.missing for file in self.remote)

    @property
    def unchecked(self) -> int:
        """Bytes on this machine whose hashes are not verified yet."""
        return sum(file.unchecked for file in self.remote)


@attrs.frozen(kw_only=True)
class Plan:
    """A planned download, from the answers of the hub."""

    checkpoints: tuple[HubSnapshot, ...]
    cache: Path
    """The cache folder, in the layout of the hub's client."""
    missing: int
    """Bytes to download."""
    unchecked: int
    """Bytes on this machine whose hashes are not verified yet; their files may be damaged."""
    free: int
    """Free bytes on the disk of the cache."""

    @property
    def elsewhere(self) -> str:
        """Suggestion for a full disk, besides freeing space."""
        return "choose a folder on another disk"

    def check_room(self) -> None:
        """Refuse a download that does not fit on the disk.

        Raises:
            OutputFailed: the disk has too little free space.
        """
        if self.missing > self.free:
            raise OutputFailed(
                f"{self.missing / 1e9:.1f} GB are to be downloaded and the disk of {self.cache} has "
                f"{self.free / 1e9:.1f} GB free; free space, or {self.elsewhere}"
            )


def look_up(needed: Iterable[HubRepo], cache: Path) -> Plan:
    """List files on the hub, and check which are on this machine.

    Args:
        needed: the required files.
        cache: folder in the layout of the hub's client.

    Raises:
        InputNotFound: a name does not have the form OWNER/NAME.
        DownloadFailed: the hub cannot be reached, or refuses the request.
        PluginFailed: the package huggingface_hub is not installed.
    """
    needed = list(needed)
    for files in needed:
        check_repo_id(files)
    return plan_of((_look_up(files, cache) for files in needed), cache)


def plan_of(checkpoints: Iterable[HubSnapshot], cache: Path) -> Plan:
    """Return the plan for some snapshots."""
    checkpoints = tuple(checkpoints)
    parent = next(folder for folder in (cache, *cache.absolute().parents) if folder.exists())
    return Plan(
        checkpoints=checkpoints,
        cache=cache,
        missing=sum(checkpoint.missing for checkpoint in checkpoints),
        unchecked=sum(checkpoint.unchecked for checkpoint in checkpoints),
        free=shutil.disk_usage(parent).free,
    )


def download(plan: Plan, progress: Progress) -> list[Path]:
    """Download missing and damaged files, resuming earlier attempts, and return the folder of each snapshot.

    Args:
        plan: of `look_up`.
        progress: reports downloaded and verified bytes.

    Raises:
        DownloadFailed: the hub cannot be reached, or the hash of a file is wrong.
        OutputFailed: the cache cannot be written, or the disk is full.
    """
    plan.check_room()
    tally = _Tally(plan.missing + plan.unchecked, progress)
    return [_fetch(checkpoint, tally, plan) for checkpoint in plan.checkpoints]


class _Tally:
    """Counts bytes in several threads; stops all of them if one fails or the user cancels."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress, self._done = total, progress, 0
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        progress(0, total)

    def add(self, count: int) -> None:
        if self.stopped.is_set():
            raise Cancelled("the download was stopped")
        with self._lock:
            self._done += count
            self._progress(min(max(self._done, 0), self._total), self._total)

    def expect(self, count: int) -> None:
        """Add to the total, for damaged files."""
        with self._lock:
            self._total += count


def _look_up(files: HubRepo, cache: Path) -> HubSnapshot:
    listing = list_files(files)
    remote = remote_files(listing, repository_folder(files.repo, files.kind, cache))
    for pattern in files.patterns:
        if not any(attrs.evolve(files, patterns=(pattern,)).wants(file.path) for file in remote):
            raise DownloadFailed(
                f"{files.repo} ({files.revision}) has no file {pattern} on the hub; "
                "check the names of the repository and the revision"
            )
    return HubSnapshot(files=files, commit=listing.commit, remote=remote)


def _fetch(checkpoint: HubSnapshot, tally: _Tally, plan: Plan) -> Path:
    files = checkpoint.files
    folder = repository_folder(files.repo, files.kind, plan.cache)
    with explained(files, plan.cache, elsewhere=plan.elsewhere):
        damaged = [file for file in checkpoint.remote if file.is_here and not file.is_checked]
        damaged = _of_each(damaged, lambda file: not is_intact(file, tell=tally.add), tally)
        tally.expect(sum(file.size for file in damaged))
        wanted = [file for file in checkpoint.remote if file in damaged or not file.is_here]
        if wanted:
            folder.mkdir(parents=True, exist_ok=True)
            with huggingface_hub().utils.WeakFileLock(folder / ".ex4d.lock"):
                _receive_all(wanted, checkpoint, tally)
        return put_in_place(checkpoint.remote, folder, checkpoint.commit, files.revision)


def _receive_all(wanted: Sequence[RemoteFile], checkpoint: HubSnapshot, tally: _Tally) -> None:
    for file in wanted:
        if not file.is_checked:  # else another process has downloaded it
            remove(file)
    once = {file.blob: file for file in wanted if not file.is_here}  # files with the same content share a blob
    _of_each(list(once.values()), lambda file: _receive(file, checkpoint, tally), tally)


def _receive(file: RemoteFile, checkpoint: HubSnapshot, tally: _Tally) -> bool:
    file.part.parent.mkdir(parents=True, exist_ok=True)
    files = checkpoint.files
    url = huggingface_hub().hf_hub_url(files.repo, file.path, repo_type=files.kind, revision=checkpoint.commit)
    source = DownloadSource(
        url=file.url or url,
        size=file.size,
        name=f"{file.path} of {files.repo}",
        in_git=not file.sha256,
        on_hub=not file.url,
    )
    if receive(source, file.part, tell=tally.add, stopped=tally.stopped) != (file.sha256 or file.git_id):
        file.part.unlink()
        raise DownloadFailed(f"{source.name} arrived damaged (wrong hash); type the same command again")
    file.part.replace(file.blob)
    mark_checked(file)
    return True


def _of_each(files: Sequence[RemoteFile], holds: Callable[[RemoteFile], bool], tally: _Tally) -> list[RemoteFile]:
    """Return the files for which a function returns True; it runs in several threads."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        try:
            jobs = {pool.submit(holds, file): file for file in files}
            return [jobs[done] for done in as_completed(jobs) if done.result()]
        except BaseException:
            tally.stopped.set()
            raise
