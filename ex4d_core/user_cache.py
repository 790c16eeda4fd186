"""The cache folder of the user, and hashes of large files in it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

EX4D_CACHE = "EX4D_CACHE"
"""Environment variable with another folder; empty: nothing is cached."""

_DIGEST = re.compile(r"[0-9a-f]{8,128}")

_SETTLED = 2.0
"""Seconds after which a further change of a file has another time stamp on any file system."""


_in_process: dict[str, str] = {}
"""Hashes that this process computed."""


def user_cache() -> Path | None:
    """Return the folder, which need not exist; None if it is disabled.

    It is `$EX4D_CACHE`, else `ex4d` in `%LOCALAPPDATA%` on Windows, in `$XDG_CACHE_HOME` or `~/.cache`
    on other systems.
    """
    given = os.environ.get(EX4D_CACHE)
    if given is not None:
        return Path(os.path.expanduser(given)) if given else None
    variable, default = (
        ("LOCALAPPDATA", "~/AppData/Local") if sys.platform == "win32" else ("XDG_CACHE_HOME", "~/.cache")
    )
    folder = os.environ.get(variable, "")
    return Path(folder if os.path.isabs(folder) else os.path.expanduser(default), "ex4d")


def hash_once(file: Path, hash_file: Callable[[Path], str]) -> str:
    """Return a hash of a file, computed once for its path, size and time stamp.

    Each hash is a file of its own that is moved into place, so that several processes may write at once.

    Args:
        file: the file.
        hash_file: returns the hash in hexadecimal digits; its name is part of the key.

    Raises:
        OSError: the file cannot be read.
    """
    state, folder = file.stat(), user_cache()
    facts = (hash_file.__name__, os.path.realpath(file), state.st_size, state.st_mtime_ns)
    key = hashlib.blake2b(repr(facts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    if key in _in_process:
        return _in_process[key]
    entry = folder and folder / "digests" / key
    with suppress(OSError, ValueError):
        found = entry.read_text(encoding="ascii") if entry else ""
        if _DIGEST.fullmatch(found):
            return found
    digest, after = hash_file(file), file.stat()
    unchanged = (after.st_size, after.st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    if unchanged:
        _in_process[key] = digest
    if unchanged and entry and time.time() - state.st_mtime > _SETTLED:
        _write(entry, digest)
    return digest


def _write(entry: Path, digest: str) -> None:
    """Write a hash; nothing happens if the folder cannot be written to."""
    new = entry.with_name(f"{entry.name}.{secrets.token_hex(4)}")
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        try:
            new.write_text(digest, encoding="ascii")
            os.replace(new, entry)
        finally:
            new.unlink(missing_ok=True)
