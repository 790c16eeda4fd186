"""Cached stages: the artifact of a stage is looked up in the run folder before the stage runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import attrs

from ex4d_core.config.run_config import Tree
from ex4d_core.errors import InputNotFound
from ex4d_core.pipeline import codecs
from ex4d_core.pipeline.ahead import Ahead
from ex4d_core.pipeline.measure import Usage, measure
from ex4d_core.pipeline.store import Store, content_key
from ex4d_core.progress import Progress, Reporter
from ex4d_core.types import DepthVideo, Guidance, Video

Value = TypeVar("Value")
Needs = TypeVar("Needs")
Loaded = TypeVar("Loaded")

Scratch = Callable[[str, str], AbstractContextManager[Path | None]]
"""Opens, for a stage and its key, the folder for partial results of the stage, or None."""


@attrs.frozen(kw_only=True)
class Codec(Generic[Value]):
    """How the artifacts of a stage are written and read."""

    save: Callable[[Path, Value], None]
    load: Callable[[Path], Value]


DEPTH: Codec[DepthVideo] = Codec(save=codecs.save_depth, load=codecs.load_depth)
GUIDANCE: Codec[Guidance] = Codec(save=codecs.save_guidance, load=codecs.load_guidance)
VIDEO: Codec[Video] = Codec(save=codecs.save_video, load=codecs.load_video)


@attrs.frozen(kw_only=True)
class StageRecord:
    """The time and memory that one stage of a run used."""

    stage: str
    key: str
    reused: bool
    """Whether its artifact was found in the run folder."""
    cost: Usage
    load: float = 0.0
    """Seconds of loading components, or of waiting until they were loaded while an earlier stage computed."""

    @property
    def facts(self) -> Tree:
        """Time and memory as plain values; `seconds` is the sum of `load` and `compute`."""
        cost = self.cost
        seconds = {"seconds": self.load + cost.seconds, "load": self.load, "compute": cost.seconds}
        return {**seconds, "peak_bytes": cost.peak_bytes, "peak_gpu_bytes": cost.peak_gpu_bytes}


class StageCache:
    """Runs stages, stores their artifacts and records what each one cost."""

    def __init__(
        self, reporter: Reporter, *, store: Store | None = None, scratch: Scratch | None = None, read_only: bool = False
    ) -> None:
        """Create the cache of one run.

        Args:
            reporter: receives the progress of each stage.
            store: the artifacts of the run folder; without one, every stage runs.
            scratch: opens the folders for partial results; by default those of the store.
            read_only: refuse to run a stage whose artifact is missing.
        """
        self._reporter = reporter
        self._store = store
        self._scratch = scratch or self._scratch_of_store
        self._read_only = read_only
        self._title = store.folder if store else "the run"
        self._is_behind = False
        self._saving: list[tuple[Ahead, ExitStack]] = []
        self.records: list[StageRecord] = []

    def cached_stage(
        self,
        stage: str,
        inputs: Tree,
        codec: Codec[Value],
        *,
        needs: Callable[[], Needs],
        load: Callable[[], Loaded],
        work: Callable[[Needs, Loaded, Progress, Path | None], Value],
    ) -> Value:
        """Return the result of a stage: its artifact if the store has it, otherwise the result of `work`.

        Args:
            stage: name of the stage.
            inputs: everything that determines the result; its hash is the key of the artifact.
            codec: reads and writes the artifact.
            needs: returns the values that the stage works on, from earlier stages; called only if the stage runs.
            load: returns the components, loaded; called after `needs`, and timed apart from `work`.
            work: computes the result from both; gets the progress to report and a folder for partial results.

        Raises:
            InputNotFound: the cache is read-only and has no such artifact.
            OutputFailed: an artifact, of this stage or of one before, cannot be written.
        """
        key = content_key(inputs)
        with measure() as cost:
            found = self._store.load(stage, key, codec.load) if self._store else None
        if found is not None:
            self.records.append(StageRecord(stage=stage, key=key, reused=True, cost=cost))
            return found
        if self._read_only:
            raise InputNotFound(f"{self._title} has no valid {stage} for these settings; run the clip to create it")
        values = needs()
        with measure() as loading:
            loaded = load()
        for earlier, _ in self._saving:
            earlier.check()  # before long work for a disk that is full
        with ExitStack() as scratch:
            folder = scratch.enter_context(self._scratch(stage, key))
            with self._reporter.stage(stage) as progress, measure() as cost:
                value = work(values, loaded, progress, folder)
                if self._store:
                    save = partial(self._store.save, stage, key, inputs, lambda artifact: codec.save(artifact, value))
                    if self._is_behind:
                        self._saving.append((Ahead(save), scratch.pop_all()))
                    else:
                        save()
        cost.peak_bytes = max(cost.peak_bytes, loading.peak_bytes)
        cost.peak_gpu_bytes = max(cost.peak_gpu_bytes, loading.peak_gpu_bytes)
        self.records.append(StageRecord(stage=stage, key=key, reused=False, cost=cost, load=loading.seconds))
        return value

    @contextmanager
    def storing_behind(self) -> Iterator[None]:
        """Let stages return before their artifacts are written; they are when the block ends, also by an error.

        Raises:
            OutputFailed: the folder cannot be written to, or the disk is full.
        """
        self._is_behind = True
        try:
            yield
        finally:
            self._is_behind = False
            self._finish_saving()

    def _finish_saving(self) -> None:
        errors: list[Exception] = []
        saving, self._saving = self._saving, []
        for save, scratch in saving:
            try:
                with scratch:  # partial results are removed once the artifact is written
                    save.result()
            except Exception as error:  # the others are written
                errors.append(error)
        if errors:
            raise errors[0]

    def _scratch_of_store(self, stage: str, key: str) -> AbstractContextManager[Path | None]:
        if self._store is None:
            return nullcontext()
        return self._store.unfinished(stage, key, tell=lambda text: self._reporter.note(f"{stage}: {text}"))
