"""The panel beside the scene: input, result and visible region of the current frame."""

from __future__ import annotations

import cv2
import numpy as np
import viser

PICTURE_SIDE = 320
"""Pixels along the longer side of pictures on the page."""


class PicturePanel:
    """Pictures of one frame, each shown only if it is available."""

    def __init__(self, server: viser.ViserServer) -> None:
        """Create the panel, at the left edge of the page; on a narrow one it is the last section of the controls."""
        panel = server.gui.add_panel()
        with panel.add_tab("Pictures"):
            self._input = self._hidden(server, "Input")
            self._result = self._hidden(server, "Result")
            self._guidance = self._hidden(server, "Visible region")
        panel.dock_left()
        panel.expand()  # on a narrow page it would begin folded

    def show_input(self, picture: np.ndarray) -> None:
        """Show the frame of the clip, uint8 [h, w, 3]."""
        self._input.image, self._input.visible = picture, True

    def show_result(self, picture: np.ndarray | None) -> None:
        """Show the frame of the result, uint8 [h, w, 3]; None hides it."""
        if picture is not None:
            self._result.image = picture
        self._result.visible = picture is not None

    def show_guidance(self, picture: np.ndarray | None, visible: float | None, *, is_preview: bool = False) -> None:
        """Show the guidance.

        Args:
            picture: uint8 [h, w, 3]; None hides it.
            visible: fraction of it that is visible.
            is_preview: whether it is a small preview, and not what a run has rendered.
        """
        if picture is not None:
            self._guidance.image = picture
            self._guidance.label = (
                "" if visible is None else f"Visible region{' (preview)' * is_preview}: {visible:.0%}"
            )
        self._guidance.visible = picture is not None

    @property
    def guidance_label(self) -> str:
        """The label of the guidance, with its visible fraction; '' if it is hidden."""
        return str(self._guidance.label) if self._guidance.visible else ""

    @property
    def shown(self) -> tuple[str, ...]:
        """The pictures that are visible."""
        named = {"input": self._input, "guidance": self._guidance, "result": self._result}
        return tuple(name for name, image in named.items() if image.visible)

    @staticmethod
    def _hidden(server: viser.ViserServer, label: str) -> viser.GuiImageHandle:
        return server.gui.add_image(np.zeros((8, 8, 3), np.uint8), label=label, visible=False)


def resize(picture: np.ndarray) -> np.ndarray:
    """Return a picture with at most `PICTURE_SIDE` pixels along its longer side."""
    longer = max(picture.shape[:2])
    if longer <= PICTURE_SIDE:
        return picture
    size = [max(1, round(side * PICTURE_SIDE / longer)) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
