"""Step 4: generate the result, compare it with the input, download it, and see how to make it again."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ex4d_core.errors import InvalidInput
from ex4d_core.page_guard import text_in
from ex4d_web import texts, work
from ex4d_web.app_state import AppState, reasons
from ex4d_web.choices import option_values
from ex4d_web.job_queue import Job
from ex4d_web.limits import MOST_TEXT, whole
from ex4d_web.projects import Project
from ex4d_web.steps.base import Updates, heading, media
from ex4d_web.theme import PLAY_BOTH

MOST_OPTION = 20
"""Largest number of characters of an option of a backbone."""

EMPTY = "Input and result appear here, side by side."

DOWNLOADS = ("result", "color", "mask", "camera", "mesh", "sheet")
"""Labels of the files to download, in order."""

FILES = (
    "color: the clip seen from the new cameras; mask: the part of it that the clip shows; camera: the path; "
    "DW-Mesh: the mesh of the first frame; sheet: frames side by side; config: settings of ex4d."
)
"""What the files are."""


class ResultStep:
    """Backbone, progress, comparison, downloads."""

    def __init__(self, state: AppState) -> None:
        """Lay out the step."""
        self.state = state
        with gr.Column(elem_classes="ex4d-step", elem_id="ex4d-result-step"):
            heading(4, "Result", "A video model generates what the clip does not show.")
            with gr.Row():
                with gr.Column():
                    self._lay_out_controls()
                with gr.Column():
                    self.status = gr.HTML(texts.empty(EMPTY), elem_id="ex4d-result-status")
                    self.live = gr.Video(
                        label="Preview while it is generated",
                        visible=False,
                        interactive=False,
                        autoplay=True,
                        loop=True,
                    )
                    self.notes = gr.HTML("")
            with gr.Column(visible=False) as self.output:
                with gr.Row():
                    self.input = gr.Video(label="Input", interactive=False, loop=True, elem_id="ex4d-input")
                    self.result = gr.Video(label="Result", interactive=False, loop=True, elem_id="ex4d-result")
                play = gr.Button("Play both from the start", size="sm")
                play.click(None, js=PLAY_BOTH, api_visibility="private")
                self.files = gr.File(label="Downloads", file_count="multiple", interactive=False, elem_id="ex4d-files")
                gr.HTML(f'<p class="ex4d-notes">{FILES}</p>')
                with gr.Tabs():
                    with gr.Tab("Command line"):
                        self.command = _code("ex4d-command")
                    with gr.Tab("Python"):
                        self.python = _code("ex4d-python")

    def _lay_out_controls(self) -> None:
        self.backbone = gr.Dropdown(
            self.state.backbones.labels(), value="auto", label="Video model", elem_id="ex4d-backbone"
        )
        gr.HTML(reasons(self.state.backbones, "video model"))
        self.prompt = gr.Textbox(
            label="Prompt", info="Describes the whole video, for models that read it.", max_length=MOST_TEXT, lines=2
        )
        speeds, memory = self._options("auto")
        with gr.Row():
            self.speed = gr.Dropdown(["default", *speeds], value="default", label="Speed", visible=bool(speeds))
            self.memory = gr.Textbox(
                label="GPU memory",
                info="GiB, auto or none",
                max_length=MOST_OPTION,
                visible=memory,
                placeholder="default",
            )
            self.seed = gr.Number(42, label="Seed", precision=0, minimum=0, maximum=2**53)
        with gr.Row():
            self.run = gr.Button("Generate", variant="primary", elem_id="ex4d-generate")
            self.cancel = gr.Button("Cancel", visible=False, elem_id="ex4d-generate-cancel")

    def _options(self, backbone: str) -> tuple[list[str], bool]:
        """Return the speeds of a backbone, and whether it has a limit of memory."""
        name = self.state.backbones.auto if backbone == "auto" else backbone
        session = self.state.session
        speeds = option_values(session, "backbone", name, "speed") or ()
        return list(speeds), option_values(session, "backbone", name, "memory") is not None

    def of_backbone(self, backbone: str, *, speed: str = "", memory: str = "") -> Updates:
        """Return the options that a backbone has, with these values."""
        speeds, has_memory = self._options(backbone)
        return {
            self.speed: gr.update(choices=["default", *speeds], value=speed or "default", visible=bool(speeds)),
            self.memory: gr.update(value=memory, visible=has_memory),
        }

    @property
    def inputs(self) -> list[Any]:
        """The components with the choices of this step."""
        return [self.backbone, self.prompt, self.speed, self.memory, self.seed]

    @property
    def parts(self) -> list[Any]:
        """The components that change with the project."""
        return [
            *self.inputs,
            *(self.run, self.cancel, self.status, self.live, self.notes, self.output),
            *(self.input, self.result, self.files, self.command, self.python),
        ]

    def view(self, project: Project | None) -> Updates:
        """Return what the parts show for a project."""
        made = project.made.result if project and project.has_depth else {}
        files = [
            path
            for name in [*(made.get("files", {}).get(label, "") for label in DOWNLOADS), *self._common(project, made)]
            if project and (path := project.path(name))
        ]
        done = f"The result along {made['cam']} is ready." if made else ""
        return {
            self.run: gr.update(interactive=True),
            self.cancel: gr.update(visible=False),
            self.live: gr.update(value=None, visible=False),
            self.status: texts.message(done) if made else texts.empty(EMPTY),
            self.notes: texts.notes(made.get("notes", ())),
            self.output: gr.update(visible=bool(made)),
            self.input: gr.update(value=project.path(work.PART) if project and made else None),
            self.result: media(project, made, "result"),
            self.files: files or None,
            self.command: made.get("command", ""),
            self.python: made.get("python", ""),
        }

    def chosen(self, project: Project) -> Updates:
        """Return the choices of a project, for a page that was reloaded."""
        settings = project.settings
        return {
            self.backbone: settings.backbone,
            **self.of_backbone(settings.backbone, speed=settings.speed, memory=settings.memory),
            self.prompt: settings.prompt,
            self.seed: settings.seed,
        }

    @staticmethod
    def _common(project: Project | None, made: dict[str, Any]) -> list[str]:
        """Return the names of the files that do not belong to one path."""
        return ["run/depth.npz", "run/config.toml"] if project and made else []

    def running(self) -> Updates:
        """Return what the parts show while the job waits or runs."""
        return {
            self.run: gr.update(interactive=False),
            self.cancel: gr.update(visible=True),
            self.output: gr.update(visible=False),
            self.notes: "",
        }

    def submit(
        self, project: Project, backbone: str, prompt: str, speed: str | None, memory: str | None, seed: float | None
    ) -> Job:
        """Add the job to the queue.

        Raises:
            Ex4dError: a choice is invalid, there is no depth yet, or a job of the project waits or runs.
        """
        if not project.has_depth:
            raise InvalidInput("estimate depth first (step 2)")
        self.state.backbones.check(backbone, "the video model")
        speeds, has_memory = self._options(backbone)
        speed = "" if speed in ("default", None) else text_in(speed, MOST_OPTION, "the speed")
        memory = text_in(memory or "", MOST_OPTION, "the GPU memory").strip()
        if speed and speed not in speeds:
            raise InvalidInput(f"the speed of {backbone} must be one of {', '.join(['default', *speeds])}")
        if memory and not has_memory:
            raise InvalidInput(f"{backbone} has no option for GPU memory; leave it empty")
        project.change(
            backbone=backbone,
            prompt=text_in(prompt or "", MOST_TEXT, "the prompt").strip(),
            speed=speed,
            memory=memory,
            seed=max(0, whole(42 if seed is None else seed, "the seed")),
        )
        job = work.generate(project, self.state.models, device=self.state.device)
        return self.state.jobs.submit(project.name, work.GENERATION, job)


def _code(elem_id: str) -> gr.Code:
    """Return a part that shows code; without a language, since the colors of languages are hard to read."""
    return gr.Code(
        language=None, label="Makes the same again", interactive=False, wrap_lines=True, lines=1, elem_id=elem_id
    )
