"""A hub on this machine that answers in odd ways, named by the repository that is asked for."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.helpers.hub_server import COMMIT, blob_id, sha256

from .camera_inputs import DEEP, DIGITS
from .places import LONG

DATA = b"weights " * 1000
SMALL = b"{}"


def _listed(**changes: Any) -> dict[str, Any]:
    lfs = {"sha256": sha256(DATA), "size": len(DATA), "pointerSize": 134}
    large = {"rfilename": "net/a.safetensors", "size": len(DATA), "blobId": blob_id(DATA), "lfs": lfs}
    small = {"rfilename": "config.json", "size": len(SMALL), "blobId": blob_id(SMALL)}
    return {"id": "odd/x", "sha": COMMIT, "siblings": [small, {**large, **changes}]}


def _lfs(**changes: Any) -> dict[str, Any]:
    return _listed(lfs={"sha256": sha256(DATA), "size": len(DATA), "pointerSize": 134, **changes})


def answers(victim: Path) -> dict[str, bytes]:
    """Return what is said of each repository; `victim` is a file that no answer may change."""
    up = "../" * 12
    inside = str(victim).lstrip("/")
    trees: dict[str, Any] = {
        "good": _listed(),
        "sha-absolute": _lfs(sha256=str(victim)),
        "sha-up": _lfs(sha256=up + inside),
        "sha-short": _lfs(sha256="abc"),
        "sha-number": _lfs(sha256=3),
        "sha-list": _lfs(sha256=["a"]),
        "sha-none": _lfs(sha256=None),
        "sha-wrong": _lfs(sha256="0" * 64),
        "blob-absolute": _listed(lfs=None, blobId=str(victim)),
        "blob-up": _listed(lfs=None, blobId=up + inside),
        "blob-number": _listed(lfs=None, blobId=3),
        "name-up": _listed(rfilename=f"net/{up}{inside}"),
        "name-absolute": _listed(rfilename=str(victim)),
        "name-windows": _listed(rfilename="net\\..\\..\\a"),
        "name-nul": _listed(rfilename="net/a\x00b"),
        "name-long": _listed(rfilename=f"net/{LONG}"),
        "name-escape": _listed(rfilename="net/\x1b[31m\x1b]52;c;aGk=\x07"),
        "name-number": _listed(rfilename=3),
        "name-empty": _listed(rfilename="net/"),
        "size-text": _lfs(size="big"),
        "size-none": _lfs(size=None),
        "size-negative": _lfs(size=-1),
        "size-huge": _lfs(size=10**30),
        "size-zero": _lfs(size=0),
        "commit-up": {**_listed(), "sha": up + inside},
        "commit-none": {**_listed(), "sha": None},
        "commit-list": {**_listed(), "sha": [1]},
        "siblings-none": {**_listed(), "siblings": None},
        "siblings-text": {**_listed(), "siblings": "abc"},
        "siblings-numbers": {**_listed(), "siblings": [1, 2]},
        "twice": {**_listed(), "siblings": _listed()["siblings"] * 2},
        "object": {},
        "list": [1],
        "number": 3,
        "null": None,
        "text": "\x1b[31mhello",
    }
    raw = {
        "deep": DEEP,
        "digits": '{"sha": ' + DIGITS + "}",
        "page": "<html><script>location='http://login'</script></html>",
        "empty": "",
        "half": '{"sha": "',
    }
    return {
        **{name: json.dumps(tree).encode() for name, tree in trees.items()},
        **{name: text.encode() for name, text in raw.items()},
        "latin": b'{"sha": "\xe9"}',
    }


def _as_tree(answer: bytes) -> bytes:
    """Return the files of an answer as the hub lists a folder; what is no such answer stays."""
    try:
        listed = json.loads(answer)["siblings"]
        tree = [
            {
                "type": "file",
                "path": each["rfilename"],
                "size": each["size"],
                "oid": each["blobId"],
                **({"lfs": {**each["lfs"], "oid": each["lfs"]["sha256"]}} if each.get("lfs") else {}),
            }
            for each in listed
        ]
    except (ValueError, KeyError, TypeError, RecursionError):
        return answer
    return json.dumps(tree).encode()


def zips() -> dict[str, bytes]:
    """Return archives of videos, as `ex4d data download` unpacks them."""
    made: dict[str, bytes] = {}

    def add(name: str, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        made[name] = file.getvalue()

    video = bytes(3000)
    add("good", {"a.mp4": video})
    add("up", {"../../../../a.mp4": video, "/etc/b.mp4": video, "..\\c.mp4": video})
    add("long", {f"{LONG}.mp4": video})
    add("nul", {"a\x00b.mp4": video})
    add("escape", {"\x1b[31m.mp4": video})
    add("dots", {"...mp4": video, "..mp4": video})
    add("lzma", {"a.mp4": video}, zipfile.ZIP_LZMA)
    add("twice", {"a/v.mp4": video, "b/v.mp4": video[:10]})
    made["encrypted"] = _flagged(made["good"], (6, 8), 1)
    made["method"] = _flagged(made["good"], (8, 10), 91)
    made["lzma-damaged"] = made["lzma"][:60] + b"\xff" * 20 + made["lzma"][80:]
    made["lies"] = _flagged(made["good"], (22, 24), 0x77)
    made["no-zip"] = b"<html>login</html>"
    made["empty"] = b""
    return made


def _flagged(data: bytes, places: tuple[int, int], value: int) -> bytes:
    changed = bytearray(data)
    changed[places[0]] ^= value
    changed[changed.index(b"PK\x01\x02") + places[1]] ^= value
    return bytes(changed)


class OddHub(ThreadingHTTPServer):
    """Serves `odd/NAME` with the answer of that name, and the data set of videos with the zip named by `zip`.

    Attributes:
        hits: how many requests there were.
        zip: name of the archive that is part 0 of the data set.
    """

    daemon_threads = True

    def __init__(self, victim: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.zips = answers(victim), zips()
        self.hits, self.zip = 0, "good"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
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


class _Handler(BaseHTTPRequestHandler):
    server: OddHub
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.hits += 1
        path = unquote(urlsplit(self.path).path).strip("/")
        data_set = "OpenVid" in path
        if path.startswith("api/"):
            parts = path.split("/")
            answer = json.dumps(self._data_set()).encode() if data_set else self.server.answers.get(parts[3], b"")
            return self._send(_as_tree(answer) if "tree" in parts[4:5] else answer)
        if "/resolve/" in path and data_set:
            return self._send(self.server.zips[self.server.zip] if path.endswith(".zip") else b"video,caption\n")
        if "/resolve/" in path:
            return self._send(SMALL if path.endswith("config.json") else DATA)
        return self._send(b"{}", status=404)

    do_HEAD = do_GET  # noqa: N815

    def _data_set(self):
        data = self.server.zips[self.server.zip]
        table = b"video,caption\n"
        part = {"sha256": sha256(data), "size": len(data), "pointerSize": 134}
        listed = [
            {"rfilename": "data/train/OpenVid-1M.csv", "size": len(table), "blobId": blob_id(table)},
            {"rfilename": "OpenVid_part0.zip", "size": len(data), "blobId": blob_id(data), "lfs": part},
        ]
        return {"id": "nkp37/OpenVid-1M", "sha": COMMIT, "siblings": listed}

    def _send(self, body, status=200):
        self.send_response(status)
        self.send_header("X-Repo-Commit", COMMIT)
        tag = sha256(body) if len(body) > 2 and not body.startswith(b"video") else blob_id(body)
        self.send_header("ETag", f'"{tag}"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        """Keep quiet."""
