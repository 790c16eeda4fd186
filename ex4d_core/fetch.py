"""Downloading from the Hugging Face hub: the weights of a component into the hub's own cache, and parts of data sets.

What is large is written here, so that a download that was cut or killed goes on in the middle of a file: the hub's
client starts such a file again. The rest, links and lists included, is left to that client.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.config import make_config, make_options, parse_settings, refuse_unknown
from ex4d_core.errors import DownloadFailed, InvalidInput, OutputFailed
from ex4d_core.hub import HubFiles, check_name, huggingface_hub
from ex4d_core.hub_errors import ANOTHER_DISK, explained
from ex4d_core.plugins import Offer
from ex4d_core.progress import Progress
from ex4d_core.registry import Registry
from ex4d_core.transfer import Source, receive

_AT_ONCE = 4
"""Files on their way together: one connection seldom fills a fast line."""

_PATIENCE = 30.0
"""Seconds that the hub may take to list a repository."""


@attrs.frozen(kw_only=True)
class RemoteFile:
    """A file on the hub, and where the cache keeps it."""

    path: str
    """In the repository."""
    size: int
    """In bytes."""
    sha256: str
    """Hash of its bytes, or '' for a small file, which the hub has in git."""
    link: Path
    """Where it is found in a snapshot."""
    blob: Path
    """Where its bytes are, whatever the snapshot."""

    @property
    def part(self) -> Path:
        """Where its bytes are while they arrive."""
        return self.blob.with_name(f"{self.blob.name}.ex4d.incomplete")

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, as long as it should be."""
        return any(_size(place) == self.size for place in (self.link, self.blob))

    @property
    def missing(self) -> int:
        """Bytes that are still to come."""
        return 0 if self.is_here else self.size - min(self.size, _size(self.part) or 0)


@attrs.frozen(kw_only=True)
class Checkpoint:
    """What is needed of one repository."""

    files: HubFiles
    commit: str
    """That the revision stands for."""
    remote: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.remote)

    @property
    def missing(self) -> int:
        """Bytes that are still to come."""
        return sum(file.missing for file in self.remote)


@attrs.frozen(kw_only=True)
class Plan:
    """What is needed from the hub, as it was when the hub was asked."""

    checkpoints: tuple[Checkpoint, ...]
    cache: Path
    """The folder that everything is kept in, as the hub's client does."""
    missing: int
    """Bytes that are still to come."""
    free: int
    """Bytes that the disk of the cache has free."""

    @property
    def elsewhere(self) -> str:
        """What to do where the disk is full, besides making room."""
        return "choose a folder on another disk"

    def check_room(self) -> None:
        """Refuse a download that cannot fit.

        Raises:
            OutputFailed: the disk has too little room.
        """
        if self.missing > self.free:
            raise OutputFailed(
                f"{self.missing / 1e9:.1f} GB are to be downloaded and the disk of {self.cache} has "
                f"{self.free / 1e9:.1f} GB free; make room, or {self.elsewhere}"
            )


@attrs.frozen(kw_only=True)
class WeightsPlan(Plan):
    """What a component needs, in the hub's own cache."""

    offer: Offer
    notice: str
    """Terms that restrict what results of these weights may be used for, or ''."""

    @property
    def elsewhere(self) -> str:
        """What to do where the disk is full, besides making room."""
        return f"{ANOTHER_DISK}=/another/disk ex4d fetch {self.offer.name}"


def plan_for(name: str, settings: Iterable[str] = (), *, registry: Registry | None = None) -> WeightsPlan:
    """Ask the hub what a component needs, and look for it on this machine.

    Args:
        name: of a component of any role.
        settings: `--set` texts, such as `depth.unet=OWNER/NAME`.
        registry: where it is looked up; by default everything that is installed.

    Raises:
        ComponentNotFound: nothing of that name is installed.
        InvalidConfig: a setting is wrong, or several components have the name.
        InvalidInput: the component has no weights.
        InputNotFound: a name is neither a folder nor one on the hub.
        DownloadFailed: the hub cannot be reached, or does not give what is asked for.
        PluginFailed: the plugin is broken, or the package huggingface_hub is not installed.
    """
    offer = (registry or Registry()).find_anywhere(name)
    _check_has_weights(offer)  # before its options: one of them may have no default
    tree = parse_settings(settings)
    refuse_unknown(tree, [offer.role], "")
    given = getattr(make_config(tree), offer.role).options
    return make_plan(offer, make_options(offer.provider.options, given, offer.role))


def make_plan(offer: Offer, options: object) -> WeightsPlan:
    """Ask the hub what a component needs with these options, and look for it on this machine.

    Raises:
        InvalidInput: the component has no weights.
        InputNotFound: a name is neither a folder nor one on the hub.
        DownloadFailed: the hub cannot be reached, or does not give what is asked for.
        PluginFailed: the package huggingface_hub is not installed.
    """
    _check_has_weights(offer)
    cache = Path(huggingface_hub().constants.HF_HUB_CACHE)
    plan = look_up(offer.weights(options), cache)
    return WeightsPlan(**attrs.asdict(plan, recurse=False), offer=offer, notice=offer.provider.notice_for(options))


def look_up(needed: Iterable[HubFiles], cache: Path) -> Plan:
    """Ask the hub for files, and look for them on this machine.

    Args:
        needed: which files of which repositories.
        cache: where they are to be kept, as the hub's client keeps them.

    Raises:
        InputNotFound: a name is not one on the hub.
        DownloadFailed: the hub cannot be reached, or does not give what is asked for.
        PluginFailed: the package huggingface_hub is not installed.
    """
    needed = list(needed)
    for files in needed:
        check_name(files)
    return plan_of((_look_up(files, cache) for files in needed), cache)


