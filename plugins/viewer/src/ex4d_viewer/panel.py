"""The controls of the page and the texts and pictures beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import cv2
import numpy as np
import viser

from ex4d_core.terminal import printable
from ex4d_viewer.controls import choice, put, whole
from ex4d_viewer.scene_view import COLORS, Colors

PICTURE_SIDE = 320
"""Pixels along the longer side of pictures on the page."""

KEYFRAMES, MOST_KEYFRAMES = 4, 12

Handler = Callable[[Any], None]
"""Callback of a control; it receives the event."""


class Panel:
    """The controls of the page. Values are checked when they are read, since a client can send any value."""

    def __init__(self, server: viser.ViserServer, title: str) -> None:
        """Create all controls.

        Args:
            server: the server of the page.
            title: title of the panel.
        """
        gui = server.gui
        gui.set_panel_label(printable(title))
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.main_panel.dock_right()
        self.status = gui.add_markdown("Reading the run ...")
        self.alert = gui.add_markdown("")
        with gui.add_folder("Time"):
            self.play = gui.add_checkbox("Play", False)
            self.time = gui.add_slider("Frame", min=0, max=1, step=1, initial_value=0, disabled=True)
            self.speed = gui.add_slider("Frames per second", min=1, max=30, step=1, initial_value=12)
        with gui.add_folder("Scene"):
            self.color_choice = gui.add_dropdown(
                "Colors", COLORS, hint="of the frame or its depth, or a shape without colors"
            )
            self.occluded = gui.add_checkbox("Occluded faces", False, hint="surfaces that the camera did not see")
            self.overview = gui.add_button("Look from behind the camera")
        with gui.add_folder("Camera path"):
            self.path = gui.add_dropdown("Path", ("none yet",))
            self.path_shown = gui.add_checkbox("Show the path", True)
            self.fly = gui.add_checkbox("Fly along", False, hint="look through the camera of the path")
            self._guidance = gui.add_image(np.zeros((8, 8, 3), np.uint8), label="Visible region", visible=False)
            self._result = gui.add_image(np.zeros((8, 8, 3), np.uint8), label="Result", visible=False)
        with gui.add_folder("New path"):
            gui.add_markdown("Drag the arrows and rings of keyframes, then save.")
            self.count = gui.add_slider("Keyframes", min=2, max=MOST_KEYFRAMES, step=1, initial_value=KEYFRAMES)
            self.begin = gui.add_button("Begin with the path above")
            self.add = gui.add_button("Add my view as a keyframe")
            self.drop = gui.add_button("Remove the last keyframe")
            self.name = gui.add_text("Name", "my_path")
            self.replace = gui.add_checkbox(
                "Replace existing file", False, hint="otherwise an existing file is kept and nothing is saved"
            )
            self.save = gui.add_button("Save the path", color="green")
            self.save_result = gui.add_markdown("")

    @property
    def pause(self) -> float:
        """Seconds per frame."""
        return 1 / whole(self.speed)

    @property
    def colors(self) -> Colors:
        """The selected colors of the scene."""
        return cast(Colors, choice(self.color_choice))

    @property
    def is_playing(self) -> bool:
        """Whether the page plays; a path of one frame cannot."""
        return bool(self.play.value) and not self.time.disabled

    def next_frame(self) -> int:
        """Return the frame after the selected one; the first after the last."""
        return (whole(self.time) + 1) % (int(self.time.max) + 1)

    def set_length(self, num_frames: int) -> None:
        """Fit the time slider to a path."""
        self.time.max, self.time.disabled = num_frames - 1, num_frames < 2
        whole(self.time)

    def list_paths(self, names: Sequence[str]) -> bool:
        """Offer these paths, and return whether the list changed; the selected path stays if it is among them."""
        if not names or tuple(names) == tuple(self.path.options):
            return False
        selected = self.path.value if self.path.value in names else names[0]
        self.path.options = tuple(names)
        put(self.path, selected)
        return True

    def take_replace(self) -> bool:
        """Return whether a file may be replaced, and reset the box: it applies to one save only."""
        replace = bool(self.replace.value)
        put(self.replace, False)
        return replace

    def show_pictures(self, guidance: np.ndarray | None, visible: float | None, result: np.ndarray | None) -> None:
        """Show the guidance and the result of a frame; None hides a picture."""
        self._guidance.visible, self._result.visible = guidance is not None, result is not None
        if guidance is not None:
            self._guidance.image = guidance
            self._guidance.label = "" if visible is None else f"Visible region: {visible:.0%}"
        if result is not None:
            self._result.image = result


def resize(picture: np.ndarray) -> np.ndarray:
    """Return a picture with at most `PICTURE_SIDE` pixels along its longer side."""
    longer = max(picture.shape[:2])
    if longer <= PICTURE_SIDE:
        return picture
    size = [max(1, round(side * PICTURE_SIDE / longer)) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
