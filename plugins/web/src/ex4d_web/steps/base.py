"""What the steps have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import gradio as gr

from ex4d_web.projects import Project

Updates = dict[Any, Any]
"""New values or properties of components."""


class Step(Protocol):
    """One step of the app."""

    @property
    def parts(self) -> list[Any]:
        """The components that change with the project."""
        ...

    def view(self, project: Project | None) -> Updates:
        """Return what the parts show for a project; None: before a clip is uploaded."""
        ...


def heading(number: int, title: str, text: str) -> None:
    """Show the heading of a step; the navigation links to it."""
    gr.HTML(f'<h2 id="step-{number}" tabindex="-1">{number} · {title}</h2><p>{text}</p>')


def media(project: Project | None, facts: Mapping[str, Any], label: str) -> Any:
    """Return the update of a video or image: shown if the file exists, hidden otherwise."""
    name = facts.get("files", {}).get(label, "") if project else ""
    path = project.path(name) if project else None
    return gr.update(value=path, visible=path is not None)
