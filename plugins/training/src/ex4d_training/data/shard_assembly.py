"""Assembly of shards from the samples of single videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path

import attrs

from ex4d_core.files import locked
from ex4d_training.data.encode import EncodeTask
from ex4d_training.data.shards import (
    MANIFEST,
    Manifest,
    Shard,
    read_manifest,
    read_shard,
    write_manifest,
    write_shard,
)


class ShardAssembler:
    """Joins the samples of neighboring videos into a shard once all of them are finished."""

    def __init__(
        self, folder: Path, tasks: Sequence[EncodeTask], *, waiting: Collection[EncodeTask], manifest: Manifest
    ) -> None:
        """Write the shards that wait for no video.

        Args:
            folder: for the shards and their manifest.
            tasks: all videos of the shards, grouped by shard.
            waiting: those that are not finished.
            manifest: lists the shards that exist already.
        """
        self.manifest = manifest
        """Lists all shards that are written."""
        self._folder, self._tasks = folder, tasks
        self._shards = {name: list(group) for name, group in groupby(tasks, key=lambda task: task.shard)}
        self._unfinished = Counter(task.shard for task in waiting)
        for name in self._shards:
            if not self._unfinished[name]:
                self._write(name)

    @property
    def has_samples(self) -> bool:
        """Whether any video gave samples, in this run or an earlier one."""
        return bool(self.manifest.samples) or any(task.file.is_file() for task in self._tasks)

    def finish(self, task: EncodeTask) -> None:
        """Mark a video as finished, with or without samples; write its shard if it was the last of it."""
        self._unfinished[task.shard] -= 1
        if not self._unfinished[task.shard]:
            self._write(task.shard)

    def _write(self, name: str) -> None:
        files = [task.file for task in self._shards[name] if task.file.is_file()]
        samples = [sample for file in files for sample in read_shard(file)]
        shard = write_shard(self._folder / name, samples) if samples else Shard(file=name, samples=0, bytes=0)
        with locked(self._folder / MANIFEST):
            current = read_manifest(self._folder)  # other parts add their shards
            by_name = {shard.file: shard for shard in (*current.shards, shard)}
            self.manifest = attrs.evolve(current, shards=tuple(by_name[name] for name in sorted(by_name)))
            write_manifest(self._folder, self.manifest)
        for file in files:  # not earlier: a run that is killed before this point reads them again
            file.unlink(missing_ok=True)
