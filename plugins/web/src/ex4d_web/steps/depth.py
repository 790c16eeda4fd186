"""Step 2: estimate the depth, or take it from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ex4d_core.errors import InvalidInput
from ex4d_web import texts, work
from ex4d_web.app_state import AppState, reasons
from ex4d_web.job_queue import Job
from ex4d_web.projects import Project, add_file
from ex4d_web.steps.base import Updates, heading, media

EMPTY = "Depth appears here. It is estimated once, and used by all camera paths."


class DepthStep:
    """Estimator, progress and preview of the depth."""

    def __init__(self, state: AppState) -> None:
        """Lay out the step."""
        self.state = state
        with gr.Column(elem_classes="ex4d-step", elem_id="ex4d-depth-step"):
            heading(2, "Depth", "How far each pixel is from the camera.")
            with gr.Row():
                with gr.Column():
                    self.estimator = gr.Dropdown(
                        state.depths.labels(), value="auto", label="Depth estimator", elem_id="ex4d-estimator"
                    )
                    self.reasons = gr.HTML(reasons(state.depths, "depth estimator"))
                    self.file_name = gr.HTML("", elem_id="ex4d-depth-file-name")
                    self.forget = gr.Button("Estimate depth instead", size="sm", visible=False)
                    with gr.Accordion("Upload a depth file instead", open=False):
                        self.file = gr.File(
                            label=".npy, .npz or lossless video",
                            file_types=[".npy", ".npz", ".mkv", ".mp4"],
                            height=110,
                            elem_id="ex4d-depth-file",
                        )
                    with gr.Row():
                        self.run = gr.Button("Estimate depth", variant="primary", elem_id="ex4d-depth-run")
                        self.cancel = gr.Button("Cancel", elem_id="ex4d-depth-cancel", visible=False)
                with gr.Column():
                    self.status = gr.HTML(texts.empty(EMPTY), elem_id="ex4d-depth-status")
                    self.preview = gr.Video(label="Depth, near is red", visible=False, interactive=False, loop=True)
                    self.notes = gr.HTML("")

    @property
    def parts(self) -> list[Any]:
        """The components that change with the project."""
        return [
            *(self.estimator, self.reasons, self.file, self.file_name, self.forget),
            *(self.run, self.cancel, self.status, self.preview, self.notes),
        ]

    def view(self, project: Project | None) -> Updates:
        """Return what the parts show for a project."""
        file = project.settings.depth_file if project else ""
        made = project.made.depth if project and project.has_depth else {}
        ready = "The depth is ready. Continue with the path."
        waiting = EMPTY if project is None or not project.made.depth else "The selection changed; estimate depth again."
        return {
            self.estimator: gr.update(value=project.settings.depth if project else "auto", visible=not file),
            self.reasons: gr.update(visible=not file),
            self.file: None,
            self.file_name: texts.message(f"The depth of this clip is in {file}.") if file else "",
            self.forget: gr.update(visible=bool(file)),
            self.run: gr.update(value="Read the depth file" if file else "Estimate depth", interactive=True),
            self.cancel: gr.update(visible=False),
            self.status: texts.message(ready) if made else texts.empty(waiting),
            self.preview: media(project, made, "preview"),
            self.notes: texts.notes(made.get("notes", ())),
        }

    def running(self) -> Updates:
        """Return what the parts show while the job waits or runs."""
        return {self.run: gr.update(interactive=False), self.cancel: gr.update(visible=True)}

    def replace_by(self, project: Project, upload: str | None) -> None:
        """Take the depth from an uploaded file; it is checked when it is read.

        Raises:
            InvalidInput: it is too large.
        """
        if not upload:
            raise InvalidInput("choose a depth file first")
        path = Path(upload)
        self.state.limits.check_upload(path)
        project.change(depth_file=add_file(project.folder, path))

    def submit(self, project: Project, estimator: str) -> Job:
        """Add the job to the queue.

        Raises:
            InvalidInput: the estimator is not one of the choices, or a job of the project waits or runs.
        """
        if not project.settings.depth_file:
            project.change(depth=self.state.depths.check(estimator, "the estimator"))
        job = work.estimate_depth(project, self.state.models, device=self.state.device)
        return self.state.jobs.submit(project.name, work.DEPTH, job)
