"""The controls that run the selected path, and the status of that run."""

from __future__ import annotations

import viser

from ex4d_core.page_guard import text_as_markdown
from ex4d_viewer.controls import put
from ex4d_viewer.panel import SECONDARY
from ex4d_viewer.path_runner import RunStatus

MOST_WARNINGS = 5


class RunPanel:
    """Two buttons, a progress bar and a text."""

    def __init__(self, server: viser.ViserServer) -> None:
        """Create the controls."""
        gui = server.gui
        with gui.add_folder("Run"):
            gui.add_markdown("Runs the selected path with the settings of this run; **my path** is saved first.")
            self.start = gui.add_button("Run the path")
            self.cancel = gui.add_button(
                "Cancel the run", color=SECONDARY, visible=False, hint="finished stages are kept"
            )
            self._progress = gui.add_progress_bar(0.0, visible=False)
            self._text = gui.add_markdown("")

    @property
    def text(self) -> str:
        """The status, in Markdown."""
        return str(self._text.content)

    def show(self, status: RunStatus) -> None:
        """Show the status of a run."""
        running = status.state == "running"
        self.start.disabled, self.cancel.visible, self._progress.visible = running, running, running
        put(self._progress, 100 * status.done / status.total if status.total else 0.0)
        self._text.content = status_text(status)

    def show_canceling(self) -> None:
        """Show that the run stops at its next step, which can take a while."""
        self._text.content = "Canceling after the current step ..."

    def refuse(self, sentence: str) -> None:
        """Show why no run was started."""
        self._text.content = f"**Not run**: {text_as_markdown(sentence)}"


def status_text(status: RunStatus) -> str:
    """Return the status of a run in Markdown."""
    cam = text_as_markdown(f"--cam {status.cam}")
    if status.state == "running":
        counted = f" {status.done} of {status.total}" if status.total else ""
        return f"{cam}: {text_as_markdown(status.stage)}{counted}"
    warnings = [f"- {text_as_markdown(text)}" for text in status.warnings[:MOST_WARNINGS]]
    if status.state == "failed":
        first = f"**Failed**: {text_as_markdown(status.error)}"
    elif status.state == "canceled":
        first = f"{cam}: canceled. Finished stages are kept; run the path again to resume."
    else:
        result = status.files.get("result")
        first = f"{cam}: finished{'' if result is None else f', {text_as_markdown(result)}'}"
    return "\n\n".join([first, *(["\n".join(warnings)] if warnings else [])])
