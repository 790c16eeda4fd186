"""Step 3: plan the camera path, by sliders and as text, with a preview within seconds."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr

from ex4d_core.errors import InvalidInput
from ex4d_web import texts, work
from ex4d_web.app_state import AppState
from ex4d_web.job_queue import Job
from ex4d_web.limits import MOST_TEXT
from ex4d_web.path_text import PRESETS, SAVED, TIMES, Sliders, check_cam, saved_paths, sliders_of, text_of
from ex4d_web.projects import Project
from ex4d_web.steps.base import Updates, heading, media

EMPTY = "Small views along the path appear here after depth is ready."


RANGES = {"yaw": (-90, 90), "pitch": (-45, 60), "distance": (0.2, 2.5)}
"""Smallest and largest value of each slider; the text can go beyond."""


class PathStep:
    """Sliders, presets, text, and the preview of the path."""

    def __init__(self, state: AppState) -> None:
        """Lay out the step."""
        self.state = state
        with gr.Column(elem_classes="ex4d-step", elem_id="ex4d-path-step"):
            heading(3, "Path", "Where the new camera moves. The preview shows how much of its view is in the clip.")
            with gr.Row():
                with gr.Column():
                    self._lay_out_controls()
                with gr.Column():
                    self.status = gr.HTML(texts.empty(EMPTY), elem_id="ex4d-path-status")
                    self.coverage = gr.HTML("", elem_id="ex4d-coverage")
                    with gr.Tabs(visible=False) as self.views:
                        with gr.Tab("Video"):
                            self.video = gr.Video(
                                label="Clip and new view", visible=False, interactive=False, loop=True, autoplay=True
                            )
                        with gr.Tab("Sheet"):
                            self.sheet = gr.Image(label="Contact sheet", visible=False, buttons=["fullscreen"])
                        with gr.Tab("Map"):
                            self.map = gr.Image(label="The path from above", visible=False, buttons=["fullscreen"])

    def _lay_out_controls(self) -> None:
        self.preset = gr.Dropdown(
            [("Choose a path", ""), *PRESETS.items()], value="", label="Preset", elem_id="ex4d-preset"
        )
        start = Sliders(yaw=30)
        self.yaw = gr.Slider(*RANGES["yaw"], start.yaw, step=1, label="Yaw, degrees to the right", elem_id="ex4d-yaw")
        self.pitch = gr.Slider(*RANGES["pitch"], start.pitch, step=1, label="Pitch, degrees up", elem_id="ex4d-pitch")
        self.distance = gr.Slider(
            *RANGES["distance"],
            start.distance,
            step=0.05,
            label="Distance to the subject at the end, 1: unchanged",
            elem_id="ex4d-distance",
        )
        with gr.Row():
            self.time = gr.Dropdown(list(TIMES), value=start.time, label="Time", elem_id="ex4d-time")
            self.factor = gr.Number(start.factor, label="Times slower", minimum=1, maximum=20, visible=False)
        self.smooth = gr.Checkbox(start.smooth, label="Start and end slowly")
        self.cam = gr.Textbox(
            text_of(start),
            label="Path as text",
            info="As --cam of the command line. The sliders write it; it can do more: orbit:yaw=40 then dolly.",
            elem_id="ex4d-cam",
            max_length=MOST_TEXT,
        )
        self.problem = gr.HTML("", elem_id="ex4d-path-problem")
        with gr.Row():
            self.preview = gr.Button("Preview the path", elem_id="ex4d-path-preview")
            self.viewer = gr.Button(
                "Edit in the 3D viewer", elem_id="ex4d-viewer", visible=self.state.viewers is not None
            )
        self.link = gr.HTML("")
        with gr.Row(visible=False, elem_classes="ex4d-ends") as self.saved_row:
            self.saved = gr.Dropdown([], label="Path saved in the viewer", scale=3)
            self.refresh = gr.Button("Look again", scale=1)

    @property
    def sliders(self) -> list[Any]:
        """The components that together write the text."""
        return [self.yaw, self.pitch, self.distance, self.smooth, self.time, self.factor]

    @property
    def parts(self) -> list[Any]:
        """The components that change with the project."""
        return [
            *self.sliders,
            *(self.cam, self.problem, self.preset, self.saved, self.saved_row, self.link),
            *(self.status, *self.preview_parts),
        ]

    @property
    def preview_parts(self) -> list[Any]:
        """The components that show the preview."""
        return [self.coverage, self.views, self.video, self.sheet, self.map]

    def view(self, project: Project | None) -> Updates:
        """Return what the parts show for a project."""
        made = project.made.preview if project else {}
        current = bool(project) and made.get("choice") == list(project.settings.depth_choice) if project else False
        text = EMPTY if project is None or not project.has_depth else "Change the path, or choose Preview the path."
        return {
            **(self.shown(project.settings.cam) if project else {}),
            **self.preview_of(project if current else None),
            self.status: "" if current else texts.empty(text),
            self.problem: "",
            self.link: "",
            self.preset: "",
            self.saved_row: gr.update(visible=bool(project and saved_paths(project.run))),
            self.saved: gr.update(choices=list(saved_paths(project.run)) if project else [], value=None),
        }

    def preview_of(self, project: Project | None) -> Updates:
        """Return the preview of a project; None: nothing."""
        made = project.made.preview if project else {}
        return {
            self.coverage: texts.coverage(made["visible"], made["frames"], made["warnings"]) if made else "",
            self.views: gr.update(visible=bool(made)),
            self.video: media(project, made, "video"),
            self.sheet: media(project, made, "sheet"),
            self.map: media(project, made, "plot"),
        }

    def shown(self, cam: str) -> Updates:
        """Return the text and, if they can express it, the sliders of a path."""
        found = sliders_of(cam)
        if found is None or not all(low <= getattr(found, name) <= high for name, (low, high) in RANGES.items()):
            return {self.cam: cam}
        return {
            self.cam: cam,
            self.yaw: found.yaw,
            self.pitch: found.pitch,
            self.distance: found.distance,
            self.smooth: found.smooth,
            self.time: found.time,
            self.factor: gr.update(value=found.factor, visible=found.time == "slow down"),
        }

    def set_cam(self, project: Project, cam: str) -> None:
        """Set the path of a project.

        Raises:
            Ex4dError: the text is not a path, or names a file of the server.
        """
        project.change(cam=check_cam(cam, project.run, self.state.session))

    def submit(self, project: Project, cam: str) -> Job:
        """Add the preview to its queue; it replaces the preview of an earlier path.

        Raises:
            Ex4dError: the path is invalid, or there is no depth yet.
        """
        self.set_cam(project, cam)
        if not project.has_depth:
            raise InvalidInput("estimate depth first (step 2)")
        job = work.preview_path(project, self.state.preview_models, device=self.state.device)
        return self.state.previews.submit(project.name, work.PREVIEW, job, replace=True)

    def open_viewer(self, project: Project) -> str:
        """Return a link to the page of the run folder in the 3D viewer.

        Raises:
            Ex4dError: there is nothing to show yet.
        """
        if self.state.viewers is None or not project.has_depth:
            raise InvalidInput("estimate depth first (step 2)")
        url = html.escape(self.state.viewers.open(project.run))
        return (
            f'<p class="ex4d-message"><a href="{url}" target="_blank" rel="noopener">Open the 3D viewer</a><br>'
            "Drag keyframes and save the path there, then choose it here.</p>"
        )

    @staticmethod
    def cam_of_saved(name: str | None) -> str:
        """Return the text of a path that was saved in the viewer."""
        return f"{SAVED}/{name}" if name else ""


def text_of_sliders(yaw: float, pitch: float, distance: float, smooth: bool, time: str, factor: float) -> str:
    """Return the text for the values of the sliders, which are checked as part of the text."""
    known = next((each for each in TIMES if each == time), TIMES[0])
    return text_of(
        Sliders(yaw=yaw, pitch=pitch, distance=distance, smooth=smooth, time=known, factor=max(1.0, factor or 1.0))
    )
