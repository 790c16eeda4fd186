"""Jobs that run one after another in a thread, wait in order, report progress and can be canceled."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import attrs

from ex4d_core.errors import Cancelled, InvalidInput, tracing
from ex4d_core.progress import Progress
from ex4d_web.sentences import sentence_of, without_folders

State = Literal["waiting", "running", "done", "failed", "canceled"]

OVER = ("done", "failed", "canceled")


@attrs.frozen(kw_only=True)
class JobStatus:
    """A job at one moment."""

    state: State
    title: str
    ahead: int = 0
    """Jobs that run or wait before this one."""
    stage: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    """Since the job started."""
    left: float | None = None
    """Expected seconds until the end of the stage; None if unknown."""
    error: str = ""
    """One sentence, if the job failed."""
    notes: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether the job neither waits nor runs."""
        return self.state in OVER


class Job:
    """Work in the queue. It is a `Reporter` of ex4d, by which the work reports progress and is stopped."""

    def __init__(self, owner: str, title: str, work: Callable[[Job], None], *, seconds: float) -> None:
        self.owner, self.title = owner, title
        self._work, self._limit = work, seconds
        self._lock = threading.Lock()
        self._canceled = threading.Event()
        self._started = 0.0
        self._now = JobStatus(state="waiting", title=title)
        self._stage_began = 0.0

    def cancel(self) -> None:
        """Stop the job at its next progress report, or take it out of the queue."""
        self._canceled.set()
        self._set(only_if="waiting", state="canceled")

    def status(self, *, ahead: int = 0) -> JobStatus:
        """Return the status; `ahead` is the number of jobs before this one."""
        with self._lock:
            now, began = self._now, self._stage_began
        if now.state != "running":
            return attrs.evolve(now, ahead=ahead if now.state == "waiting" else 0)
        passed = time.monotonic() - began
        left = passed * (now.total - now.done) / now.done if now.done else None
        return attrs.evolve(now, seconds=time.monotonic() - self._started, left=left)

    @property
    def is_over(self) -> bool:
        """Whether the job neither waits nor runs."""
        return self._now.state in OVER

    def run(self) -> None:
        """Do the work, in the thread of the queue; errors become the status."""
        self._started = time.monotonic()
        if not self._set(only_if="waiting", state="running"):
            return
        try:
            self._work(self)
        except Cancelled:
            self._set(state="canceled")
        except Exception as error:
            if tracing():
                traceback.print_exception(error)
            self._set(state="failed", error=sentence_of(error))
        else:
            self._set(state="done", seconds=time.monotonic() - self._started)

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Open a stage of the work."""
        self._stage_began = time.monotonic()
        self._report(name, 0, 0)
        yield lambda done, total: self._report(name, done, total)

    @contextmanager
    def transfer(self, name: str) -> Iterator[Progress]:
        """Open a transfer."""
        with self.stage(name) as progress:
            yield progress

    def note(self, text: str) -> None:
        """Keep a message for the user."""
        with self._lock:
            self._now = attrs.evolve(self._now, notes=(*self._now.notes, without_folders(text)))

    def warn(self, text: str) -> None:
        """Keep a warning for the user."""
        self.note(f"warning: {text}")

    def _report(self, stage: str, done: int, total: int) -> None:
        if self._canceled.is_set():
            raise Cancelled(f"{self.title} was canceled")
        if time.monotonic() - self._started > self._limit:
            raise InvalidInput(
                f"{self.title} took longer than the {self._limit / 60:g} minutes that this server allows; "
                "select fewer frames, or a smaller size"
            )
        self._set(only_if="running", stage=stage, done=done, total=total)

    def _set(self, *, only_if: State | None = None, **values: Any) -> bool:
        with self._lock:
            if only_if is not None and self._now.state != only_if:
                return False
            self._now = attrs.evolve(self._now, **values)
            return True


class JobQueue:
    """Jobs of all users, run by one thread, since each takes all of a processor or GPU."""

    def __init__(self, *, waiting: int, minutes: float) -> None:
        """Start the thread.

        Args:
            waiting: largest number of jobs that wait.
            minutes: longest duration of a job.
        """
        self._most, self._seconds = waiting, minutes * 60
        self._jobs: list[Job] = []
        self._latest: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._serve, daemon=True, name="ex4d-jobs")
        self._thread.start()

    def submit(self, owner: str, title: str, work: Callable[[Job], None], *, replace: bool = False) -> Job:
        """Add a job at the end of the queue.

        Args:
            owner: the project; it has one job at a time.
            title: the work, as a noun.
            work: called with the job.
            replace: cancel the job of the project that waits or runs, rather than refuse the new one.

        Raises:
            InvalidInput: the project has a job already, or too many jobs wait.
        """
        with self._changed:
            running = self._latest.get(owner)
            if running is not None and not running.is_over:
                if not replace:
                    raise InvalidInput(f"{running.title} is not finished; wait for it, or cancel it")
                running.cancel()
            self._jobs = [job for job in self._jobs if not job.is_over]
            if len(self._jobs) > self._most:
                raise InvalidInput(f"{len(self._jobs)} jobs are waiting on this server; try again in a few minutes")
            job = self._latest[owner] = Job(owner, title, work, seconds=self._seconds)
            self._jobs.append(job)
            self._changed.notify()
            return job

    def latest(self, owner: str) -> Job | None:
        """Return the last job of a project, which may be over."""
        with self._changed:
            return self._latest.get(owner)

    def status(self, job: Job) -> JobStatus:
        """Return the status of a job, with its position in the queue."""
        with self._changed:
            before = (
                [each for each in self._jobs[: self._jobs.index(job)] if not each.is_over] if job in self._jobs else []
            )
        return job.status(ahead=len(before))

    def is_busy(self, owner: str) -> bool:
        """Return whether a job of a project waits or runs."""
        job = self.latest(owner)
        return job is not None and not job.is_over

    def forget(self, owner: str) -> None:
        """Cancel and drop the jobs of a project."""
        with self._changed:
            job = self._latest.pop(owner, None)
        if job is not None:
            job.cancel()

    def close(self, *, patience: float = 5) -> None:
        """Cancel all jobs and end the thread, at most after some seconds."""
        with self._changed:
            self._over = True
            for job in self._jobs:
                job.cancel()
            self._changed.notify()
        self._thread.join(timeout=patience)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._jobs = [job for job in self._jobs if not job.is_over]
                while not self._jobs and not self._over:
                    self._changed.wait()
                if self._over:
                    return
                job = self._jobs[0]
            job.run()
