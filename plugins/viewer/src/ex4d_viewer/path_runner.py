"""Runs along a camera path in a thread of this process, which keeps the loaded components for the next run."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import attrs

from ex4d_core.errors import Cancelled, Ex4dError, InvalidInput, unexpected
from ex4d_core.pipeline.clip_run import ClipRun
from ex4d_core.pipeline.session import Session
from ex4d_core.progress import Progress, SilentReporter
from ex4d_core.runs.batch import run_batch

State = Literal["running", "finished", "failed", "canceled"]

REPORT_EVERY = 0.2
"""Seconds between two reports of progress."""


@attrs.frozen(kw_only=True)
class RunStatus:
    """The status of a run."""

    cam: str
    """The path, a text of `--cam`."""
    state: State
    stage: str = ""
    """Name of the current stage."""
    done: int = 0
    total: int = 0
    """Finished and all steps of the stage; 0 before it begins."""
    error: str = ""
    """One sentence, if the run failed."""
    files: dict[str, Path] = attrs.field(factory=dict)
    """Written files by label, if the run finished."""
    warnings: tuple[str, ...] = ()


class _Reporter(SilentReporter):
    """Reports stages to a runner, and raises `Cancelled` in them once the run is canceled."""

    def __init__(self, report: Callable[[str, int, int], None], canceled: threading.Event) -> None:
        self._report, self._canceled = report, canceled
        self._due = 0.0
        self.warnings: list[str] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Open a stage."""

        def progress(done: int, total: int) -> None:
            if self._canceled.is_set():
                raise Cancelled("the run was canceled")
            if done in (0, total) or time.monotonic() >= self._due:
                self._due = time.monotonic() + REPORT_EVERY
                self._report(name, done, total)

        progress(0, 0)
        yield progress

    transfer = stage

    def warn(self, text: str) -> None:
        """Record a warning."""
        self.warnings.append(text)


class PathRunner:
    """Runs one path at a time."""

    def __init__(self, changed: Callable[[RunStatus], None]) -> None:
        """Start without a run; `changed` receives each status, in the thread of the run."""
        self._changed = changed
        self._canceled = threading.Event()
        self._reporter = _Reporter(self._report, self._canceled)
        self._session: Session | None = None
        self._thread: threading.Thread | None = None
        self._cam = ""

    @property
    def is_running(self) -> bool:
        """Whether a run is in progress."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, opened: ClipRun, cam: str, *, cam_folder: str | None = None) -> None:
        """Run a path, as `ex4d run --config config.toml --cam CAM` does; returns at once.

        Args:
            opened: the clip in its run folder, with the configuration of its last run.
            cam: the path, a text of `--cam`.
            cam_folder: folder of files that `cam` names; by default that of the configuration.

        Raises:
            InvalidInput: another run is in progress.
        """
        if self.is_running:
            raise InvalidInput("a run is in progress on this page; wait for it, or cancel it")
        self._canceled.clear()
        self._reporter.warnings.clear()
        self._cam = cam
        self._thread = threading.Thread(target=self._work, args=(opened, cam_folder), name="run of a path", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Ask the run to stop at its next step; returns at once."""
        self._canceled.set()

    def join(self, timeout: float) -> None:
        """Wait for the run, at most `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _work(self, opened: ClipRun, cam_folder: str | None) -> None:
        self._report("starting", 0, 0)
        try:
            status = self._run(opened, cam_folder)
        except Exception as error:
            sentence = str(error) if isinstance(error, Ex4dError) else unexpected(error)
            status = RunStatus(cam=self._cam, state="failed", error=sentence)
        self._thread = None  # before the report, after which another run may be started
        self._changed(attrs.evolve(status, warnings=tuple(self._reporter.warnings)))

    def _run(self, opened: ClipRun, cam_folder: str | None) -> RunStatus:
        assert opened.folder is not None, "a page shows a run folder"
        assert isinstance(opened.clip, Path), "a run folder can be opened only if its clip is a file"
        before, config = self._session, opened.components.config
        cam_folder = config.cam_folder if cam_folder is None else cam_folder
        config = attrs.evolve(config, cam=(self._cam,), cam_folder=cam_folder)
        self._session = (
            Session(config, registry=opened.components.registry, reporter=self._reporter)
            if before is None
            else before.changed(config)
        )
        (outcome,) = run_batch(self._session, [opened.clip], [opened.folder])
        if outcome.error is None:
            return RunStatus(cam=self._cam, state="finished", files=outcome.files)
        if self._canceled.is_set():
            return RunStatus(cam=self._cam, state="canceled")
        return RunStatus(cam=self._cam, state="failed", error=outcome.error)

    def _report(self, stage: str, done: int, total: int) -> None:
        self._changed(RunStatus(cam=self._cam, state="running", stage=stage, done=done, total=total))
