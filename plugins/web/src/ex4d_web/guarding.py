"""The guard in front of the app: each request is checked before Gradio sees it, and its size is limited."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from ex4d_core.page_guard import TOKEN, Answer, PageGuard

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MOST_BODY = 2**20
"""Largest body in bytes of requests other than uploads."""

SPARE = 10 * 2**20
"""Free bytes of the disk that an upload must leave."""

UPLOAD = "/gradio_api/upload"

UNCHANGING = ("/assets/", "/static/", "/svelte/")
"""Parts of Gradio without data of users, which browsers may cache."""

OFFLINE = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
"""A page of the app loads nothing from other servers."""


class Guarded:
    """An ASGI app that serves only requests that the guard admits."""

    def __init__(
        self,
        app: App,
        guard: PageGuard,
        *,
        folder: Path,
        upload_bytes: int,
        is_public: bool = False,
        embed_in: str = "",
    ) -> None:
        """Set the guard.

        Args:
            app: the app.
            guard: checks host, origin and secret of each request.
            folder: folder of uploads.
            upload_bytes: largest uploaded file.
            is_public: whether requests need no secret; host and origin are still checked.
            embed_in: origin of a site that may show the app in a frame.
        """
        self._app, self._guard, self._folder = app, guard, folder
        self._upload_bytes, self._is_public, self._embed_in = upload_bytes, is_public, embed_in

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # Gradio needs no WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = self._checked(scope)
        if not answer.is_allowed:
            await _refuse(send, answer.status, answer.reason, answer.headers)
            return
        is_upload, size = scope["path"].startswith(UPLOAD), _declared_size(scope)
        most = self._upload_bytes + MOST_BODY if is_upload else MOST_BODY
        if size > most:
            await _refuse(send, 413, f"The request is larger than {most / 1e6:.0f} MB.", answer.headers)
            return
        if is_upload and size + SPARE > shutil.disk_usage(self._folder).free:
            await _refuse(send, 507, "The disk of this server is full; try again later.", answer.headers)
            return
        await self._app(scope, _limited(receive, most), self._with_headers(scope, send, answer))

    def _checked(self, scope: MutableMapping[str, Any]) -> Answer:
        query = scope["query_string"].decode("latin-1")
        if self._is_public:
            query = f"{TOKEN}={self._guard.token}"
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        return self._guard.check(f"{scope['path']}?{query}", headers, method=scope["method"])

    def _with_headers(self, scope: MutableMapping[str, Any], send: Send, answer: Answer) -> Send:
        own = dict(answer.headers)
        if self._is_public:
            own.pop("Set-Cookie", None)
        # The page of Gradio names its own base.
        own["Content-Security-Policy"] = own["Content-Security-Policy"].replace("base-uri 'none'", "base-uri 'self'")
        if self._embed_in:
            own.pop("X-Frame-Options", None)
            own["Content-Security-Policy"] = own["Content-Security-Policy"].replace(
                "frame-ancestors 'none'", f"frame-ancestors {self._embed_in}"
            )
        if scope["path"].startswith(UNCHANGING):
            own.pop("Cache-Control", None)
        added = [(name.lower().encode(), value.encode()) for name, value in own.items()]
        added.append((b"content-security-policy", OFFLINE.encode()))
        replaced = {name for name, _ in added} - {b"set-cookie"}

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in replaced]
                message = {**message, "headers": [*kept, *added]}
            await send(message)

        return send_with


def _declared_size(scope: MutableMapping[str, Any]) -> int:
    """Return the size that a request declares, or 0."""
    for name, value in scope["headers"]:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _limited(receive: Receive, most: int) -> Receive:
    """Return a `receive` that ends the connection of a body that is larger than it declared."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        return {"type": "http.disconnect"} if received > most else message

    return limited


async def _refuse(send: Send, status: int, reason: str, headers: tuple[tuple[str, str], ...]) -> None:
    body = f"{reason}\n".encode()
    fields = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body))), *headers]
    encoded = [(name.lower().encode(), value.encode()) for name, value in fields if name != "Set-Cookie"]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
