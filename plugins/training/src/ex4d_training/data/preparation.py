"""Preparation of a data set: videos are encoded once, so that training decodes none.

The samples of each video are saved to a file of their own, which is later joined with those of neighboring videos into
a shard. A killed run therefore loses only the videos in progress, and the same call resumes it. The shards do not
depend on the number of processes, parts, machines or interruptions, except for rounding if the number of threads or the
device differs.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from ex4d_backbone_wan.networks import Networks
from ex4d_backbone_wan.windows import latent_length
from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidConfig, InvalidInput, PluginFailed
from ex4d_core.files import atomic_write, locked
from ex4d_core.jobs.shards import WHOLE
from ex4d_core.jobs.shards import Shard as Part
from ex4d_core.jobs.worker_process import Done
from ex4d_core.jobs.workers import Execute, process_groups
from ex4d_core.pipeline.session import Session
from ex4d_core.progress import Reporter, SilentReporter, track
from ex4d_core.reading import read_text
from ex4d_training.data.encode import EncodeTask, make_embedder, make_worker, node_of
from ex4d_training.data.job import NO_DEPTH, Job
from ex4d_training.data.preparation_state import SELECTED, locked_work_folder, open_manifest, turn
from ex4d_training.data.rejected_log import RejectedLog, RejectedVideo
from ex4d_training.data.report import Report, write_report
from ex4d_training.data.scan import FAILED, Refusal, make_look
from ex4d_training.data.shard_assembly import ShardAssembler
from ex4d_training.data.shards import MANIFEST, DamagedShard, Manifest, read_manifest, read_shard, write_manifest
from ex4d_training.data.sources import VideoList, VideoSource, find_videos

_CAPTIONS = 1000
"""Captions that another machine embeds at a time."""

_MOST_FAILURES = 10
"""Unexpected failures in a row after which the videos are not to blame."""


def prepare(
    data_path: Path,
    output_dir: Path,
    *,
    job: Job,
    workers: int = 0,
    part: Part = WHOLE,
    execute: Execute | None = None,
    reporter: Reporter | None = None,
) -> Report:
    """Encode videos into shards; the same call resumes an interrupted run, and does nothing after a complete one.

    Args:
        data_path: folder of videos, or CSV file of their names and captions.
        output_dir: folder for the shards.
        job: options.
        workers: number of processes of this machine; 0 uses this one.
        part: prepare this part of the shards; other runs prepare the others in the same folder, also at the same time.
        execute: encodes on other machines, which share the folder; this one filters the videos and writes the shards.
        reporter: receives stages and warnings.

    Raises:
        InputNotFound: the videos or weights do not exist.
        InvalidConfig: an option has an invalid value, or the GPU is too small.
        InvalidInput: no video gives a sample, a caption is missing and required, or the folder contains other data.
        OutputFailed: the folder cannot be written, or the disk is full.
        PluginFailed: many videos in a row fail unexpectedly.
    """
    reporter = reporter or SilentReporter()
    _check(job, reporter)
    videos = find_videos(data_path)
    if videos.unreadable:
        reporter.warn(f"{len(videos.unreadable)} folders cannot be read, such as {videos.unreadable[0]}")
    without_caption = _without_caption(videos, job, reporter)
    with locked_work_folder(output_dir, part) as work:
        manifest = open_manifest(output_dir, work, videos, job)
        run = _Preparation(output_dir, work, videos=videos, job=job, part=part, reporter=reporter)
        run.execute_by(workers, execute)
        if not manifest.complete:
            manifest = run.complete(manifest)
        report = Report(
            folder=output_dir,
            videos=len(videos.videos),
            samples=manifest.samples,
            shards=sum(1 for shard in manifest.shards if shard.samples),
            bytes=sum(shard.bytes for shard in manifest.shards),
            absent=videos.absent,
            without_caption=without_caption,
            refused=run.rejected.entries,
            complete=manifest.complete,
        )
        write_report(report)
    return report


class _Preparation:
    """One run: select videos, embed their captions, encode them, write shards."""

    def __init__(
        self, folder: Path, work: Path, *, videos: VideoList, job: Job, part: Part, reporter: Reporter
    ) -> None:
        self._folder, self._work, self._videos, self._job = folder.absolute(), work.absolute(), videos.videos, job
        self._part, self._reporter = part, reporter
        self.rejected = RejectedLog(work, part)

    def execute_by(self, workers: int, execute: Execute | None) -> None:
        """Set what filters videos, and what encodes them: processes of this machine, or of others."""
        self._here = partial(process_groups, workers=workers)
        self._execute = execute or self._here
        settings: dict[str, Any] = {"job": self._job, "workers": workers, "texts": self._work / "texts"}
        self._settings = {**settings, "node": node_of(self._job)} if execute else settings

    def complete(self, manifest: Manifest) -> Manifest:
        """Write all missing shards of this part, and return the manifest: complete, unless other parts lack shards."""
        with turn(self._work / SELECTED):
            selected = self._select(manifest)
        if not selected:
            raise InvalidInput(f"all {len(self._videos)} videos were rejected: {self._reasons()}")
        self._report_size(len(selected))
        tasks = self._tasks(selected, manifest)
        self._remove_damaged(tasks)
        self._embed_captions([task.source for task in tasks if not task.file.is_file()])
        self._encode(tasks, manifest)
        self.rejected.read()
        return self._finished(len(selected))

    def _finished(self, selected: int) -> Manifest:
        """Return the manifest; mark it as complete if it has the shards of all parts.

        Raises:
            InvalidInput: no video of any part gave a sample.
        """
        with locked(self._folder / MANIFEST):
            manifest = read_manifest(self._folder)
            if len(manifest.shards) < math.ceil(selected / self._job.data.shard_videos):
                return manifest
            if not manifest.samples:
                raise InvalidInput(f"none of {len(self._videos)} videos gave a sample: {self._reasons()}")
            manifest = attrs.evolve(manifest, complete=True)
            write_manifest(self._folder, manifest)
        for name in ("pieces", "texts"):
            shutil.rmtree(self._work / name, ignore_errors=True)
        return manifest

    def _select(self, manifest: Manifest) -> list[VideoSource]:
        """Return the videos that pass all filters; the filters run only once.

        Raises:
            InvalidInput: existing shards were made of other videos; the order of the videos determines the shards.
        """
        file = self._work / SELECTED
        self.rejected.read()
        before = read_text(file, "record of the selected videos").strip() if os.path.lexists(file) else None
        selected = self._passed()
        if before not in ("", _names_hash(selected)):  # '': written by an earlier version
            self._filter()
            selected = self._passed()
            if before is not None and manifest.shards and before != _names_hash(selected):
                raise InvalidInput(
                    f"{self._folder} was made of other videos than those that pass the filters now: the list of "
                    "rejected videos is damaged, or files changed; use another --output-dir, or delete the folder"
                )
            with atomic_write(file) as temporary:
                temporary.write_text(_names_hash(selected) + "\n", encoding="ascii")
        return selected

    def _filter(self) -> None:
        make = partial(make_look, options=self._job.data)
        with self._reporter.stage("filter") as progress:
            results = self._here(([video] for video in self._videos), make)
            for done in track(results, progress, total=len(self._videos)):
                self._record(done.item.name, done, early=True)

    def _passed(self) -> list[VideoSource]:
        return [video for video in self._videos if not self.rejected.early(video.name)]

    def _tasks(self, selected: Sequence[VideoSource], manifest: Manifest) -> list[EncodeTask]:
        """Return the videos of the missing shards of this part; neighbors share one."""
        size = self._job.data.shard_videos
        existing = {shard.file for shard in manifest.shards}
        tasks = [
            EncodeTask(source=source, shard=shard, file=self._work / "pieces" / f"{index:08d}.safetensors")
            for index, source in enumerate(selected)
            if (shard := f"shard-{index // size:05d}.safetensors")
        ]
        own = self._part.of(tasks, group=lambda task: task.shard)
        return [task for task in own if task.shard not in existing]

    def _remove_damaged(self, tasks: Sequence[EncodeTask]) -> None:
        """Remove damaged files of single videos, as after a power failure; the videos are encoded again."""
        for task in tasks:
            if task.file.is_file():
                try:
                    read_shard(task.file)
                except DamagedShard:
                    self._reporter.note(f"{task.file} is damaged; {task.source.name} is prepared again")
                    task.file.unlink()

    def _embed_captions(self, sources: Sequence[VideoSource]) -> None:
        """Save the embedding of each caption: only one process loads the text encoder, the largest network."""
        captions = list(dict.fromkeys(source.caption for source in sources if source.name not in self.rejected))
        with self._reporter.stage("captions") as progress:
            if self._execute is self._here:
                networks = Networks(self._job.model, device=Session(self._job.run).device)
                networks.keep_texts(captions, folder=self._work / "texts", progress=progress)
                return
            batches = [captions[start : start + _CAPTIONS] for start in range(0, len(captions), _CAPTIONS)]
            results = self._execute(([batch] for batch in batches), partial(make_embedder, **self._settings))
            for done in track(results, progress, total=len(batches)):
                if done.error:
                    raise PluginFailed(f"captions cannot be embedded: {done.error}")

    def _encode(self, tasks: Sequence[EncodeTask], manifest: Manifest) -> None:
        """Encode the remaining videos and write their shards."""
        waiting = [task for task in tasks if not (task.file.is_file() or task.source.name in self.rejected)]
        shards = ShardAssembler(self._folder, tasks, waiting=waiting, manifest=manifest)
        for task in waiting:
            task.starts.unlink(missing_ok=True)  # of an earlier run
        make = partial(make_worker, **self._settings)
        with self._reporter.stage("latents") as progress:
            results = track(self._execute(([task] for task in waiting), make), progress, total=len(waiting))
            for done in _hold_failures(results, any_success=lambda: shards.has_samples):
                self._record(done.item.source.name, done, early=False)
                shards.finish(done.item)

    def _record(self, video: str, done: Done[Any, Any], *, early: bool) -> None:
        refusal = Refusal(filter=FAILED, reason=done.error) if done.error else done.result
        if isinstance(refusal, Refusal):
            self.rejected.add(RejectedVideo(video=video, early=early, refusal=refusal))

    def _reasons(self) -> str:
        by_filter: dict[str, list[RejectedVideo]] = {}
        for entry in self.rejected.entries:
            by_filter.setdefault(entry.refusal.filter, []).append(entry)
        return "; ".join(
            f"{name} rejected {len(entries)} (such as {entries[0].video}: {entries[0].refusal.reason})"
            for name, entries in by_filter.items()
        )

    def _report_size(self, videos: int) -> None:
        data = self._job.data
        width, height = data.width_height
        latent = latent_length(data.frames) * (height // 8) * (width // 8) * (2 if data.dtype == "bfloat16" else 4)
        each = latent * (16 + 20 + 32 * data.masks_per_clip)
        most = videos * data.clips_per_video
        free = shutil.disk_usage(self._folder).free
        self._reporter.note(
            f"{videos} of {len(self._videos)} videos selected: up to {most * data.masks_per_clip} samples, "
            f"{most * each / 1e9:.3g} GB plus captions; {free / 1e9:.3g} GB are free"
        )


def _hold_failures(
    results: Iterable[Done[EncodeTask, int | Refusal]], *, any_success: Callable[[], bool]
) -> Iterator[Done[EncodeTask, int | Refusal]]:
    """Yield results; failures only after a later video went well, which shows that the videos are to blame.

    Raises:
        PluginFailed: many videos failed in a row, or all of them.
    """
    held: list[Done[EncodeTask, int | Refusal]] = []
    for done in results:
        held.append(done)
        if not _failure(done):
            yield from held
            held = []
        elif len(held) >= _MOST_FAILURES:
            raise PluginFailed(f"{len(held)} videos in a row failed, the last with {_failure(done)}")
    if held and not any_success():
        raise PluginFailed(f"all of {len(held)} videos failed, the last with {_failure(held[-1])}")
    yield from held


def _failure(done: Done[EncodeTask, int | Refusal]) -> str:
    """Return the error that may not be due to the video, or ''."""
    is_crash = isinstance(done.result, Refusal) and done.result.filter == FAILED
    return done.result.reason if is_crash else done.error  # type: ignore[union-attr]  # mypy does not follow `is_crash`


def _check(job: Job, reporter: Reporter) -> None:
    """Check the requirements of all components before any work.

    Raises:
        InvalidConfig: no estimated depth is available.
    """
    without_depth = job.run.depth.name == NO_DEPTH
    if without_depth and job.run.depth.options:
        unused = ", ".join(map(shown, job.run.depth.options))
        reporter.warn(f"depth is {NO_DEPTH}, so its options are not used: {unused}")
    session = Session(job.run)
    session.check(*(["mesh", "renderer"] if without_depth else ["depth", "mesh", "renderer"]))
    if job.run.depth.name == "auto" and session.choose("depth").offer.name == "sketch":
        raise InvalidConfig(
            "no depth estimator has its weights on this machine, and a sketch of depth is not fit for training; run "
            "ex4d fetch depthcrafter, or select another estimator with --depth"
        )


def _without_caption(videos: VideoList, job: Job, reporter: Reporter) -> tuple[str, ...]:
    names = tuple(video.name for video in videos.videos if not video.caption)
    if not names:
        return names
    some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    policy = job.data.missing_caption
    if policy == "refuse":
        raise InvalidInput(
            f"{len(names)} of {len(videos.videos)} videos have no caption: {some}; write captions into files such as "
            f"{Path(names[0]).with_suffix('.txt')} beside the videos, or pass --set data.missing_caption=empty"
        )
    consequence = "are trained with an empty text" if policy == "empty" else "are skipped"
    reporter.warn(f"{len(names)} of {len(videos.videos)} videos have no caption and {consequence}: {some}")
    return names


def _names_hash(videos: Sequence[VideoSource]) -> str:
    return hashlib.blake2b("\n".join(video.name for video in videos).encode(), digest_size=16).hexdigest()
