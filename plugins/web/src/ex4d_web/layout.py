"""The page: four steps below each other, and what their buttons do.

The browser keeps the name of the project, so that a reload goes on where the page was; jobs run on without a page.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from ex4d_core.errors import Ex4dError
from ex4d_web import texts, work
from ex4d_web.api import add_api
from ex4d_web.app_state import AppState, follow
from ex4d_web.job_queue import Job
from ex4d_web.projects import Project
from ex4d_web.steps.base import Step, Updates
from ex4d_web.steps.clip import ClipStep
from ex4d_web.steps.depth import DepthStep
from ex4d_web.steps.path import PathStep, text_of_sliders
from ex4d_web.steps.result import ResultStep

STAY = 10
"""Seconds after which the server notices that a page was closed."""

DECODERS = 2
"""Largest number of clips that are decoded for their first look at the same time."""

HEADER = """<header class="ex4d-header"><h1>ex4d</h1>
<p>See a video from a new camera path: upload it, check its depth, plan the path, generate the view.</p>
<nav aria-label="Steps"><ul class="ex4d-nav"><li><a href="#step-1">1 Clip</a></li><li><a href="#step-2">2 Depth</a></li>
<li><a href="#step-3">3 Path</a></li><li><a href="#step-4">4 Result</a></li></ul></nav></header>"""


class Page:
    """The components of the page and their events."""

    def __init__(self, state: AppState) -> None:
        """Lay out the page in the current Blocks, and connect it."""
        self.state = state
        self.name = gr.BrowserState("", storage_key="ex4d-project", secret="ex4d")
        gr.HTML(HEADER)
        self.clip, self.depth = ClipStep(state), DepthStep(state)
        self.path, self.result = PathStep(state), ResultStep(state)
        gr.HTML(
            f'<p class="ex4d-footer">Files are removed {state.limits.hours:g} hours after their last use. '
            "The page loads nothing from other servers.</p>"
        )
        # First, since Gradio numbers the names of later functions that are called alike.
        add_api(state, self.clip, self.depth, self.path, self.result)
        self._bind_clip()
        self._bind_depth()
        self._bind_path()
        self._bind_result()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in order."""
        return self.clip, self.depth, self.path, self.result

    def parts(self, *steps: Step) -> list[Any]:
        """Return the components of steps."""
        return [part for step in steps for part in step.parts]

    @staticmethod
    def views(project: Project | None, *steps: Step) -> Updates:
        """Return what steps show for a project."""
        return {part: update for step in steps for part, update in step.view(project).items()}

    def on_load(self, blocks: gr.Blocks) -> None:
        """Go on with the project of the browser when the page is loaded."""
        blocks.load(self._restore, self.name, [self.name, *self.parts(*self.steps)], **_FREE)
        blocks.load(_stay_connected, None, None, **_FREE)

    async def _restore(self, name: str) -> AsyncIterator[Updates]:
        if not name:
            yield {self.name: gr.skip()}  # Gradio clears all outputs of a generator that yields nothing
            return
        try:
            project = self.state.projects.open(name)
        except Ex4dError as error:
            yield {self.name: "", self.clip.status: texts.failure(error)}
            return
        shown = {**self.views(project, *self.steps), **self.result.chosen(project)}
        job = self.state.jobs.latest(project.name)
        if job is None or job.is_over:
            yield shown
            return
        step = self.depth if job.title == work.DEPTH else self.result
        yield {**shown, **step.running()}  # at once: a page can lose a button that is hidden and shown again
        async for updates in self._watched(project, job, step):
            yield updates

    async def _watched(self, project: Project, job: Job, step: DepthStep | ResultStep) -> AsyncIterator[Updates]:
        """Yield what a step shows while its job waits and runs, and in the end."""
        yield step.running()
        live = work.live_preview(project, project.settings.cam)
        shown = None
        async for text in follow(self.state.jobs, job):
            updates: Updates = {step.status: text}
            if step is self.result and live.is_file() and (changed := live.stat().st_mtime_ns) != shown:
                updates[self.result.live], shown = gr.update(value=str(live), visible=True), changed
            yield updates
        after = self._after(step)
        final = self.views(project, *after)
        if job.status().state != "done":
            final[step.status] = texts.status(job.status())
        yield final

    def _after(self, step: Step) -> tuple[Step, ...]:
        """Return a step and those that depend on it."""
        return self.steps[self.steps.index(step) :]

    def _bind_clip(self) -> None:
        step, outputs = self.clip, [self.name, *self.parts(*self.steps)]

        def open_with(take: Callable[[Any], Project]) -> Callable[[Any, str], Updates]:
            def handler(value: Any, name: str) -> Updates:
                try:
                    project = take(value)
                except Exception as error:
                    return {step.status: texts.failure(error)}
                self._leave(name)
                return {self.name: project.name, **self.views(project, *self.steps)}

            return handler

        step.upload.upload(open_with(step.take), [step.upload, self.name], outputs, **_DECODING)
        if step.example is not None:
            take = open_with(step.take_named_example)
            step.take_example.click(take, [step.example, self.name], outputs, **_DECODING)

        def select(name: str, start: float, count: float, stride: float, side: float) -> Updates:
            try:
                project = self.state.projects.open(name)
                step.select(project, start, count, stride, side)
            except Exception as error:
                return {step.status: texts.failure(error)}
            return self.views(project, step, self.depth, self.path, self.result)

        inputs = [self.name, step.start, step.count, step.stride, step.side]
        for event in (step.start.input, step.count.input, step.stride.input, step.side.input):
            event(select, inputs, outputs, trigger_mode="always_last", **_DECODING)

    def _leave(self, name: str) -> None:
        """Cancel the job of the project that the browser had before."""
        for queue in (self.state.jobs, self.state.previews):
            if name and (job := queue.latest(name)) is not None:
                job.cancel()

    def _bind_depth(self) -> None:
        step, outputs = self.depth, self.parts(self.depth, self.path, self.result)

        async def estimate(name: str, estimator: str) -> AsyncIterator[Updates]:
            try:
                project = self.state.projects.open(name)
                job = step.submit(project, estimator)
            except Exception as error:
                yield {step.status: texts.failure(error)}
                return
            async for updates in self._watched(project, job, step):
                yield updates

        def replace(name: str, upload: str | None) -> Updates:
            try:
                project = self.state.projects.open(name)
                step.replace_by(project, upload)
            except Exception as error:
                return {step.file: None, step.file_name: texts.failure(error)}
            return self.views(project, step, self.path, self.result)

        def forget(name: str) -> Updates:
            try:
                project = self.state.projects.open(name)
            except Ex4dError as error:
                return {step.status: texts.failure(error)}
            project.change(depth_file="")
            return self.views(project, step, self.path, self.result)

        step.run.click(estimate, [self.name, step.estimator], outputs, **_FREE)
        step.file.upload(replace, [self.name, step.file], outputs, **_FREE)
        step.forget.click(forget, self.name, outputs, **_FREE)
        step.cancel.click(self._cancel, self.name, None, **_FREE)

    def _cancel(self, name: str) -> None:
        if name and (job := self.state.jobs.latest(name)) is not None:
            job.cancel()

    def _bind_path(self) -> None:
        step = self.path
        preview = [self.name, step.cam], [step.status, step.problem, *step.preview_parts]

        async def show(name: str, cam: str) -> AsyncIterator[Updates]:
            try:
                project = self.state.projects.open(name)
                job = step.submit(project, cam)
            except Exception as error:
                yield {step.problem: texts.failure(error)}
                return
            async for text in follow(self.state.previews, job):
                yield {step.status: text, step.problem: ""}
            if job.status().state == "done":
                yield {**step.preview_of(project), step.status: ""}

        def of_text(cam: str) -> Updates:
            return step.shown(cam)

        def of_sliders(*values: Any) -> Updates:
            return {step.cam: text_of_sliders(*values), step.factor: gr.update(visible=values[4] == "slow down")}

        shown = [*step.sliders, step.cam]
        for event in (
            *(step.yaw.input, step.pitch.input, step.distance.input),  # their release is not fired by the keyboard
            *(step.smooth.input, step.time.input, step.factor.blur),
        ):
            written = event(of_sliders, step.sliders, shown, trigger_mode="always_last", **_FREE)
            written.then(show, *preview, trigger_mode="always_last", **_FREE)
        for event in (step.cam.submit, step.preview.click):
            event(of_text, step.cam, shown, **_FREE).then(show, *preview, trigger_mode="always_last", **_FREE)
        step.cam.blur(of_text, step.cam, shown, **_FREE)
        chosen = step.preset.input(of_text, step.preset, shown, **_FREE)
        chosen.then(show, *preview, trigger_mode="always_last", **_FREE)
        saved = step.saved.input(lambda name: step.shown(step.cam_of_saved(name)), step.saved, shown, **_FREE)
        saved.then(show, *preview, trigger_mode="always_last", **_FREE)
        self._bind_viewer()

    def _bind_viewer(self) -> None:
        step = self.path

        def open_viewer(name: str) -> Updates:
            try:
                link = step.open_viewer(self.state.projects.open(name))
            except Exception as error:
                return {step.link: texts.failure(error)}
            return {step.link: link, step.saved_row: gr.update(visible=True)}

        def look(name: str) -> Updates:
            try:
                view = step.view(self.state.projects.open(name))
            except Ex4dError as error:
                return {step.link: texts.failure(error)}
            return {step.saved: view[step.saved], step.saved_row: gr.update(visible=True)}

        step.viewer.click(open_viewer, self.name, [step.link, step.saved_row], **_FREE)
        step.refresh.click(look, self.name, [step.link, step.saved, step.saved_row], **_FREE)

    def _bind_result(self) -> None:
        step = self.result

        async def generate(name: str, cam: str, *choices: Any) -> AsyncIterator[Updates]:
            try:
                project = self.state.projects.open(name)
                self.path.set_cam(project, cam)
                job = step.submit(project, *choices)
            except Exception as error:
                yield {step.status: texts.failure(error)}
                return
            async for updates in self._watched(project, job, step):
                yield updates

        step.run.click(generate, [self.name, self.path.cam, *step.inputs], step.parts, **_FREE)
        step.cancel.click(self._cancel, self.name, None, **_FREE)
        step.backbone.input(step.of_backbone, step.backbone, [step.speed, step.memory], **_FREE)


async def _stay_connected() -> AsyncIterator[None]:
    """Run as long as a page is open: Gradio loses an event that begins while it closes the connection of the last."""
    while True:
        yield
        await asyncio.sleep(STAY)


_FREE: dict[str, Any] = {"concurrency_limit": None, "api_visibility": "private", "show_progress": "hidden"}
"""Events that only wait: the queues of jobs limit the work."""

_DECODING: dict[str, Any] = {
    "concurrency_limit": DECODERS,
    "concurrency_id": "decoding",
    "api_visibility": "private",
    "show_progress": "minimal",
}
"""Events that decode a clip."""


def make_blocks(state: AppState) -> gr.Blocks:
    """Return the app; `serving` mounts it."""
    blocks = gr.Blocks(title="ex4d", analytics_enabled=False, delete_cache=(3600, int(state.limits.hours * 3600)))
    with blocks:
        page = Page(state)
        page.on_load(blocks)
    return blocks
