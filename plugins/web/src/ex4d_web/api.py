"""The HTTP API: three calls, which Gradio serves below `/gradio_api`. Their names and arguments are stable."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import FileData
from gradio.events import api
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from ex4d_core.errors import InvalidInput
from ex4d_web.app_state import POLL, AppState
from ex4d_web.job_queue import Job, JobQueue
from ex4d_web.projects import Project
from ex4d_web.sentences import sentence_of
from ex4d_web.steps.clip import ClipStep
from ex4d_web.steps.depth import DepthStep
from ex4d_web.steps.path import PathStep
from ex4d_web.steps.result import DOWNLOADS, ResultStep

OPEN_CLIP, PREVIEW, GENERATE = "open_clip", "preview", "generate"
"""Names of the calls."""


def add_api(state: AppState, clip: ClipStep, depth: DepthStep, path: PathStep, result: ResultStep) -> None:
    """Add the calls to the current Blocks."""

    async def open_clip(
        clip_file: FileData,
        start: int = 0,
        frames: int = 49,
        stride: int = 1,
        side: int = 512,
        depth_estimator: str = "auto",
        depth_file: FileData | None = None,
    ) -> dict[str, Any]:
        """Upload a clip, select a part of it, and get its depth. Returns the project for the other calls."""
        with _errors():
            project = await asyncio.to_thread(clip.take, _path(clip_file))
            try:
                await asyncio.to_thread(clip.select, project, start, frames, stride, side)
                if depth_file is not None:
                    depth.replace_by(project, _path(depth_file))
                await _finish(state.jobs, depth.submit(project, depth_estimator))
            except BaseException:  # nobody else knows its name
                state.discard(project.name)
                raise
        return {"project": project.name, "frames": project.settings.count, "size": project.settings.size}

    async def preview(project: str, cam: str) -> tuple[dict[str, Any], FileData]:
        """Preview a camera path. Returns the visible share of each tested frame, warnings, and the contact sheet."""
        with _errors():
            found = state.projects.open(project)
            await _finish(state.previews, path.submit(found, cam))
        made = found.made.preview
        facts = {name: made[name] for name in ("cam", "frames", "visible", "warnings")}
        return facts, _file(found, made["files"]["sheet"])

    async def generate(
        project: str,
        cam: str,
        backbone: str = "auto",
        prompt: str = "",
        speed: str = "",
        memory: str = "",
        seed: int = 42,
    ) -> tuple[dict[str, Any], list[FileData]]:
        """Generate the view along a camera path. Returns facts, and the result with its other files."""
        with _errors():
            found = state.projects.open(project)
            path.set_cam(found, cam)
            await _finish(state.jobs, result.submit(found, backbone, prompt, speed, memory, seed))
        made = found.made.result
        files = [made["files"][label] for label in DOWNLOADS if label in made["files"]]
        facts = {name: made[name] for name in ("cam", "command", "notes")}
        return facts, [_file(found, name) for name in files]

    for call, name in ((open_clip, OPEN_CLIP), (preview, PREVIEW), (generate, GENERATE)):
        api(call, api_name=name, concurrency_limit=None)


@contextmanager
def _errors() -> Iterator[None]:
    """Turn errors of the block into those that Gradio sends to the caller, as one sentence."""
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        raise _failure(sentence_of(error)) from error


def _failure(sentence: str) -> gr.Error:
    return gr.Error(sentence, print_exception=False)


async def _finish(queue: JobQueue, job: Job) -> None:
    """Wait for a job; it is canceled if the caller cancels or leaves."""
    try:
        while not job.is_over:
            await asyncio.sleep(POLL)
    except BaseException:
        job.cancel()
        raise
    status = queue.status(job)
    if status.state != "done":
        raise _failure(status.error or f"{status.title} was canceled")


def _path(file: FileData | dict[str, Any]) -> str:
    """Return the path of an uploaded file; Gradio does not check files of these calls.

    Raises:
        InvalidInput: it was not uploaded, but is another file of the server.
    """
    path = os.path.realpath(str(file["path"] if isinstance(file, dict) else file.path))
    if not Path(path).is_relative_to(os.path.realpath(get_upload_folder())):
        raise InvalidInput("the file was not uploaded; upload it with handle_file")
    return path


def _file(project: Project, name: str) -> FileData:
    """Return a file that was made, as a copy that Gradio serves below a name that nobody can guess."""
    copy = save_file_to_cache(str(project.folder / name), get_upload_folder())
    return FileData(path=copy, orig_name=Path(name).name)
