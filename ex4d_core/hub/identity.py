"""Identity of weights: a hash of their content, computed once for each file on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ex4d_core.files import file_hash
from ex4d_core.reading import reading
from ex4d_core.user_cache import hash_once

_THREADS = 8
"""Files that are hashed at once; a checkpoint of 51 GB has 14."""


def file_identities(files: Iterable[Path]) -> list[str]:
    """Return a hash of the content of each file, for the `fingerprint` of options that select weights.

    Files in the cache of the Hugging Face hub are links to `blobs` named by their hashes, so they are not read. Other
    files are read once while their path, size and time stamp do not change; the hash is kept in the cache of the user.

    Raises:
        InvalidInput: a file cannot be read.
    """
    listed = list(files)
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_identity, listed))


def weights_hash(folder: Path) -> str:
    """Return a hash of the configurations and weights in a folder, which does not depend on its location.

    Raises:
        InvalidInput: the folder or a file in it cannot be read.
    """
    with reading(folder, "folder of weights"):
        files = sorted(file for file in folder.iterdir() if file.suffix in (".json", ".safetensors"))
        if all(map(_blob_name, files)):
            return "+".join(file_identities(files))
    lines = [f"{file.name}\0{identity}" for file, identity in zip(files, file_identities(files), strict=True)]
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _identity(file: Path) -> str:
    with reading(file, "file of weights"):
        return _blob_name(file) or hash_once(file, file_hash)


def _blob_name(file: Path) -> str | None:
    """Return the content hash by which the cache of the Hugging Face hub names a file; None for a file elsewhere."""
    return file.resolve().name if file.is_symlink() and file.resolve().parent.name == "blobs" else None
