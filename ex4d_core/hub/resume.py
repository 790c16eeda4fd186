"""Download one file over HTTP, resuming an earlier attempt."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import attrs

from ex4d_core.errors import Cancelled, DownloadFailed
from ex4d_core.hub.local import huggingface_hub

_CHUNK = 2**20
_ATTEMPTS = 5
"""Attempts in a row without data before the download fails."""
_PASSING = (408, 429, 500, 502, 503, 504)
"""Status codes of temporary errors."""
_NO_MORE = 416
"""Status code for a range beyond the end of the file."""


@attrs.frozen(kw_only=True)
class DownloadSource:
    """A file on the hub, or elsewhere on the web."""

    url: str
    size: int
    """In bytes."""
    name: str
    """For messages."""
    in_git: bool = False
    """Whether its hash is the SHA-1 of git instead of SHA-256."""
    on_hub: bool = True
    """Whether the user's token may be sent with the request."""


class Hash(Protocol):
    """An incremental hash."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the hash of all bytes so far."""
        ...


def new_hash(size: int, *, in_git: bool) -> Hash:
    """Return a new hash for a file of `size` bytes: SHA-256, or the SHA-1 of git."""
    if not in_git:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def receive(source: DownloadSource, part: Path, *, tell: Callable[[int], None], stopped: threading.Event) -> str:
    """Download the rest of a file into `part`, and return the hash of the whole file.

    A lost connection is retried with increasing pauses, until five attempts in a row receive nothing.

    Args:
        source: the file on the hub.
        part: the file to write; after a failure it remains for the next call, unless it is too long.
        tell: called with the number of received bytes; negative if they must be downloaded again.
        stopped: cancels the download when set.

    Raises:
        Cancelled: `stopped` was set.
        DownloadFailed: the server has another number of bytes.
        Exception: errors of the hub's client.
    """
    with _opened(part) as file:
        written = _Written(file, source)
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
    if written.length > source.size:
        part.unlink()
    if written.length != source.size:
        raise DownloadFailed(
            f"{source.name} has {written.length} bytes instead of {source.size}; type the same command again"
        )
    return written.hash.hexdigest()


def _opened(part: Path) -> BinaryIO:
    """Open a file for appending; refuse links, which could point to other files."""
    with suppress(FileNotFoundError):
        status = os.lstat(part)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            os.unlink(part)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):  # some are missing on some systems
        flags |= getattr(os, name, 0)
    return os.fdopen(os.open(part, flags, 0o666), "r+b")


class _Written:
    """The downloaded part of a file, and its hash."""

    def __init__(self, file: BinaryIO, source: DownloadSource) -> None:
        self._file, self._source = file, source
        self.hash = self._fresh()
        file.seek(0)
        while chunk := file.read(_CHUNK):
            self.hash.update(chunk)
        self.length = file.tell()
        if self.length > source.size:
            self.discard()

    def add(self, chunk: bytes) -> None:
        """Add bytes, but at most one beyond the expected size."""
        chunk = chunk[: self._source.size + 1 - self.length]
        self._file.write(chunk)
        self.hash.update(chunk)
        self.length += len(chunk)

    def discard(self) -> None:
        self._file.truncate(0)
        self._file.seek(0)
        self.hash = self._fresh()
        self.length = 0

    def _fresh(self) -> Hash:
        return new_hash(self._source.size, in_git=self._source.in_git)


def _append(source: DownloadSource, written: _Written, tell: Callable[[int], None], stopped: threading.Event) -> None:
    """Request the missing bytes once."""
    hub = huggingface_hub()
    headers = {**(hub.utils.build_hf_headers() if source.on_hub else {}), "Accept-Encoding": "identity"}
    if written.length:
        headers["Range"] = f"bytes={written.length}-"
    timeout = hub.constants.HF_HUB_DOWNLOAD_TIMEOUT
    with hub.get_session().stream("GET", source.url, headers=headers, timeout=timeout) as response:
        hub.hf_raise_for_status(response)
        if written.length and response.status_code != 206:  # the server sends the whole file again
            tell(-written.length)
            written.discard()
        for chunk in response.iter_bytes():  # unbuffered, so that a broken connection loses nothing
            if stopped.is_set():
                raise Cancelled("the download was stopped")
            before = written.length
            written.add(chunk)
            tell(written.length - before)
            if written.length > source.size:
                return
