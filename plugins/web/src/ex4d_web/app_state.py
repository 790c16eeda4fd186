"""What the steps of the app share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

from ex4d_core.pipeline.session import Session
from ex4d_web import texts
from ex4d_web.choices import Choices, choices_of
from ex4d_web.job_queue import Job, JobQueue
from ex4d_web.limits import Limits
from ex4d_web.models import Models
from ex4d_web.projects import Project, Projects
from ex4d_web.viewer_link import Viewers

POLL = 0.25
"""Seconds between two looks at a job."""


class AppState:
    """Projects, queues, components and limits of one server."""

    def __init__(self, root: Path, *, limits: Limits, device: str = "auto", examples: Path | None = None) -> None:
        """Start the queues.

        Args:
            root: folder of the projects.
            limits: what users can ask for.
            device: device of the components.
            examples: folder of example clips, `NAME/clip.mp4` with `NAME/depth.npz`, if there are any.

        Raises:
            InvalidConfig: the device is not available.
        """
        self.limits, self.device = limits, device
        self.projects = Projects(root, hours=limits.hours)
        self.jobs = JobQueue(waiting=limits.waiting, minutes=limits.minutes)
        # Previews do not wait for long jobs of others; they have components of their own.
        self.previews = JobQueue(waiting=limits.waiting, minutes=limits.minutes)
        self.models, self.preview_models = Models(), Models()
        self.viewers = Viewers() if find_spec("ex4d_viewer") else None
        self.examples = find_examples(examples)
        self.session = Session(registry=self.models.registry, progress=False, download="no", device=device)
        """Describes components; it runs nothing."""
        self.depths = choices_of("depth", self.session)
        self.backbones = choices_of("backbone", self.session)

    def remove_old(self) -> None:
        """Remove projects that nobody has used for a long time."""
        self.projects.remove_old(lambda name: self.jobs.is_busy(name) or self.previews.is_busy(name))

    def discard(self, project: Project) -> None:
        """Cancel the jobs of a project, and remove it."""
        self.jobs.forget(project.name)
        self.previews.forget(project.name)
        self.projects.discard(project)

    def close(self) -> None:
        """Cancel all jobs and end the threads."""
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
    head = f"auto selects {choices.auto}." if choices.auto else f"No {kind} can be selected automatically."
    lines = [*choices.reasons, *(line for line in choices.unavailable if line not in choices.reasons)]
    return texts.message(head) + texts.notes(lines)


def find_examples(folder: Path | None) -> dict[str, Path]:
    """Return example clips by name; by default those of the checkout of ex4d, if there is one."""
    parent = folder or Path(__file__).parents[4] / "examples"
    return {clip.parent.name: clip for clip in sorted(parent.glob("*/clip.mp4"))}
