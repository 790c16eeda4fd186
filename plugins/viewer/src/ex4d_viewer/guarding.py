"""viser behind the guard of pages. This is the one place that depends on how viser starts its server.

viser serves everybody. It starts `websockets.asyncio.server.serve`, which is replaced for that moment by a function
that asks the guard first, listens at a socket of ours and checks messages. Whether this works is tried before anything
is on the page: a version of viser that starts its server in another way is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import io
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from urllib.parse import urlsplit

import viser
import websockets.asyncio.server
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from ex4d_core.errors import PluginFailed, tracing
from ex4d_core.page_guard import FORBIDDEN, PageGuard
from ex4d_viewer.incoming import MOST_BYTES, is_admitted

MOST_CLIENTS = 16
"""Pages that may be open at a time."""

MOST_CONNECTIONS = 128
"""Connections at a time, those included that have not said yet what they want."""

MOST_MESSAGES = 200.0
"""Messages of one client a second; what comes faster waits."""

TOO_MANY = 503

_STARTING = threading.Lock()

Respond = Callable[[ServerConnection, Request], Response | None]
"""What `websockets` calls for each request: a response, or None for a WebSocket to be opened."""


class GuardedServer(viser.ViserServer):
    """A server of viser that serves nobody whom the guard refuses."""

    def __init__(self, guard: PageGuard, door: socket.socket, *, sharing: bool) -> None:
        """Start the server.

        Args:
            guard: decides who is served.
            door: the socket that it listens at.
            sharing: whether the page may get a public address.

        Raises:
            PluginFailed: this version of viser cannot be guarded.
        """
        self._guard, self._sharing, self._stopped = guard, sharing, False
        self._connections: set[ServerConnection] = set()
        host, port = door.getsockname()[:2]
        with (
            _guarded_serving(guard, door, self._connections, sharing=sharing) as started,
            contextlib.redirect_stdout(io.StringIO()),
        ):
            super().__init__(host=host, port=port, verbose=False)  # it would print a box of its own
        if not started or not _is_guarded(door):
            self.stop()
            raise PluginFailed(f"viser {viser.__version__} cannot be guarded; try: pip install viser==1.1.1")

    def request_share_url(self, verbose: bool = True) -> str | None:
        """Return a public address of the page, or None where there is none or it was not asked for."""
        if not self._sharing:
            return None
        url = super().request_share_url(verbose=False)
        if url is not None and (name := urlsplit(url).hostname):
            self._guard.allow_name(name)
        return url

    def disconnect_share_url(self) -> None:
        """End the public address."""
        if self._sharing:
            super().disconnect_share_url()

    def stop(self) -> None:
        """Stop the server; once it is stopped this does nothing."""
        if not self._stopped:
            self._stopped = True
            for connection in tuple(self._connections):
                if (
                    connection.state is State.CONNECTING
                ):  # browsers keep some for later, and the end would wait for them
                    with contextlib.suppress(RuntimeError):  # the loop has ended
                        connection.loop.call_soon_threadsafe(connection.transport.abort)
            with contextlib.redirect_stdout(io.StringIO()):
                super().stop()


class _Connection(ServerConnection):
    """A connection that hands on only messages that a page of ours sends, and as fast as a page sends them."""

    others: ClassVar[set[ServerConnection]]
    """All connections to the server."""
    sharing: ClassVar[bool]
    due = 0.0
    """Until when the messages that came would last, had they come as fast as a page sends them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.others) >= MOST_CONNECTIONS:
            self.transport.abort()
        self.others.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection that has ended."""
        self.others.discard(self)
        super().connection_lost(exc)

    async def recv(self, decode: bool | None = None) -> Any:
        """Return the next message that is admitted."""
        while True:
            message = await super().recv(decode)
            now = time.monotonic()
            self.due = max(self.due, now - 1) + 1 / MOST_MESSAGES  # those of one second may come at once
            if self.due > now:
                await asyncio.sleep(self.due - now)
            if is_admitted(message, sharing=self.sharing):
                return message


@contextlib.contextmanager
def _guarded_serving(
    guard: PageGuard, door: socket.socket, connections: set[ServerConnection], *, sharing: bool
) -> Iterator[list[Any]]:
    """Let what starts a server in the block start one that is guarded; the list has one entry for each."""
    started: list[Any] = []
    original = websockets.asyncio.server.serve
    kind = type("Connection", (_Connection,), {"others": connections, "sharing": sharing})

    def serve(handler: Any, *_: Any, **options: Any) -> Any:
        asyncio.get_running_loop().set_exception_handler(_note)
        options |= {
            "sock": door,
            "process_request": _asking(guard, connections, options.get("process_request")),
            "select_subprotocol": _own_version,
            "create_connection": kind,
            "compression": None,
            "max_size": MOST_BYTES,
            "close_timeout": 1,  # one that does not answer does not keep the program from ending
            "logger": _silent_logger(),
        }
        started.append(original(handler, **options))
        return started[-1]

    with _STARTING:
        websockets.asyncio.server.serve = serve  # type: ignore[assignment,misc]
        try:
            yield started
        finally:
            websockets.asyncio.server.serve = original  # type: ignore[misc]


def _asking(guard: PageGuard, connections: set[ServerConnection], serve_file: Respond | None) -> Respond:
    """Return what answers a request: the guard, and for those that it admits what viser answers."""

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        answer = guard.check(request.path, request.headers.raw_items())
        if not answer.is_allowed:
            return _plain(answer.status, answer.reason, answer.headers)
        if sum(other.state is State.OPEN for other in connections) >= MOST_CLIENTS:
            return _plain(TOO_MANY, "Too many pages are open; close one.", answer.headers)
        response = None if serve_file is None else serve_file(connection, request)
        if response is not None:
            response.headers.update(answer.headers)
        return response

    return process_request


def _plain(status: int, text: str, headers: tuple[tuple[str, str], ...]) -> Response:
    body = f"{text}\n".encode()
    fields = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), "Connection": "close"}
    return Response(status, http.HTTPStatus(status).phrase, Headers([*fields.items(), *headers]), body)


def _own_version(_: ServerConnection, offered: Any) -> Subprotocol | None:
    """Return the protocol of this version of viser; others are shown on the terminal as the client writes them."""
    own = Subprotocol(f"viser-v{viser.__version__}")
    return own if own in offered else None


def _is_guarded(door: socket.socket) -> bool:
    """Return whether the server refuses a page and a WebSocket to those who have no token."""
    for more in (), ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"):
        with socket.socket(door.family) as asking:
            asking.settimeout(10)
            asking.connect(_reachable(door.getsockname()))
            asking.sendall("\r\n".join(("GET / HTTP/1.1", "Host: localhost", *more, "", "")).encode())
            if not asking.recv(64).startswith(f"HTTP/1.1 {FORBIDDEN} ".encode()):
                return False
    return True


def _reachable(address: Any) -> Any:
    """Return an address to connect to, for one that a server listens at."""
    host, *rest = address
    return ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), *rest)


def _silent_logger() -> logging.Logger:
    """Return a logger for what clients do wrong: the terminal would fill with it."""
    logger = logging.getLogger("ex4d_viewer.websockets")
    logger.propagate = tracing()
    logger.disabled = not tracing()
    return logger


def _note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Take what went wrong in viser's handlers, as after a message for a control of another kind."""
    if tracing() and (error := context.get("exception")) is not None:
        traceback.print_exception(error)
