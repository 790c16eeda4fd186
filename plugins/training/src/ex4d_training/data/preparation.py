"""Videos made into latents, once, so that training never decodes one: read `prepare` and `_Run.to_the_end`.

What is done is kept as it is done: the samples of each video in a file of their own, which become a shard together
with those of its neighbors. So a run that is killed loses the videos that it was at, and the same call goes on; the
shards are the same whatever the number of processes and of interruptions, but for roundings where these have other
numbers of threads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import attrs

from ex4d_backbone_wan.networks import Networks
from ex4d_backbone_wan.weights import locate
from ex4d_backbone_wan.windows import latent_length
from ex4d_core.bounds import shown
from ex4d_core.errors import InputNotFound, InvalidInput, PluginFailed
from ex4d_core.files import atomic_write, remove_stale_temp
from ex4d_core.pipeline.session import Session
from ex4d_core.progress import Reporter, SilentReporter, track
from ex4d_core.reading import read_text
from ex4d_training.data.encode import Piece, make_worker
from ex4d_training.data.fingerprint import fingerprint_of
from ex4d_training.data.job import NO_DEPTH, Job
from ex4d_training.data.rejected_log import Journal, Refused
from ex4d_training.data.report import Report, write_report
from ex4d_training.data.scan import Refusal, make_look
from ex4d_training.data.shards import (
    DamagedShard,
    Manifest,
    Shard,
    check_shard,
    read_manifest,
    read_shard,
    write_manifest,
    write_shard,
)
from ex4d_training.data.sources import Source, Sources, find_sources
from ex4d_training.data.worker_pool import Done, work_through
from ex4d_training.locking import only_run

_WORK = ".prepare"
_REFUSED, _LOOKED = "refused.jsonl", "looked"
_IN_A_ROW = 10
"""Videos in a row that may fail in ways nobody foresaw; more have a reason of their own, which is not the videos."""


def prepare(
    data_path: Path, output_dir: Path, *, job: Job, workers: int = 0, reporter: Reporter | None = None
) -> Report:
    """Make the latents of videos; the same call goes on where one was stopped, and does nothing where all is done.

    Args:
        data_path: a folder of videos, or a CSV of their names and captions.
        output_dir: the folder for the shards.
        job: what to make of them.
        workers: number of processes; 0 does all in this one.
        reporter: told of stages and of what should not be missed.

    Raises:
        InputNotFound: the videos or weights are not there.
        InvalidConfig: an option has a value that it cannot take, or the GPU is too small.
        InvalidInput: no video gives a sample, a caption is missing and may not be, or the folder holds other data.
        OutputFailed: the folder cannot be written, or the disk is full.
        PluginFailed: videos fail one after the other, in ways that nobody foresaw.
    """
    reporter = reporter or SilentReporter()
    _check(job, reporter)
    sources = find_sources(data_path)
    if sources.unreadable:
        reporter.warn(f"{len(sources.unreadable)} folders cannot be read, such as {sources.unreadable[0]}")
    without_caption = _without_caption(sources, job, reporter)
    with _own(output_dir) as work:
        manifest = _begin(output_dir, work, sources, job)
        run = _Run(output_dir, work, sources=sources, job=job, workers=workers, reporter=reporter)
        if not manifest.complete:
            manifest = run.to_the_end(manifest)
        report = Report(
            folder=output_dir,
            videos=len(sources.videos),
            samples=manifest.samples,
            shards=sum(1 for shard in manifest.shards if shard.samples),
            bytes=sum(shard.bytes for shard in manifest.shards),
            absent=sources.absent,
            without_caption=without_caption,
            refused=run.journal.entries,
        )
        write_report(report)
    return report


class _Run:
    """One preparation on its way."""

    def __init__(
        self, folder: Path, work: Path, *, sources: Sources, job: Job, workers: int, reporter: Reporter
    ) -> None:
        self._folder, self._work, self._videos, self._job = folder, work, sources.videos, job
        self._workers, self._reporter = workers, reporter
        self.journal = Journal(work / _REFUSED)

    def to_the_end(self, manifest: Manifest) -> Manifest:
        """Make what is missing and return the manifest, which is then complete."""
        taken = self._looked_at(manifest)
        if not taken:
            raise InvalidInput(f"no video is left of {len(self._videos)}: {self._reasons()}")
        self._say_how_much(len(taken))
        pieces = self._pieces(taken, manifest)
        self._drop_damaged(pieces)
        self._embed_captions([piece.source for piece in pieces if not piece.file.is_file()])
        manifest = self._make(pieces, manifest)
        if not manifest.samples:
            raise InvalidInput(f"none of {len(self._videos)} videos gave a sample: {self._reasons()}")
        manifest = attrs.evolve(manifest, complete=True)
        write_manifest(self._folder, manifest)
        for name in ("pieces", "texts"):
            shutil.rmtree(self._work / name, ignore_errors=True)
        return manifest

    def _looked_at(self, manifest: Manifest) -> list[Source]:
        """Return the videos that no filter takes; all of them are looked at once.

        Raises:
            InvalidInput: shards are made of other videos than are taken now, and their order decides the shards.
        """
        mark = self._work / _LOOKED
        before = read_text(mark, "record of the videos that are taken").strip() if os.path.lexists(mark) else None
        taken = self._taken()
        if before not in ("", _names_hash(taken)):  # '': of an earlier version
            self._look()
            taken = self._taken()
            if before is not None and manifest.shards and before != _names_hash(taken):
                raise InvalidInput(
                    f"{self._folder} was made of other videos than can be used now: the list of refused videos is "
                    "damaged, or files changed; use another --output-dir, or delete that one"
                )
            with atomic_write(mark) as temporary:
                temporary.write_text(_names_hash(taken) + "\n", encoding="ascii")
        return taken

    def _look(self) -> None:
        make = partial(make_look, options=self._job.data)
        with self._reporter.stage("look") as progress:
            looked = work_through(self._videos, make, workers=self._workers)
            for done in track(looked, progress, total=len(self._videos)):
                self._note(done.item.name, done, early=True)

    def _taken(self) -> list[Source]:
        return [video for video in self._videos if not self.journal.refused_early(video.name)]

    def _pieces(self, taken: Sequence[Source], manifest: Manifest) -> list[Piece]:
        """Return what becomes of each video in shards that are not there yet; neighbors share one."""
        size = self._job.data.shard_videos
        whole = {shard.file for shard in manifest.shards}
        return [
            Piece(source=source, shard=shard, file=self._work / "pieces" / f"{index:08d}.safetensors")
            for index, source in enumerate(taken)
            if (shard := f"shard-{index // size:05d}.safetensors") not in whole
        ]

    def _drop_damaged(self, pieces: Sequence[Piece]) -> None:
        """Remove files of single videos that are damaged, as by a power cut; their videos are prepared again."""
        for piece in pieces:
            if piece.file.is_file():
                try:
                    read_shard(piece.file)
                except DamagedShard:
                    self._reporter.note(f"{piece.file} is damaged; {piece.source.name} is prepared again")
                    piece.file.unlink()

    def _embed_captions(self, sources: Sequence[Source]) -> None:
        """Keep the embedding of each caption: the text encoder is the largest network, and loaded by one process."""
        captions = dict.fromkeys(source.caption for source in sources if source.name not in self.journal)
        networks = Networks(self._job.model, device=Session(self._job.run).device)
        with self._reporter.stage("captions") as progress:
            networks.keep_texts(captions, folder=self._work / "texts", progress=progress)

    def _make(self, pieces: Sequence[Piece], manifest: Manifest) -> Manifest:
        """Make the samples of each video, and a shard whenever all of its videos are done."""
        shards = {name: list(of_shard) for name, of_shard in groupby(pieces, key=lambda piece: piece.shard)}
        waiting = [piece for piece in pieces if not (piece.file.is_file() or piece.source.name in self.journal)]
        left = Counter(piece.shard for piece in waiting)
        for name in [name for name in shards if not left[name]]:
            manifest = self._finish(name, shards[name], manifest)
        make = partial(make_worker, job=self._job, workers=self._workers, texts=self._work / "texts")
        unsettled: list[Done[Piece, int | Refusal]] = []
        with self._reporter.stage("latents") as progress:
            made = work_through(waiting, make, workers=self._workers)
            for done in track(made, progress, total=len(waiting)):
                unsettled.append(done)
                if len(unsettled) >= _IN_A_ROW and done.error:
                    raise PluginFailed(f"{len(unsettled)} videos in a row failed, the last because of {done.error}")
                # Whether those that failed are to blame is known only when another went well.
                if not done.error:
                    manifest = self._settle(unsettled, left, shards, manifest)
                    unsettled = []
        if unsettled and not manifest.samples and not any(piece.file.is_file() for piece in pieces):
            raise PluginFailed(f"all of {len(unsettled)} videos failed, the last because of {unsettled[-1].error}")
        return self._settle(unsettled, left, shards, manifest)

    def _settle(
        self,
        several: Sequence[Done[Piece, int | Refusal]],
        left: Counter[str],
        shards: Mapping[str, Sequence[Piece]],
        manifest: Manifest,
    ) -> Manifest:
        """Note what became of videos, and make the shards that wait for none but these."""
        for done in several:
            piece = done.item
            self._note(piece.source.name, done, early=False)
            left[piece.shard] -= 1
            if not left[piece.shard]:
                manifest = self._finish(piece.shard, shards[piece.shard], manifest)
        return manifest

    def _finish(self, name: str, pieces: Sequence[Piece], manifest: Manifest) -> Manifest:
        files = [piece.file for piece in pieces if piece.file.is_file()]
        samples = [sample for file in files for sample in read_shard(file)]
        shard = write_shard(self._folder / name, samples) if samples else Shard(file=name, samples=0, bytes=0)
        by_name = {shard.file: shard for shard in (*manifest.shards, shard)}
        manifest = attrs.evolve(manifest, shards=tuple(by_name[name] for name in sorted(by_name)))
        write_manifest(self._folder, manifest)
        for file in files:  # only now: a run that is killed before makes the shard of them again
            file.unlink(missing_ok=True)
        return manifest

    def _note(self, video: str, done: Done[Any, Any], *, early: bool) -> None:
        refusal = Refusal(filter="failed", reason=done.error) if done.error else done.result
        if isinstance(refusal, Refusal):
            self.journal.add(Refused(video=video, early=early, refusal=refusal))

    def _reasons(self) -> str:
        counts: dict[str, list[Refused]] = {}
        for entry in self.journal.entries:
            counts.setdefault(entry.refusal.filter, []).append(entry)
        return "; ".join(
            f"{name} took {len(entries)} (such as {entries[0].video}: {entries[0].refusal.reason})"
            for name, entries in counts.items()
        )

    def _say_how_much(self, videos: int) -> None:
        data = self._job.data
        width, height = data.width_height
        latent = latent_length(data.frames) * (height // 8) * (width // 8) * (2 if data.dtype == "bfloat16" else 4)
        each = latent * (16 + 20 + 32 * data.masks_per_clip)
        most = videos * data.clips_per_video
        free = shutil.disk_usage(self._folder).free
        self._reporter.note(
            f"{videos} of {len(self._videos)} videos are taken: up to {most * data.masks_per_clip} samples, "
            f"{most * each / 1e9:.3g} GB and their captions; {free / 1e9:.3g} GB are free"
        )


def _check(job: Job, reporter: Reporter) -> None:
    """Find out before any work whether everything is there."""
    without_depth = job.run.depth.name == NO_DEPTH
    if without_depth and job.run.depth.options:
        unused = ", ".join(map(shown, job.run.depth.options))
        reporter.warn(f"depth is {NO_DEPTH}, so its options are not used: {unused}")
    Session(job.run).check(*(["mesh", "renderer"] if without_depth else ["depth", "mesh", "renderer"]))


def _without_caption(sources: Sources, job: Job, reporter: Reporter) -> tuple[str, ...]:
    names = tuple(video.name for video in sources.videos if not video.caption)
    if not names:
        return names
    some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    what = job.data.missing_caption
    if what == "refuse":
        raise InvalidInput(
            f"{len(names)} of {len(sources.videos)} videos have no caption: {some}; write it into a file such as "
            f"{Path(names[0]).with_suffix('.txt')} beside the video, or give --set data.missing_caption=empty"
        )
    does = "are trained without a text" if what == "empty" else "are skipped"
    reporter.warn(f"{len(names)} of {len(sources.videos)} videos have no caption and {does}: {some}")
    return names


@contextmanager
def _own(folder: Path) -> Iterator[Path]:
    """Give the folder of unfinished work, to one run at a time."""
    work = folder / _WORK
    with only_run(work / "lock", folder, does="prepares"):
        for place in (folder, work, work / "pieces", work / "texts"):
            remove_stale_temp(place)
        try:
            yield work
        finally:
            with suppress(OSError):
                (work / "pieces").rmdir()


def _begin(folder: Path, work: Path, sources: Sources, job: Job) -> Manifest:
    """Return the manifest to go on from, without shards that are not as they were written.

    Raises:
        InvalidInput: the folder holds the data of another preparation.
    """
    fresh = Manifest(
        fingerprint=fingerprint_of(locate(job.model)),
        frames=job.data.frames,
        size=job.data.width_height,
        dtype=job.data.dtype,
        complete=False,
        made_with=_made_with(sources, job),
    )
    try:
        found = read_manifest(folder)
    except InputNotFound:
        return _anew(folder, work, fresh)
    if other := _difference(found, fresh):
        # Where nothing was made yet, as after a filter that left nothing, there is nothing to mix up.
        if not found.samples and not any((work / "pieces").glob("*.safetensors")):
            return _anew(folder, work, fresh)
        raise InvalidInput(
            f"{folder} holds data that was prepared otherwise: {other}; use another --output-dir, or delete that one"
        )
    whole = tuple(shard for shard in found.shards if _is_whole(folder, shard))
    return attrs.evolve(found, shards=whole, complete=found.complete and len(whole) == len(found.shards))


def _anew(folder: Path, work: Path, manifest: Manifest) -> Manifest:
    # What is left where only the visible files were removed was perhaps made with other options.
    for left in (work / _REFUSED, work / _LOOKED, *(work / "pieces").glob("*.safetensors")):
        left.unlink(missing_ok=True)
    write_manifest(folder, manifest)
    return manifest


def _is_whole(folder: Path, shard: Shard) -> bool:
    if not shard.samples:
        return True
    try:
        check_shard(folder, shard)
    except DamagedShard:
        return False
    return True


def _made_with(sources: Sources, job: Job) -> Mapping[str, Any]:
    """Return what decides the samples, as plain values."""
    listed = "\n".join(f"{video.name}\0{video.caption}" for video in sources.videos)
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


def _difference(found: Manifest, wanted: Manifest) -> str:
    """Return in words what the data of a folder was made with otherwise, or ''."""
    was, now = _flat(found.made_with), _flat(wanted.made_with)
    was.pop("model", None)  # where they are is no matter
    now.pop("model")
    if found.fingerprint != wanted.fingerprint:
        return "the encoders of the model are others"
    if was.pop("videos", None) != now.pop("videos"):
        return "the list of videos or captions is another"
    return next(
        (f"{key} was {_value(was.get(key))} and is {_value(now[key])}" for key in now if was.get(key) != now[key]), ""
    )


def _value(value: Any) -> str:
    return value if isinstance(value, str) and len(value) < 60 else shown(value)


def _names_hash(videos: Sequence[Source]) -> str:
    return hashlib.blake2b("\n".join(video.name for video in videos).encode(), digest_size=16).hexdigest()


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
