"""Pages of the 3D viewer for run folders, if the plugin `ex4d-viewer` is installed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path

MOST_OPEN = 4
"""Number of open pages; the oldest is closed first."""


class Viewers:
    """The open pages, by run folder."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._open: OrderedDict[Path, tuple[str, ExitStack]] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, run: Path) -> str:
        """Return the address of the page of a run folder, on this machine; it has a secret of its own.

        Raises:
            Ex4dError: the folder cannot be shown, or no port is free.
        """
        from ex4d_viewer.serving import serve

        with self._lock:
            if run not in self._open:
                with ExitStack() as stack:
                    page = serve(run, host="127.0.0.1", port=0, detail=160, most_frames=60)
                    url = stack.enter_context(page).url
                    self._open[run] = url, stack.pop_all()
            self._open.move_to_end(run)
            while len(self._open) > MOST_OPEN:
                _, (_, oldest) = self._open.popitem(last=False)
                oldest.close()
            return self._open[run][0]

    def close(self) -> None:
        """Close all pages."""
        with self._lock:
            for _, stack in self._open.values():
                stack.close()
            self._open.clear()
