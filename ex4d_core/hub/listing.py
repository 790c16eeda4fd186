"""List the files of a repository; the server's answer is bounded and validated before it is used as a path."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import attrs

from ex4d_core.errors import DownloadFailed
from ex4d_core.hub.errors import asked
from ex4d_core.hub.local import HubRepo, huggingface_hub, is_safe_path
from ex4d_core.reading import MOST_TEXT, parse_json

_PATIENCE = 30.0
"""Timeout of the server in seconds."""

_MOST_SECONDS = 300.0
"""Largest time for a whole listing in seconds."""

MOST_SIZE = 2**44
"""Largest accepted size of a file in bytes."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_ID = re.compile(r"[0-9a-f]{40}")


@attrs.frozen(kw_only=True)
class ListedFile:
    """A file of a repository."""

    path: str
    """Relative path with `/`, whose parts are valid file names on any operating system."""
    size: int
    """In bytes."""
    sha256: str
    """SHA-256, or '' for a small file, which the hub stores in git."""
    git_id: str
    """Git hash of a small file, or '' for a large one."""
    url: str = ""
    """Address of a file outside of the hub, or ''."""


@attrs.frozen(kw_only=True)
class Listing:
    """The required files of a repository at one commit."""

    commit: str
    files: tuple[ListedFile, ...]


class _Odd(Exception):
    """An answer of the server is not a valid listing."""


def list_files(files: HubRepo) -> Listing:
    """List the required files on the hub; those outside of the hub are known in advance.

    Raises:
        DownloadFailed: the hub cannot be reached, does not have the repository, or its answer cannot be used.
        PluginFailed: the package huggingface_hub is not installed.
    """
    if files.web:
        return _listing_of_web(files)
    with asked(files):
        answer = b"".join(_ask(files))
    try:
        return _listing(_parsed(answer), files)
    except _Odd as error:
        raise DownloadFailed(
            f"{huggingface_hub().constants.ENDPOINT} does not answer like a hub for {files.repo}: {error}; check "
            "HF_ENDPOINT, and whether a proxy asks for a login"
        ) from error


def _listing_of_web(files: HubRepo) -> Listing:
    """Return the declared files; the hash of their hashes stands for a commit."""
    commit = hashlib.sha1("".join(sorted(file.sha256 for file in files.web)).encode(), usedforsecurity=False)
    listed = (ListedFile(**attrs.asdict(file), git_id="") for file in files.web if files.wants(file.path))
    return Listing(commit=commit.hexdigest(), files=tuple(listed))


def _ask(files: HubRepo) -> Iterator[bytes]:
    hub = huggingface_hub()
    url = f"{hub.constants.ENDPOINT}/api/{files.kind}s/{files.repo}/revision/{quote(files.revision, safe='')}"
    given = {"params": {"blobs": "true"}, "headers": hub.utils.build_hf_headers(), "timeout": _PATIENCE}
    received, end = 0, time.monotonic() + _MOST_SECONDS
    with hub.get_session().stream("GET", url, **given) as response:
        hub.hf_raise_for_status(response)
        for chunk in response.iter_bytes():
            received += len(chunk)
            if received > MOST_TEXT or time.monotonic() > end:
                raise DownloadFailed(f"the list of files of {files.repo} does not end; check HF_ENDPOINT")
            yield chunk


def _parsed(answer: bytes) -> Mapping[str, Any]:
    try:
        return _table(parse_json(answer), "the answer")
    except ValueError as error:
        raise _Odd("the answer is not JSON") from error


def _listing(answer: Mapping[str, Any], files: HubRepo) -> Listing:
    entries = answer.get("siblings")
    if not isinstance(entries, list):
        raise _Odd("it has no list of files")
    found: dict[str, ListedFile] = {}
    for entry in entries:
        path = _table(entry, "an entry of the list").get("rfilename")
        if not isinstance(path, str):
            raise _Odd("a file has no name")
        if not files.wants(path):  # before any check
            continue
        file = _file(path, entry)
        if found.setdefault(path, file) != file:
            raise _Odd(f"{path} is in the list twice")
    folders = {str(folder) for path in found for folder in PurePosixPath(path).parents}
    if both := sorted(folders & set(found)):
        raise _Odd(f"{both[0]} is a file and a folder")
    return Listing(commit=_matching(answer.get("sha"), _GIT_ID, "the commit"), files=tuple(found.values()))


def _file(path: str, entry: Mapping[str, Any]) -> ListedFile:
    name = ascii(path[:80])
    if not is_safe_path(path):
        raise _Odd(f"{name} is not a valid file name")
    large = entry.get("lfs")
    if large is None:
        git_id = _matching(entry.get("blobId"), _GIT_ID, f"the blobId of {name}")
        return ListedFile(path=path, size=_size(entry.get("size"), name), sha256="", git_id=git_id)
    large = _table(large, f"the entry lfs of {name}")
    sha256 = _matching(large.get("sha256"), _SHA256, f"the sha256 of {name}")
    return ListedFile(path=path, size=_size(large.get("size"), name), sha256=sha256, git_id="")


def _size(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_SIZE:
        raise _Odd(f"the size of {name} is not a number of bytes")
    return value


def _matching(value: object, pattern: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _Odd(f"{what} is not a hash")
    return value


def _table(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _Odd(f"{what} is not a JSON object")
    return value
