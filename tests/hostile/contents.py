"""What is in a folder, so that two can be compared: bytes, or what they mean where the bytes differ each time."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import av
import numpy as np
from safetensors.torch import load_file

CHANGING = frozenset(
    {
        "seconds",
        "load",
        "compute",
        "peak_bytes",
        "peak_memory",
        "reused",
        "blake2b",
        "bytes",
        "versions",
        "stages",
        "time",
    }
    | {"run_folder", "config.toml"}  # the configuration has the absolute path of its folder
)
"""Keys of records whose values differ from run to run."""

TEMPORARY = (".part-", ".partial-")
LEFT = (*TEMPORARY, ".lock", ".incomplete", ".tmp")
"""Parts of names of what a finished command must not leave."""

TIMES = (".locks/", ".cache/", "CACHEDIR", ".ex4d.checked")
"""Parts of names of what a cache keeps about its files, such as when they were changed."""

Contents = dict[str, Any]


def contents_of(folder: Path) -> Contents:
    """Return the content of each file below a folder by its name, temporary ones and locks left out."""
    found: Contents = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(mark in name for mark in (*LEFT, *TIMES)):
            found[name] = _content(path)
    return found


def leftovers(folder: Path) -> list[str]:
    """Return what a command left that is not finished."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(name for name in names if any(mark in name for mark in LEFT) and not _is_of_hub(name))


def _is_of_hub(name: str) -> bool:
    """Return whether a file is a lock of the hub's cache, where they stay."""
    return ".locks" in name or ("hub/" in name and name.endswith(".lock"))


def _content(path: Path) -> Any:
    try:
        return _READERS.get(path.suffix, _bytes)(path)
    except Exception as error:  # a file that is half written raises anything
        return f"{type(error).__name__} {_bytes(path)}"


def _bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _frames(path: Path) -> list[str]:
    with av.open(str(path)) as file:
        frames = [
            frame.to_ndarray(format="gray" if "gray" in frame.format.name else "rgb24")
            for frame in file.decode(video=0)
        ]
    return [_array(frame) for frame in frames]


def _arrays(path: Path) -> dict[str, str]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: _array(archive[name]) for name in archive}


def _tensors(path: Path) -> dict[str, str]:
    return {name: _array(tensor.float().numpy()) for name, tensor in load_file(path).items()}


def _array(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape} {hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}"


def _json(path: Path) -> Any:
    return _steady(json.loads(path.read_text(encoding="utf-8")))


def _toml(path: Path) -> Any:
    return _steady(_with_whole_paths(tomllib.loads(path.read_text(encoding="utf-8")), path.parent))


def _with_whole_paths(tree: Any, folder: Path) -> Any:
    """Return a configuration with its paths relative to the file made absolute."""
    if isinstance(tree, dict):
        return {key: _with_whole_paths(value, folder) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_with_whole_paths(value, folder) for value in tree]
    return str((folder / tree).resolve()) if isinstance(tree, str) and tree.startswith("../") else tree


def _lines(path: Path) -> Any:
    return [_steady(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _steady(tree: Any) -> Any:
    """Return a record without what differs each time."""
    if isinstance(tree, dict):
        return {key: _steady(value) for key, value in tree.items() if key not in CHANGING}
    return [_steady(value) for value in tree] if isinstance(tree, list) else tree


_READERS = {
    ".mkv": _frames,
    ".npz": _arrays,
    ".safetensors": _tensors,
    ".json": _json,
    ".jsonl": _lines,
    ".toml": _toml,
}
"""Of files whose bytes are not the same twice, by suffix."""
