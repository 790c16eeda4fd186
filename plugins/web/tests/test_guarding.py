"""Requests without the secret, of other pages and under foreign names never reach the app; bodies are limited."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from ex4d_core.page_guard import PageGuard
from ex4d_web.guarding import MOST_BODY, SPARE, Guarded

HOST = (b"host", b"127.0.0.1:7860")
ORIGIN = (b"origin", b"http://127.0.0.1:7860")
COOKIE = (b"cookie", b"ex4d-page-7860=secret")


class Server:
    """A guarded app that reads its request and answers with one word."""

    def __init__(self, **options):
        self.read = 0
        guard = PageGuard("127.0.0.1", 7860, token="secret")
        self.app = Guarded(self._answer, guard, folder=Path.cwd(), upload_bytes=5 * 10**6, **options)

    async def _answer(self, scope, receive, send):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            self.read += len(message["body"])
            if not message.get("more_body"):
                break
        headers = [(b"cache-control", b"max-age=9"), (b"x-frame-options", b"SAMEORIGIN")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"app"})

    def ask(self, path="/", *headers, method="GET", query=b"", body=(b"",)):
        scope = {"type": "http", "path": path, "query_string": query, "headers": [HOST, *headers], "method": method}
        parts = [{"type": "http.request", "body": part, "more_body": part is not body[-1]} for part in body]
        sent = []

        async def receive():
            return parts.pop(0)

        async def send(message):
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        if not sent:
            return 0, {}, b""
        return sent[0]["status"], sent[0]["headers"], sent[-1]["body"]


@pytest.fixture
def server():
    return Server()


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/queue/join", "/gradio_api/file=/etc/passwd", "/x"])
def test_without_the_secret_nothing_is_served(server, path):
    status, headers, body = server.ask(path)
    assert (status, body) == (403, b"The address lacks its token; open the address that ex4d printed.\n")
    assert b"set-cookie" not in dict(headers)


def test_the_address_sets_the_cookie_and_the_cookie_opens_the_page(server):
    status, headers, body = server.ask(query=b"token=secret")
    assert (status, body) == (200, b"app")
    assert dict(headers)[b"set-cookie"].startswith(b"ex4d-page-7860=secret; Path=/; HttpOnly")
    assert server.ask("/config", COOKIE)[0] == 200


def test_a_request_that_changes_something_comes_from_the_page(server):
    assert server.ask("/gradio_api/queue/join", COOKIE, method="POST")[0] == 403
    assert server.ask("/gradio_api/queue/join", COOKIE, ORIGIN, method="POST")[0] == 200
    assert server.ask("/gradio_api/queue/join", COOKIE, (b"origin", b"http://evil.example"), method="POST")[0] == 403


def test_a_public_app_needs_no_secret_but_still_its_name_and_page():
    server = Server(is_public=True)
    status, headers, _ = server.ask()
    assert status == 200
    assert b"set-cookie" not in dict(headers)
    assert server.ask("/x", (b"origin", b"http://evil.example"), method="POST")[0] == 403
    assert server.ask("/x", method="POST")[0] == 403
    assert server.ask("/x", (b"host", b"evil.example"))[0] == 400


def test_the_page_is_not_framed_unless_a_site_is_named(server):
    def policies(headers):
        return [value.decode() for name, value in headers if name == b"content-security-policy"]

    _, headers, _ = server.ask(query=b"token=secret")
    assert dict(headers)[b"x-frame-options"] == b"DENY"
    assert dict(headers)[b"cache-control"] == b"no-store"
    assert "frame-ancestors 'none'" in policies(headers)[0]
    assert policies(headers)[1].startswith("default-src 'self'")
    _, headers, _ = Server(is_public=True, embed_in="https://huggingface.co").ask()
    assert b"x-frame-options" not in {name: value for name, value in headers if value == b"DENY"}
    assert "frame-ancestors https://huggingface.co" in policies(headers)[0]


def test_parts_of_gradio_are_cached(server):
    assert dict(server.ask("/assets/index.js", COOKIE)[1])[b"cache-control"] == b"max-age=9"


def test_a_body_that_is_declared_too_large_is_refused_unread(server):
    size = (b"content-length", str(MOST_BODY + 1).encode())
    status, _, body = server.ask("/gradio_api/queue/join", COOKIE, ORIGIN, size, method="POST")
    assert (status, server.read) == (413, 0)
    assert body == b"The request is larger than 1 MB.\n"
    assert server.ask("/gradio_api/upload", COOKIE, ORIGIN, size, method="POST")[0] == 200


def test_an_upload_that_does_not_fit_on_the_disk_is_refused_unread(server, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=SPARE + 999))
    for size, expected in ((b"1000", 507), (b"999", 200)):
        answer = server.ask("/gradio_api/upload", COOKIE, ORIGIN, (b"content-length", size), method="POST")
        assert answer[0] == expected
    assert server.ask("/", COOKIE)[0] == 200


def test_a_body_that_grows_too_large_ends_the_connection(server):
    body = (b"x" * 600_000, b"y" * 600_000, b"z")
    status, _, _ = server.ask("/gradio_api/queue/join", COOKIE, ORIGIN, method="POST", body=body)
    assert (status, server.read) == (0, 600_000)


def test_a_web_socket_is_closed(server):
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(server.app({"type": "websocket", "path": "/", "headers": [HOST]}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
