"""The server of the app: start, addresses and shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import gradio as gr
import uvicorn
from fastapi import FastAPI

from ex4d_core.errors import InvalidInput, OutputFailed, tracing
from ex4d_core.page_guard import PageGuard
from ex4d_core.page_socket import guard_of, listen
from ex4d_core.reading import read_text
from ex4d_web.app_state import AppState
from ex4d_web.guarding import Guarded
from ex4d_web.layout import make_blocks
from ex4d_web.limits import Limits
from ex4d_web.theme import CSS, make_theme

FIRST_PORT = 7860

PATIENCE = 30.0
"""Seconds that the server may take to start."""

MOST_CONNECTIONS = 256
"""Limit of requests at the same time."""

_LOCAL = ("127.0.0.1", "localhost", "::1", "[::1]")
"""Addresses that only this machine reaches."""


@attrs.frozen(kw_only=True)
class Access:
    """Who can open the app."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int | None = None
    """0: any free one; None: the first free one from 7860."""
    share: bool = False
    """Whether to create a public address through Gradio's tunnel."""
    users: tuple[tuple[str, str], ...] = ()
    """Names and passwords of a login, if there is one."""
    is_public: bool = False
    """Whether the address works without the secret."""
    names: Sequence[str] = ()
    """Further host names under which the app is served, such as that of a proxy."""
    embed_in: str = ""
    """Origins of sites that may show the app in a frame."""

    @property
    def is_local(self) -> bool:
        """Whether all browsers are on this machine, as far as this can be known."""
        return self.host in _LOCAL and not (self.share or self.is_public)


@attrs.frozen(eq=False, kw_only=True)
class Served:
    """An app that is being served."""

    url: str
    """Address of the app, with the secret unless the app is public."""
    state: AppState
    token: str
    """The secret."""
    public_url: str | None = None
    """Public address of the tunnel, if sharing is on."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of requests of programs: they stand for the browser's."""
        parts = urlsplit(self.url)
        return {
            "Origin": f"{parts.scheme}://{parts.netloc}",
            "Cookie": f"ex4d-page-{parts.port}={self.token}",
        }

    def wait(self) -> None:
        """Wait until Ctrl-C or another signal ends the program, as servers are ended."""
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


@contextlib.contextmanager
def serve(
    root: Path,
    *,
    access: Access,
    limits: Limits,
    device: str = "auto",
    examples: Path | None = None,
    greet: Callable[[str], object] = lambda url: None,
) -> Iterator[Served]:
    """Serve the app during the block.

    Args:
        root: folder for uploads and results.
        access: who can open it.
        limits: what users can ask for.
        device: device of the components.
        examples: folder of example clips.
        greet: called with each address.

    Raises:
        InvalidInput: the port is taken, or the address is not of this machine.
        OutputFailed: the folder cannot be created, or the public address.
    """
    door = listen(access.host, access.port, first_port=FIRST_PORT)
    guard, local = guard_of(door, access.host)
    for name in access.names:
        guard.allow_name(name)
    with contextlib.ExitStack() as stack:
        stack.callback(door.close)
        try:
            state = AppState(
                root.absolute(), limits=limits, device=device, examples=examples, has_viewers=access.is_local
            )
        except OSError as error:
            raise OutputFailed(f"{root} cannot be used for uploads: {error.strerror}; use another --folder") from error
        stack.callback(state.close)
        _use_folder(state.projects.root)
        served = asyncio.run(_mounted(state, access))
        guarded = Guarded(
            served,
            guard,
            folder=state.projects.root,
            upload_bytes=limits.upload_bytes,
            is_public=access.is_public,
            embed_in=access.embed_in,
        )
        stack.enter_context(_running(guarded, door))
        url = local if access.is_public else guard.address(local)
        greet(url)
        public = _public_url(guard, door.getsockname()[1], access) if access.share else None
        if public:
            greet(public)
        yield Served(url=url, state=state, token=guard.token, public_url=public)


def read_users(path: Path) -> tuple[tuple[str, str], ...]:
    """Return names and passwords of a file with `NAME:PASSWORD` on each line.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: a line is not of this form, or there is none.
    """
    lines = [line.strip() for line in read_text(path, "file of users").splitlines() if line.strip()]
    pairs = [tuple(line.split(":", 1)) for line in lines]
    if not pairs or not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise InvalidInput(f"{path} must have NAME:PASSWORD on each line")
    return tuple((name, password) for name, password in pairs)


def _use_folder(root: Path) -> None:
    """Let Gradio keep uploads and copies of results beside the projects; it reads the variables at each use."""
    folder = root / "gradio"
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


async def _mounted(state: AppState, access: Access) -> FastAPI:
    """Return the ASGI app of Gradio; without an event loop around it, Gradio makes several that it never closes."""
    blocks = make_blocks(state)
    app: FastAPI = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        path="",
        auth=list(access.users) or None,
        max_file_size=state.limits.upload_bytes,
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        theme=make_theme(),
        css=CSS,
        # Results are copied for the browser from here; who knows the name of a project may read its files directly.
        allowed_paths=[str(state.projects.root)],
    )
    # Gradio checks the paths of files in requests only in an app that it launched itself.
    blocks.has_launched = True
    return app


@contextlib.contextmanager
def _running(app: Guarded, door: socket.socket) -> Iterator[None]:
    """Run the server in a thread during the block."""
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=1,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True, name="ex4d-app")
    thread.start()
    end = time.monotonic() + PATIENCE
    while not server.started:
        if not thread.is_alive() or time.monotonic() > end:
            raise OutputFailed("the server did not start; rerun with EX4D_TRACE=1")
        time.sleep(0.02)
    try:
        yield
    finally:
        log = logging.getLogger("uvicorn.error")
        log.disabled = not tracing()  # uvicorn reports the end of each open page as an error, with a traceback
        server.should_exit = True
        thread.join(timeout=5)
        log.disabled = False


def _public_url(guard: PageGuard, port: int, access: Access) -> str:
    """Return the address of a tunnel to this server.

    Raises:
        OutputFailed: the tunnel cannot be created.
    """
    try:
        url = gr.networking.setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
    except Exception as error:  # a download, a process and a server of others
        reason = str(error).rstrip(".")
        raise OutputFailed(f"a public address is not available ({reason}); omit --share") from error
    guard.allow_name(urlsplit(url).hostname or "")
    return url if access.is_public else guard.address(url)
