"""The folder of a preparation: its lock, its manifest, and whether it belongs to the same videos and options."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from ex4d_backbone_wan.weights import locate
from ex4d_core.bounds import shown
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.files import locked, locked_if_free, remove_stale_temp
from ex4d_core.jobs.shards import WHOLE
from ex4d_core.jobs.shards import Shard as Part
from ex4d_core.pipeline.session import Session
from ex4d_training.data.fingerprint import fingerprint_of
from ex4d_training.data.job import NO_DEPTH, Job
from ex4d_training.data.rejected_log import rejected_files
from ex4d_training.data.shards import (
    MANIFEST,
    DamagedShard,
    Manifest,
    Shard,
    check_shard,
    read_manifest,
    write_manifest,
)
from ex4d_training.data.sources import VideoList
from ex4d_training.locking import only_run

_WORK = ".prepare"
SELECTED = "looked"
"""Hash of the names of selected videos, in the work folder."""

_PAUSE = 0.2
"""Seconds between attempts to acquire a lock."""


@contextmanager
def locked_work_folder(folder: Path, part: Part = WHOLE) -> Iterator[Path]:
    """Lock the output folder against other runs, except of other parts; yield its folder of unfinished work.

    Raises:
        InvalidInput: another run has locked the folder.
        OutputFailed: the folder cannot be written.
    """
    work = folder / _WORK
    ending = "lock" if part.count == 1 else f"-of-{part.count}"
    own = work / (ending if part.count == 1 else f"lock-{part.index}{ending}")
    with only_run(own, folder, does="prepares"):
        for lock in work.glob("lock*"):
            if not lock.name.endswith(ending):  # of a run with another number of parts, which has common videos
                with only_run(lock, folder, does="prepares"):
                    pass
        for parent in (folder, work, work / "pieces", work / "texts"):
            remove_stale_temp(parent)
        try:
            yield work
        finally:
            with suppress(OSError):
                (work / "pieces").rmdir()


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Run a block in one process at a time, as long as it takes.

    Raises:
        OutputFailed: the folder cannot be written to.
    """
    while True:
        with locked_if_free(path) as is_own:
            if is_own:
                yield
                return
        time.sleep(_PAUSE)


def open_manifest(folder: Path, work: Path, videos: VideoList, job: Job) -> Manifest:
    """Return the manifest to resume from, without missing and damaged shards; create it if it does not exist.

    Raises:
        InvalidInput: the folder contains data of other videos or options.
    """
    with locked(folder / MANIFEST):
        return _opened(folder, work, videos, job)


def _opened(folder: Path, work: Path, videos: VideoList, job: Job) -> Manifest:
    fresh = Manifest(
        fingerprint=fingerprint_of(locate(job.model)),
        frames=job.data.frames,
        size=job.data.width_height,
        dtype=job.data.dtype,
        complete=False,
        made_with=_made_with(videos, job),
    )
    try:
        found = read_manifest(folder)
    except InputNotFound:
        return _start_over(folder, work, fresh)
    if difference := _difference(found, fresh):
        # Without any sample, as when filters rejected all videos, there is nothing to mix up.
        if not found.samples and not any((work / "pieces").glob("*.safetensors")):
            return _start_over(folder, work, fresh)
        raise InvalidInput(
            f"{folder} contains data prepared with other inputs: {difference}; use another --output-dir, or delete it"
        )
    intact = tuple(shard for shard in found.shards if _is_intact(folder, shard))
    if len(intact) < len(found.shards):
        found = attrs.evolve(found, shards=intact, complete=False)
        write_manifest(folder, found)
    return found


def _start_over(folder: Path, work: Path, manifest: Manifest) -> Manifest:
    # If only the visible files were removed, leftovers may come from other options.
    for leftover in (*rejected_files(work), work / SELECTED, *(work / "pieces").glob("*.safetensors")):
        leftover.unlink(missing_ok=True)
    write_manifest(folder, manifest)
    return manifest


def _is_intact(folder: Path, shard: Shard) -> bool:
    if not shard.samples:
        return True
    try:
        check_shard(folder, shard)
    except DamagedShard:
        return False
    return True


def _made_with(videos: VideoList, job: Job) -> Mapping[str, Any]:
    """Return all inputs that affect the samples, as plain values."""
    listed = "\n".join(f"{video.name}\0{video.caption}" for video in videos.videos)
    session = Session(job.run)
    tree = {
        "model": job.model.model,
        "videos": hashlib.blake2b(listed.encode(), digest_size=16).hexdigest(),
        "seed": job.run.seed,
        "data": attrs.asdict(job.data),
        "masks": attrs.asdict(job.masks),
        "depth": NO_DEPTH if job.run.depth.name == NO_DEPTH else session.choose("depth").identity(),
        "mesh": session.choose("mesh").identity(),
    }
    plain: Mapping[str, Any] = json.loads(json.dumps(tree, default=str))
    return plain


def _difference(found: Manifest, current: Manifest) -> str:
    """Return the first difference between the inputs of two manifests in words, or ''."""
    before, now = _flat(found.made_with), _flat(current.made_with)
    before.pop("model", None)  # the location of the weights does not matter
    now.pop("model")
    if found.fingerprint != current.fingerprint:
        return "the encoders of the model differ"
    if before.pop("videos", None) != now.pop("videos"):
        return "the list of videos or captions differs"
    changed = (key for key in now if before.get(key) != now[key])
    return next((f"{key} was {_value(before.get(key))} and is {_value(now[key])}" for key in changed), "")


def _value(value: Any) -> str:
    return value if isinstance(value, str) and len(value) < 60 else shown(value)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
