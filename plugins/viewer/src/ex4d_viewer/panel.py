"""The controls of the page and the texts beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import viser

from ex4d_core.terminal import printable
from ex4d_viewer.controls import choice, put, whole
from ex4d_viewer.scene_view import COLORS, Colors

KEYFRAMES, MOST_KEYFRAMES = 4, 12

BRAND = (79, 70, 229)
"""The color of sliders, boxes and main buttons: that of the web app."""

SECONDARY: Final = "gray"
"""The color of the other buttons."""

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
        gui.configure_theme(show_logo=False, show_share_button=False, brand_color=BRAND)
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
            self.source_picture = gui.add_checkbox(
                "Picture in the source camera",
                True,
                hint="the frame of the clip, which can block the view of the scene",
            )
            self.overview = gui.add_button("Look from behind the camera", color=SECONDARY)
        with gui.add_folder("Camera path"):
            self.path = gui.add_dropdown("Path", ("none yet",))
            self.path_shown = gui.add_checkbox("Show the path", True)
            self.fly = gui.add_checkbox("Fly along", False, hint="look through the camera of the path")
        with gui.add_folder("New path"):
            gui.add_markdown("Drag the arrows and rings of keyframes, then save.")
            self.count = gui.add_slider("Keyframes", min=2, max=MOST_KEYFRAMES, step=1, initial_value=KEYFRAMES)
            self.begin = gui.add_button("Begin with the path above", color=SECONDARY)
            self.add = gui.add_button("Add my view as a keyframe", color=SECONDARY)
            self.drop = gui.add_button("Remove the last keyframe", color=SECONDARY)
            self.name = gui.add_text("Name", "my_path")
            self.replace = gui.add_checkbox(
                "Replace existing file", False, hint="otherwise an existing file is kept and nothing is saved"
            )
            self.save = gui.add_button("Save the path")
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
