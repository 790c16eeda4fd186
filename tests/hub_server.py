"""A small server that speaks as much of the hub's HTTP as downloads need, and can misbehave."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

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
    """Serves the repository REPO, as a model and as a data set, at COMMIT, its branch main.

    Attributes:
        files: bytes by path; what `is_large` says is large, as in git LFS.
        cut_after: how many bytes of a large file are sent before the connection breaks, for each answer in turn.
        changed: other bytes that are sent for a path.
        gated: whether files are refused.
        ranges: whether a part of a file can be asked for.
        slow: seconds to wait after each 64 KiB of a large file.
        asked: the `Range` of each request for bytes of a large file, or ''.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.cut_after: list[int] = []
        self.changed: dict[str, bytes] = {}
        self.gated = False
        self.ranges = True
        self.slow = 0.0
        self.asked: list[str] = []
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
        path = path.removeprefix("datasets/").replace("api/datasets/", "api/models/")
        if path.startswith(f"{REPO}/resolve/"):
            return self._file(path.removeprefix(f"{REPO}/resolve/").partition("/")[2])
        if path in (f"api/models/{REPO}/revision/main", f"api/models/{REPO}/revision/{COMMIT}"):
            siblings = [self._listed(name, data) for name, data in self.server.files.items()]
            return self._json({"id": REPO, "sha": COMMIT, "siblings": siblings})
        if path == f"api/models/{REPO}/tree/{COMMIT}":
            return self._json([self._in_tree(name, data) for name, data in self.server.files.items()])
        code = "RevisionNotFound" if path.startswith(f"api/models/{REPO}/") else "RepoNotFound"
        return self._refuse(404, code)

    do_HEAD = do_GET  # noqa: N815

    def _listed(self, name, data):
        lfs = {"sha256": sha256(data), "size": len(data), "pointerSize": 134} if is_large(name) else None
        return {"rfilename": name, "size": len(data), "blobId": blob_id(data), **({"lfs": lfs} if lfs else {})}

    def _in_tree(self, name, data):
        lfs = {"oid": sha256(data), "size": len(data), "pointerSize": 134} if is_large(name) else None
        return {"type": "file", "path": name, "size": len(data), "oid": blob_id(data), **({"lfs": lfs} if lfs else {})}

    def _file(self, name):
        if self.server.gated:
            return self._refuse(403, "GatedRepo")
        if name not in self.server.files:
            return self._refuse(404, "EntryNotFound")
        data = self.server.changed.get(name, self.server.files[name])
        original = self.server.files[name]
        asked = self.headers.get("Range", "") if self.command == "GET" else ""
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked and self.server.ranges else 0
        if self.command == "GET" and is_large(name):
            self.server.asked.append(asked)
        if start >= len(data) > 0:
            return self._refuse(416, "")
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{sha256(original) if is_large(name) else blob_id(original)}"')
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "GET":
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

    def _json(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Keep quiet."""
