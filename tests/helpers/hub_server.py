"""A small server that speaks as much of the hub's HTTP as downloads need, and can misbehave."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "c" * 40
REPO = "lab/net"
LARGE = "net/model-1.safetensors"
FILES = {
    "config.json": b"{}",
    LARGE: random.Random(1).randbytes(3 * 2**20 + 5),
    "net/model-2.safetensors": random.Random(2).randbytes(1000),
    "other/model.safetensors": b"not wanted",
}
"""What the repository has."""


class HubServer(ThreadingHTTPServer):
    """Serves the repository `repo`, as a model and as a data set, at COMMIT, its branch main.

    Attributes:
        repo: OWNER/NAME; REPO unless another is set.
        files: bytes by path; what `is_large` says is large, as in git LFS.
        cut_after: how many bytes of a large file are sent before the connection breaks, for each answer in turn.
        changed: other bytes that are sent for a path.
        gated: whether files are refused.
        ranges: whether a part of a file can be asked for.
        slow: seconds to wait after each 64 KiB of a large file.
        asked: the `Range` of each request for bytes of a large file, or ''.
        answer: what is sent in place of the list of files, any bytes.
        lies: changes the list of files before it is sent.
        encoding: `gzip`, to send every file packed, whatever was asked for.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repo = REPO
        self.files = files
        self.cut_after: list[int] = []
        self.changed: dict[str, bytes] = {}
        self.gated = False
        self.ranges = True
        self.slow = 0.0
        self.asked: list[str] = []
        self.answer: bytes | None = None
        self.lies: Callable[[dict[str, Any]], object] = lambda listing: None
        self.encoding = ""
        self.paused = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request, client_address):
        """Say nothing of clients that are gone."""


def ask_only(server: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub's client talk to a server and to nobody else, and put files into a cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


def is_large(path: str) -> bool:
    return path.endswith((".safetensors", ".zip")) or "_parta" in path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # what http.server calls
        path = unquote(urlsplit(self.path).path).strip("/")
        path, repo = path.removeprefix("datasets/").replace("api/datasets/", "api/models/"), self.server.repo
        if path.startswith(f"{repo}/resolve/"):
            return self._file(path.removeprefix(f"{repo}/resolve/").partition("/")[2])
        if path in (f"api/models/{repo}/revision/main", f"api/models/{repo}/revision/{COMMIT}"):
            siblings = [self._listed(name, data) for name, data in self.server.files.items()]
            listing = {"id": repo, "sha": COMMIT, "siblings": siblings}
            self.server.lies(listing)
            return self._send_body(self.server.answer or json.dumps(listing).encode())
        code = "RevisionNotFound" if path.startswith(f"api/models/{repo}/") else "RepoNotFound"
        return self._refuse(404, code)

    def _listed(self, name, data):
        lfs = {"sha256": sha256(data), "size": len(data), "pointerSize": 134} if is_large(name) else None
        return {"rfilename": name, "size": len(data), "blobId": blob_id(data), **({"lfs": lfs} if lfs else {})}

    def _file(self, name):
        if self.server.gated:
            return self._refuse(403, "GatedRepo")
        if name not in self.server.files:
            return self._refuse(404, "EntryNotFound")
        data = self.server.changed.get(name, self.server.files[name])
        original = self.server.files[name]
        if self.server.encoding:
            data = gzip.compress(data)
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked and self.server.ranges else 0
        if is_large(name):
            self.server.asked.append(asked)
        if start >= len(data) > 0:
            return self._refuse(416, "")
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{sha256(original) if is_large(name) else blob_id(original)}"')
        if self.server.encoding:
            self.send_header("Content-Encoding", self.server.encoding)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self._send(data[start:], large=is_large(name))

    def _send(self, data, *, large):
        cut = self.server.cut_after.pop(0) if large and self.server.cut_after else None
        data = data if cut is None else data[:cut]
        step = 2**16 if self.server.slow else max(1, len(data))
        for begin in range(0, len(data), step):
            self.wfile.write(data[begin : begin + step])
            self.server.paused.wait(self.server.slow)
        if cut is not None:
            self.close_connection = True

    def _send_body(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Keep quiet."""
