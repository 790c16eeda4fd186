"""A viser server behind `PageGuard`. This is the only module that depends on how viser starts its server.

viser itself serves every request. It starts its server by `websockets.asyncio.server.serve`. While it does so, that
function is replaced by one that consults the guard, listens on our socket and filters messages. The result is verified
before the page has any content: a version of viser that starts its server in another way is refused.
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
"""Limit of pages that are open at the same time."""

MOST_CONNECTIONS = 128
"""Limit of connections at the same time, including those that have not sent a request yet."""

MOST_MESSAGES = 200.0
"""Limit of messages per second and client; further messages are delayed."""

TOO_MANY = 503

_STARTING = threading.Lock()

Respond = Callable[[ServerConnection, Request], Response | None]
"""A `process_request` of `websockets`: it returns a response, or None to open a WebSocket."""


class GuardedServer(viser.ViserServer):
    """A viser server that serves only requests that the guard admits."""

    def __init__(self, guard: PageGuard, door: socket.socket, *, sharing: bool) -> None:
        """Start the server.

        Args:
            guard: checks each request.
            door: the listening socket.
            sharing: whether a public address can be created.

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
        """Create a public address and return it, or None on failure and if sharing is off."""
        if not self._sharing:
            return None
        url = super().request_share_url(verbose=False)
        if url is not None and (name := urlsplit(url).hostname):
            self._guard.allow_name(name)
        return url

    def disconnect_share_url(self) -> None:
        """Close the public address."""
        if self._sharing:
            super().disconnect_share_url()

    def stop(self) -> None:
        """Stop the server; a second call has no effect."""
        if not self._stopped:
            self._stopped = True
            for connection in tuple(self._connections):
                if connection.state is State.CONNECTING:  # browsers keep spare ones, and viser would wait for them
                    with contextlib.suppress(RuntimeError):  # the loop has ended
                        connection.loop.call_soon_threadsafe(connection.transport.abort)
            with contextlib.redirect_stdout(io.StringIO()):
                super().stop()


class _Connection(ServerConnection):
    """A connection that passes on admitted messages only, at a limited rate."""

    others: ClassVar[set[ServerConnection]]
    """All connections to the server, this one included."""
    sharing: ClassVar[bool]
    due = 0.0
    """Time at which all messages so far would have arrived at the highest rate."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a new connection unless the limit is reached."""
        super().connection_made(transport)
        if len(self.others) >= MOST_CONNECTIONS:
            self.transport.abort()
        self.others.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister a closed connection."""
        self.others.discard(self)
        super().connection_lost(exc)

    async def recv(self, decode: bool | None = None) -> Any:
        """Return the next admitted message."""
        while True:
            message = await super().recv(decode)
            now = time.monotonic()
            self.due = max(self.due, now - 1) + 1 / MOST_MESSAGES  # a burst of one second is accepted
            if self.due > now:
                await asyncio.sleep(self.due - now)
            if is_admitted(message, sharing=self.sharing):
                return message


@contextlib.contextmanager
def _guarded_serving(
    guard: PageGuard, door: socket.socket, connections: set[ServerConnection], *, sharing: bool
) -> Iterator[list[Any]]:
    """Guard servers that are started in the block; yield a list that is filled with them."""
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
            "close_timeout": 1,  # a client that does not answer must not delay the end
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
    """Return a `process_request` that consults the guard first, and then viser."""

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        answer = guard.check(request.path, request.headers.raw_items())
        if not answer.is_allowed:
            return _plain(answer.status, answer.reason, answer.headers)
        if sum(other.state is State.OPEN for other in connections) >= MOST_CLIENTS:
            return _plain(TOO_MANY, "Too many pages are open; close one of them.", answer.headers)
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
    """Return the subprotocol of this version of viser; viser would print any other, unescaped, to the terminal."""
    own = Subprotocol(f"viser-v{viser.__version__}")
    return own if own in offered else None


def _is_guarded(door: socket.socket) -> bool:
    """Return whether the server refuses a page and a WebSocket without the token."""
    try:
        return all(
            _answer(door, *headers).startswith(f"HTTP/1.1 {FORBIDDEN} ".encode())
            for headers in ((), ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"))
        )
    except OSError:
        return False


def _answer(door: socket.socket, *headers: str) -> bytes:
    """Return the beginning of the server's answer to a request."""
    with socket.socket(door.family) as asking:
        asking.settimeout(10)
        asking.connect(_reachable(door.getsockname()))
        asking.sendall("\r\n".join(("GET / HTTP/1.1", "Host: localhost", *headers, "", "")).encode())
        return asking.recv(64)


def _reachable(address: Any) -> Any:
    """Return an address to connect to, for the address of a listening socket."""
    host, *rest = address
    return ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), *rest)


def _silent_logger() -> logging.Logger:
    """Return a logger that discards errors of clients, unless tracebacks are wanted: they would flood the terminal."""
    logger = logging.getLogger("ex4d_viewer.websockets")
    logger.propagate = tracing()
    logger.disabled = not tracing()
    return logger


def _note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Discard an error in a handler of viser, such as a text for a slider, unless tracebacks are wanted."""
    if tracing() and (error := context.get("exception")) is not None:
        traceback.print_exception(error)
