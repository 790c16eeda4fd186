"""Step 1: upload a clip, and select a part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ex4d_core.errors import InvalidInput
from ex4d_web import texts, work
from ex4d_web.app_state import AppState
from ex4d_web.limits import whole
from ex4d_web.projects import Project, add_file
from ex4d_web.steps.base import Updates, heading

DEFAULT_FRAMES = 49

SIDES = (256, 384, 512, 640, 960, 1280, 1920)


class ClipStep:
    """Upload and trim."""

    def __init__(self, state: AppState) -> None:
        """Lay out the step."""
        self.state = state
        sides = [side for side in SIDES if side <= state.limits.side]
        with gr.Column(elem_classes="ex4d-step", elem_id="ex4d-clip"):
            heading(1, "Clip", "One video, or a photo. It stays on this server and is removed later.")
            with gr.Row():
                with gr.Column():
                    self.upload = gr.File(
                        label=f"Video or photo, up to {state.limits.upload_mb} MB",
                        file_types=["video", "image", ".mov", ".mkv", ".heic"],
                        height=180,
                        elem_id="ex4d-upload",
                    )
                    self.example: gr.Dropdown | None = None
                    if state.examples:
                        with gr.Row(elem_classes="ex4d-ends"):
                            self.example = gr.Dropdown(
                                [(f"Example: {name}", name) for name in state.examples],
                                label="Without a clip of your own",
                                scale=3,
                            )
                            self.take_example = gr.Button("Use the example", scale=2, elem_id="ex4d-example")
                    with gr.Accordion("Trim", open=True, visible=False) as self.trim:
                        self.start = gr.Slider(0, 1, 0, step=1, label="First frame", elem_id="ex4d-start")
                        self.count = gr.Slider(
                            1, state.limits.frames, 1, step=1, label="Number of frames", elem_id="ex4d-count"
                        )
                        with gr.Row():
                            self.stride = gr.Dropdown(
                                [("every frame", 1), ("every 2nd", 2), ("every 3rd", 3), ("every 4th", 4)],
                                value=1,
                                label="Frames to use",
                            )
                            self.side = gr.Dropdown(
                                [(f"{side} pixels", side) for side in sides],
                                value=min(512, sides[-1]),
                                label="Longer side",
                                elem_id="ex4d-side",
                            )
                with gr.Column():
                    self.status = gr.HTML(texts.empty("Drop a clip into the field, or use the example."))
                    self.part = gr.Video(label="Selected part", visible=False, interactive=False)

    @property
    def parts(self) -> list[Any]:
        """The components that change with the project."""
        return [self.trim, self.start, self.count, self.stride, self.side, self.status, self.part]

    def view(self, project: Project | None) -> Updates:
        """Return what the parts show for a project."""
        if project is None:
            return {
                self.trim: gr.update(visible=False),
                self.status: texts.empty("Drop a clip into the field, or use the example."),
                self.part: gr.update(value=None, visible=False),
            }
        chosen, part = project.settings, project.path(work.PART)
        most = max(1, min(self.state.limits.frames, -(-chosen.num_frames // chosen.stride)))
        return {
            self.trim: gr.update(visible=True),
            self.start: gr.update(value=chosen.start, maximum=max(1, chosen.num_frames - 1)),
            self.count: gr.update(value=chosen.count, maximum=max(2, most)),
            self.stride: chosen.stride,
            self.side: chosen.side,
            self.status: texts.message(describe(project)),
            self.part: gr.update(value=part, visible=part is not None),
        }

    def take(self, upload: str | None) -> Project:
        """Create the project of an uploaded file, with a selection within the limits.

        Raises:
            Ex4dError: it is not a clip, or too large.
        """
        if not upload:
            raise InvalidInput("upload a clip first")
        path = Path(upload)
        self.state.limits.check_upload(path)
        return self._opened(path)

    def take_named_example(self, name: str | None) -> Project:
        """Create a project with an example clip and its depth.

        Raises:
            InvalidInput: the example does not exist.
        """
        clip = self.state.examples.get(name or next(iter(self.state.examples)))
        if clip is None:
            raise InvalidInput("this example does not exist; choose one of the list, or upload a clip")
        project = self._opened(clip)
        if (depth := clip.with_name("depth.npz")).is_file():
            project.change(depth_file=add_file(project.folder, depth))
        return project

    def select(self, project: Project, start: float, count: float, stride: float, side: float) -> None:
        """Select a part of the clip.

        Raises:
            Ex4dError: it is larger than the limits, or cannot be decoded.
        """
        chosen, limits = project.settings, self.state.limits
        start = min(max(0, whole(start, "the first frame")), chosen.num_frames - 1)
        stride, side = max(1, whole(stride, "the stride")), max(64, whole(side, "the longer side"))
        count = min(max(1, whole(count, "the number of frames")), -(-(chosen.num_frames - start) // stride))
        limits.check_selection(count, min(side, max(chosen.width, chosen.height)))
        project.change(start=start, count=count, stride=stride, side=side)
        work.write_part(project)

    def _opened(self, path: Path) -> Project:
        project = self.state.projects.create(path)
        try:
            work.probe(project)
            limits = self.state.limits
            self.select(project, 0, min(DEFAULT_FRAMES, limits.frames), 1, min(512, limits.side))
        except BaseException:
            self.state.discard(project.name)
            raise
        return project


def describe(project: Project) -> str:
    """Return one line on the selected part."""
    chosen = project.settings
    if chosen.is_photo:
        return f"{chosen.clip}: a photo of {chosen.width}x{chosen.height}. The camera moves along it."
    seconds = chosen.count * chosen.stride / chosen.fps if chosen.fps else 0
    size = chosen.size or f"{chosen.width}x{chosen.height}"
    return (
        f"{chosen.clip}: {chosen.count} of {chosen.num_frames} frames ({seconds:.1f} s), worked on at {size}. "
        "Trim it, or go on to depth."
    )
