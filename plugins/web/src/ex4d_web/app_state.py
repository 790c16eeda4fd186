"""What the steps of the app share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

from ex4d_core.errors import InputNotFound
from ex4d_core.pipeline.session import Session
from ex4d_web import texts
from ex4d_web.choices import Choices, choices_of
from ex4d_web.job_queue import Job, JobQueue
from ex4d_web.limits import Limits
from ex4d_web.models import Models
from ex4d_web.projects import Projects
from ex4d_web.viewer_link import Viewers

POLL = 0.25
"""Seconds between two looks at a job."""

REMOVE_EVERY = 300
"""Seconds between two searches for unused projects."""


class AppState:
    """Projects, queues, components and limits of one server."""

    def __init__(
        self,
        root: Path,
        *,
        limits: Limits,
        device: str = "auto",
        examples: Path | None = None,
        has_viewers: bool = True,
    ) -> None:
        """Start the queues.

        Args:
            root: folder of the projects.
            limits: what users can ask for.
            device: device of the components.
            examples: folder of example clips, `NAME/clip.mp4` with `NAME/depth.npz`, if there are any.
            has_viewers: whether to offer the 3D viewer, which browsers on this machine can open.

        Raises:
            InvalidConfig: the device is not available.
            InputNotFound: the folder has no example.
        """
        self.limits, self.device = limits, device
        self.projects = Projects(root, hours=limits.hours)
        self.jobs = JobQueue(waiting=limits.waiting, minutes=limits.minutes)
        # Previews do not wait for long jobs of others; they have components of their own.
        self.previews = JobQueue(waiting=limits.waiting, minutes=limits.minutes)
        self.models, self.preview_models = Models(), Models()
        self.viewers = Viewers() if has_viewers and find_spec("ex4d_viewer") else None
        self.examples = find_examples(examples)
        self.session = Session(registry=self.models.registry, progress=False, download="no", device=device)
        """Describes components; it runs nothing."""
        self.depths = choices_of("depth", self.session)
        self.backbones = choices_of("backbone", self.session)
        self._closed = threading.Event()
        threading.Thread(target=self._remove_unused, daemon=True, name="ex4d-removal").start()

    def discard(self, name: str) -> None:
        """Cancel the jobs of a project, and remove it."""
        self.jobs.forget(name)
        self.previews.forget(name)
        self.projects.discard(name)

    def _remove_unused(self) -> None:
        while True:
            for name in self.projects.unused():
                if not (self.jobs.is_busy(name) or self.previews.is_busy(name)):
                    self.discard(name)
            if self._closed.wait(REMOVE_EVERY):
                return

    def close(self) -> None:
        """Cancel all jobs and end the threads."""
        self._closed.set()
        if self.viewers is not None:
            self.viewers.close()
        self.jobs.close()
        self.previews.close()


async def follow(queue: JobQueue, job: Job) -> AsyncIterator[str]:
    """Yield the status of a job as HTML whenever it changes, until the job is over."""
    shown = ""
    while True:
        status = queue.status(job)
        text = texts.status(status)
        if text != shown:
            yield text
            shown = text
        if status.is_over:
            return
        await asyncio.sleep(POLL)


def reasons(choices: Choices, kind: str) -> str:
    """Return why `auto` selects its component, and which ones cannot be used, as HTML."""
    lines = [*choices.reasons, *(line for line in choices.unavailable if line not in choices.reasons)]
    if choices.auto:
        return texts.notes(lines, title=f"Why {choices.auto}")
    return texts.message(f"No {kind} can be selected automatically.") + texts.notes(lines)


def find_examples(folder: Path | None) -> dict[str, Path]:
    """Return example clips by name; by default those of the checkout of ex4d, if there is one.

    Raises:
        InputNotFound: the folder has none.
    """
    parent = folder or Path(__file__).parents[4] / "examples"
    found = {clip.parent.name: clip for clip in sorted(parent.glob("*/clip.mp4"))}
    if folder and not found:
        raise InputNotFound(f"{folder} contains no example; use a folder with NAME/clip.mp4, or omit --examples")
    return found
