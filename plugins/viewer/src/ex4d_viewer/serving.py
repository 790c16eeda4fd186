"""The server of the page: begun, kept up to date and ended."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import viser

from ex4d_core.errors import Ex4dError, InvalidInput
from ex4d_viewer.page import Page
from ex4d_viewer.watching import RunWatch

FIRST_PORT = 8080
LOOK_EVERY = 1.5
"""Seconds between two looks at the run folder."""


@attrs.frozen(eq=False)
class Served:
    """A page that is there."""

    url: str
    page: Page

    def wait(self) -> None:
        """Wait until somebody stops the program."""
        threading.Event().wait()


@contextlib.contextmanager
def serve(
    run: Path,
    *,
    host: str,
    port: int | None,
    detail: int,
    most_frames: int,
    greet: Callable[[str], object] = lambda url: None,
) -> Iterator[Served]:
    """Give the page of a run; it is gone when the block ends.

    Args:
        run: the run folder.
        host: address that it listens at.
        port: of the page; 0 is any that is free, None the first free one from 8080.
        detail: points along the longer side of each mesh.
        most_frames: how many meshes there may be.
        greet: called with the address before the run is looked at; from then on, what is printed may go to stderr,
            since components that print are kept out of standard output.

    Raises:
        InputNotFound: the folder is no run folder.
        InvalidInput: the port is taken or the address is not of this machine.
    """
    watch = RunWatch(run)
    free = _free_port(host, port)
    over = threading.Event()
    with contextlib.redirect_stdout(io.StringIO()):  # it would print a box of its own
        server = viser.ViserServer(host=host, port=free, label=f"ex4d {run.name}", verbose=False)
    threads: list[threading.Thread] = []
    try:
        page = Page(server, watch, detail=detail, most_frames=most_frames)
        url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{server.get_port()}"
        greet(url)
        threads = [threading.Thread(target=work, args=(page, over), daemon=True) for work in (_keep_up, _play)]
        for thread in threads:
            thread.start()
        yield Served(url, page)
    finally:
        over.set()
        for thread in threads:
            if thread.is_alive():  # Ctrl-C may have come before
                thread.join(timeout=10)
        with contextlib.redirect_stdout(io.StringIO()):
            server.stop()


def _keep_up(page: Page, over: threading.Event) -> None:
    while not over.is_set():
        try:
            page.catch_up(over)
        except Ex4dError as error:  # a mesh that cannot be built, for instance; the page stays as it is
            page.tell(f"**{error}**")
        over.wait(LOOK_EVERY)


def _play(page: Page, over: threading.Event) -> None:
    while not over.wait(page.pause):
        page.step()


def _free_port(host: str, port: int | None) -> int:
    """Return a port that can be had: viser would quietly take another."""
    for candidate in [port] if port is not None else range(FIRST_PORT, FIRST_PORT + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
                found: int = probe.getsockname()[1]
                return found
            except OSError as error:
                reason = error.strerror or str(error)
    asked = f"the port {port}" if port is not None else f"any port from {FIRST_PORT} on"
    raise InvalidInput(f"{asked} at {host} cannot be had: {reason}; give another --port, or 0 for any that is free")
