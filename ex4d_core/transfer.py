"""One large file over HTTP, going on where an earlier attempt stopped."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import attrs

from ex4d_core.errors import Cancelled, DownloadFailed
from ex4d_core.hub import huggingface_hub

_CHUNK = 2**20
_ATTEMPTS = 5
"""Times in a row that nothing may arrive before it is given up."""
_PASSING = (408, 429, 500, 502, 503, 504)
"""Answers of a server that may be another in a moment."""
_NO_MORE = 416
"""The answer of a server whose file ends before what it is asked for."""


@attrs.frozen(kw_only=True)
class Source:
    """A file on the hub."""

    url: str
    size: int
    """In bytes."""
    name: str
    """For messages."""


def receive(source: Source, part: Path, *, tell: Callable[[int], None], stopped: threading.Event) -> str:
    """Write a file's bytes behind those that `part` has, and return the sha256 of all of them.

    A lost connection is taken up again, after longer and longer pauses, until nothing arrives five times in a row.

    Args:
        source: where the bytes are.
        part: the file to write; it is kept when this fails, for the next call.
        tell: called with each number of bytes that arrived, a negative one where they have to come again.
        stopped: ends it when set.

    Raises:
        Cancelled: `stopped` was set.
        DownloadFailed: the server has another number of bytes.
        Exception: what the hub's client raises for a server that refuses or cannot be reached.
    """
    with part.open("a+b") as file:
        written = _Written(file, most=source.size)
        failures = 0
        while written.length < source.size and failures < _ATTEMPTS:
            before = written.length
            try:
                _append(source, written, tell, stopped)
            except huggingface_hub().errors.HTTPError as error:
                status = getattr(getattr(error, "response", None), "status_code", None)
                if status == _NO_MORE:
                    break
                if failures == _ATTEMPTS - 1 or status not in (None, *_PASSING):
                    raise
            failures = 0 if written.length > before else failures + 1
            if failures and stopped.wait(2.0 ** (failures - 1)):
                raise Cancelled("the download was stopped")
    if written.length != source.size:
        raise DownloadFailed(
            f"{source.name} has {written.length} bytes and the hub says {source.size}; type the same command again"
        )
    return written.hash.hexdigest()


class _Written:
    """What has arrived of a file, and its hash."""

    def __init__(self, file: BinaryIO, *, most: int) -> None:
        self._file = file
        file.seek(0)
        self.hash = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # any buffered file will do
        self.length = file.tell()
        if self.length > most:
            self.discard()

    def add(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self.hash.update(chunk)
        self.length += len(chunk)

    def discard(self) -> None:
        self._file.truncate(0)
        self.hash = hashlib.sha256()
        self.length = 0


def _append(source: Source, written: _Written, tell: Callable[[int], None], stopped: threading.Event) -> None:
    """Ask once for what is missing."""
    hub = huggingface_hub()
    headers = {**hub.utils.build_hf_headers(), "Accept-Encoding": "identity"}
    if written.length:
        headers["Range"] = f"bytes={written.length}-"
    timeout = hub.constants.HF_HUB_DOWNLOAD_TIMEOUT
    with hub.get_session().stream("GET", source.url, headers=headers, timeout=timeout) as response:
        hub.hf_raise_for_status(response)
        if written.length and response.status_code != 206:  # it sends the whole file again
            tell(-written.length)
            written.discard()
        for chunk in response.iter_bytes(_CHUNK):
            if stopped.is_set():
                raise Cancelled("the download was stopped")
            written.add(chunk)
            tell(len(chunk))
            if written.length > source.size:
                return