def plan_of(checkpoints: Iterable[Checkpoint], cache: Path) -> Plan:
    """Return the plan for what has been looked up, or for a part of it."""
    checkpoints = tuple(checkpoints)
    parent = next(folder for folder in (cache, *cache.absolute().parents) if folder.exists())
    return Plan(
        checkpoints=checkpoints,
        cache=cache,
        missing=sum(checkpoint.missing for checkpoint in checkpoints),
        free=shutil.disk_usage(parent).free,
    )


def download(plan: Plan, progress: Progress) -> list[Path]:
    """Bring what is missing and return the folder of each checkpoint; a second call goes on where one stopped.

    Args:
        plan: what is needed.
        progress: told of bytes.

    Raises:
        DownloadFailed: the hub cannot be reached, or a file is not what the hub says of it.
        OutputFailed: the cache cannot be written, or the disk is full.
    """
    plan.check_room()
    tally = _Tally(plan.missing, progress)
    return [_bring(checkpoint, tally, plan) for checkpoint in plan.checkpoints]


def _check_has_weights(offer: Offer) -> None:
    if not offer.provider.weights:
        raise InvalidInput(f"the {offer.role} {offer.name!r} has no weights, so there is nothing to download")


class _Tally:
    """Counts bytes that arrive in several threads; lets all of them end when one fails or the user stops."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress, self._done = total, progress, 0
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        progress(0, total)

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._progress(min(max(self._done, 0), self._total), self._total)


def _look_up(files: HubFiles, cache: Path) -> Checkpoint:
    hub = huggingface_hub()
    with explained(files, cache):
        facts = hub.HfApi().repo_info(
            files.repo, repo_type=files.kind, revision=files.revision, files_metadata=True, timeout=_PATIENCE
        )
    folder = cache / hub.file_download.repo_folder_name(repo_id=files.repo, repo_type=files.kind)
    remote = tuple(_remote(sibling, folder, facts.sha) for sibling in facts.siblings if files.wants(sibling.rfilename))
    for pattern in files.patterns:
        if not any(attrs.evolve(files, patterns=(pattern,)).wants(file.path) for file in remote):
            raise DownloadFailed(
                f"{files.repo} ({files.revision}) has no file {pattern} on the hub, so it is not what is meant; "
                "check the names that were given"
            )
    return Checkpoint(files=files, commit=facts.sha, remote=remote)


def _remote(sibling: Any, folder: Path, commit: str) -> RemoteFile:
    sha256 = sibling.lfs.sha256 if sibling.lfs else ""
    return RemoteFile(
        path=sibling.rfilename,
        size=sibling.lfs.size if sibling.lfs else sibling.size,
        sha256=sha256,
        link=folder / "snapshots" / commit / sibling.rfilename,
        blob=folder / "blobs" / (sha256 or sibling.blob_id),
    )


def _bring(checkpoint: Checkpoint, tally: _Tally, plan: Plan) -> Path:
    hub, files = huggingface_hub(), checkpoint.files
    wanted = [file for file in checkpoint.remote if not file.is_here]
    with explained(files, plan.cache, elsewhere=plan.elsewhere):
        for file in wanted:
            file.link.unlink(missing_ok=True)  # a damaged one, which the client would take for whole
            file.blob.unlink(missing_ok=True)
        _receive_large(checkpoint, [file for file in wanted if file.sha256], tally)
        with _quiet(hub):
            asked = {"revision": files.revision, "allow_patterns": list(files.patterns)}
            folder = Path(hub.snapshot_download(files.repo, repo_type=files.kind, cache_dir=plan.cache, **asked))
    tally.add(sum(file.size for file in wanted if not file.sha256))
    for file in checkpoint.remote:
        if _size(file.link) != file.size:
            _refuse(file, files)
    return folder


def _receive_large(checkpoint: Checkpoint, wanted: Sequence[RemoteFile], tally: _Tally) -> None:
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        try:
            for done in as_completed([pool.submit(_receive, file, checkpoint, tally) for file in wanted]):
                done.result()
        except BaseException:
            tally.stopped.set()
            raise


def _receive(file: RemoteFile, checkpoint: Checkpoint, tally: _Tally) -> None:
    hub = huggingface_hub()
    file.part.parent.mkdir(parents=True, exist_ok=True)
    with hub.utils.WeakFileLock(file.part.with_suffix(".lock")):
        if _size(file.blob) == file.size:  # another process has brought it meanwhile
            return
        files = checkpoint.files
        url = hub.hf_hub_url(files.repo, file.path, repo_type=files.kind, revision=checkpoint.commit)
        source = Source(url=url, size=file.size, name=f"{file.path} of {checkpoint.files.repo}")
        if receive(source, file.part, tell=tally.add, stopped=tally.stopped) != file.sha256:
            file.part.unlink()
            raise DownloadFailed(
                f"{source.name} arrived damaged (its sha256 is not the one that the hub gives); "
                "type the same command again"
            )
        file.part.replace(file.blob)


def _refuse(file: RemoteFile, files: HubFiles) -> None:
    length = _size(file.link)
    file.link.unlink(missing_ok=True)
    file.blob.unlink(missing_ok=True)
    raise DownloadFailed(
        f"{file.path} of {files.repo} has {length or 0} bytes and the hub says {file.size}; type the same command again"
    )


@contextmanager
def _quiet(hub: Any) -> Iterator[None]:
    """Keep the client from drawing bars of its own."""
    shown = not hub.utils.are_progress_bars_disabled()
    hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            hub.utils.enable_progress_bars()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None
