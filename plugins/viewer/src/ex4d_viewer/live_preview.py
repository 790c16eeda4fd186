"""Pictures of a camera path that changes, rendered in a thread of their own; only the newest request is rendered."""

from __future__ import annotations

import threading
from collections.abc import Callable

import attrs

from ex4d_core.types import CameraPath
from ex4d_viewer.small_guidance import SmallFrame

SETTLE = 0.05
"""Seconds to wait for newer requests before one is rendered, since dragging sends many."""


@attrs.frozen(eq=False)
class Wanted:
    """A frame to render."""

    name: str
    """Name of the path on the page."""
    path: CameraPath
    frame: int


class LivePreview:
    """The newest request; `work` renders it. A request that waits is dropped when another one arrives."""

    def __init__(self, show: Callable[[Wanted, SmallFrame], None], over: threading.Event) -> None:
        """Start without a request.

        Args:
            show: receives each frame, in the thread of `work`.
            over: set when the page closes.
        """
        self._show, self._over = show, over
        self._changed = threading.Condition()
        self._wanted: Wanted | None = None

    def ask(self, wanted: Wanted | None) -> None:
        """Replace the request that waits; None drops it. Returns at once."""
        with self._changed:
            self._wanted = wanted
            self._changed.notify()

    def work(self, render: Callable[[CameraPath, int], SmallFrame], *, timeout: float) -> None:
        """Render the newest request, if one arrives in time.

        Args:
            render: renders a frame of a path.
            timeout: seconds to wait for a request.

        Raises:
            Ex4dError: the frame cannot be rendered.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._wanted is not None, timeout)
        if self._over.wait(SETTLE):
            return
        with self._changed:
            wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self._show(wanted, render(wanted.path, wanted.frame))
