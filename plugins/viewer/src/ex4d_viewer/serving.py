"""The server of the page: start, updates and shutdown."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.page_guard import PageGuard
from ex4d_core.page_socket import guard_of, listen
from ex4d_viewer.guarding import GuardedServer
from ex4d_viewer.page import Page
from ex4d_viewer.run_watcher import RunWatcher

FIRST_PORT = 8080
POLL_EVERY = 1.5
"""Seconds between two polls of the run folder."""

PATIENCE = 3
"""Seconds to wait at the end for threads that read the run folder or build meshes."""

_TUNNELED = ("127.0.0.1", "0.0.0.0")
"""Addresses of the page that viser's tunnel can reach."""


@attrs.frozen(eq=False)
class Served:
    """A page that is being served."""

    url: str
    """Address of the page, with the token."""
    page: Page
    public_url: str | None = None
    """Public address of the page with the token, if sharing is on."""

    def wait(self) -> None:
        """Wait until Ctrl-C or another signal ends the program, as servers are ended."""
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


@contextlib.contextmanager
def serve(
    run: Path,
    *,
    host: str,
    port: int | None,
    detail: int,
    most_frames: int,
    share: bool = False,
    greet: Callable[[str], object] = lambda url: None,
) -> Iterator[Served]:
    """Serve the page of a run during the block.

    Args:
        run: the run folder.
        host: address to listen on.
        port: port; 0 is any free one, None the first free one from 8080.
        detail: points along the longer side of each mesh.
        most_frames: largest number of meshes.
        share: whether to create a public address too.
        greet: called with each address before the run is read; afterwards standard output may be redirected to stderr,
            because components can print.

    Raises:
        InputNotFound: the folder is not a run folder.
        InvalidInput: the port is taken or the address is not of this machine.
        OutputFailed: the public address cannot be created.
        PluginFailed: this version of viser cannot be guarded.
    """
    watch = RunWatcher(run)
    over = threading.Event()
    with _listening(host, port, share) as door:
        guard, local = guard_of(door, host)
        server = GuardedServer(guard, door, sharing=share)
    threads: list[threading.Thread] = []
    page: Page | None = None
    try:
        page = Page(server, watch, detail=detail, most_frames=most_frames, over=over)
        url = guard.address(local)
        greet(url)
        public = _public_address(server, guard) if share else None
        if public is not None:
            greet(public)
        threads = [threading.Thread(target=work, args=(page, over), daemon=True) for work in (_update, _play, _preview)]
        for thread in threads:
            thread.start()
        yield Served(url, page, public)
    finally:
        over.set()
        if page is not None:
            page.close(PATIENCE)
        for thread in threads:
            if thread.is_alive():  # Ctrl-C may have come before
                thread.join(timeout=PATIENCE)
        server.stop()


def _update(page: Page, over: threading.Event) -> None:
    while not over.is_set():
        with page.showing_errors("reading the run"):
            page.update()
        over.wait(POLL_EVERY)


def _play(page: Page, over: threading.Event) -> None:
    while not over.wait(page.pause):
        with page.showing_errors("playing"):
            page.step()


def _preview(page: Page, over: threading.Event) -> None:
    while not over.is_set():
        with page.showing_errors("preview"):
            page.preview()


def _public_address(server: GuardedServer, guard: PageGuard) -> str:
    url = server.request_share_url()
    if url is None:
        raise OutputFailed("a public address is not available: share.viser.studio did not answer; omit --share")
    return guard.address(url)


@contextlib.contextmanager
def _listening(host: str, port: int | None, share: bool) -> Iterator[socket.socket]:
    """Yield the listening socket of the page; it is closed if the block fails."""
    door = listen(host, port, first_port=FIRST_PORT)
    try:
        if share and door.getsockname()[0] not in _TUNNELED:
            raise InvalidInput(
                f"--share requires a page on {' or '.join(_TUNNELED)}, not {host}; omit --host or --share"
            )
        yield door
    except BaseException:
        door.close()
        raise
