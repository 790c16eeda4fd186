"""Files that users name: the list of LoRAs, and others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs

from ex4d_core.bounds import shown
from ex4d_core.errors import InputNotFound, InvalidConfig
from ex4d_core.reading import check_file

TENSOR_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")


@attrs.frozen(kw_only=True)
class Lora:
    """A LoRA file for the transformer."""

    path: Path
    weight: float = 1.0
    """Scale; 1 as trained."""


def parse_loras(text: str) -> tuple[Lora, ...]:
    """Parse a list of LoRAs such as `style.safetensors:0.8,few_steps.safetensors`; the default scale is 1.

    A file that exists is taken by its name, also if it contains commas, colons or spaces.

    Raises:
        InvalidConfig: a path is empty or a weight is not a number.
        InputNotFound: a file does not exist.
        InvalidInput: it is not a regular file, or cannot be read.
    """
    return tuple(_lora(entry) for entry in _entries(text))


def changed_loras(text: str, change: Callable[[str], str]) -> str:
    """Return a list of LoRAs with a function applied to each path."""
    found = [_file_and_weight(entry) or _split(entry) for entry in _entries(text)]
    return ",".join(f"{change(str(path))}:{weight}" for path, weight in found)


def _entries(text: str) -> Iterator[str]:
    pieces = text.split(",")
    while pieces:
        # A comma can be part of a name: the longest entry that is a file is used.
        counts = range(len(pieces), 1, -1)
        count = next((count for count in counts if _file_and_weight(_joined(pieces[:count]))), 1)
        entry, pieces = _joined(pieces[:count]), pieces[count:]
        if entry:
            yield entry


def _joined(pieces: Iterable[str]) -> str:
    return ",".join(pieces).strip()


def _lora(entry: str) -> Lora:
    if found := _file_and_weight(entry):
        path, weight = found
    else:
        path, weight = _split(entry)
    if not path or not _is_number(weight):
        raise InvalidConfig(f"backbone.loras must be FILE:WEIGHT, separated by commas, not {shown(entry)}")
    return Lora(path=users_file(path, "LoRA", "loras"), weight=float(weight))


def _file_and_weight(entry: str) -> tuple[str, str] | None:
    """Split an entry that is an existing file, with or without a weight; a colon can be part of its name."""
    tries = ((entry, "1"), _split(entry))
    exists = ((path, weight) for path, weight in tries if os.path.exists(os.path.expanduser(path)))
    return next((found for found in exists if _is_number(found[1])), None)


def _split(entry: str) -> tuple[str, str]:
    path, colon, weight = entry.rpartition(":")
    # The colon of C:\style.safetensors is part of the path.
    return (path, weight) if colon and not weight.endswith(TENSOR_SUFFIXES) else (entry, "1")


def users_file(text: str, what: str, option: str) -> Path:
    """Return the path of a file that an option names.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it is not a regular file, or cannot be read.
    """
    try:
        path = Path(text).expanduser()
        check_file(path, what)
    except (InputNotFound, RuntimeError) as error:  # ~ of a user that does not exist
        raise InputNotFound(f"the {what} {text} does not exist; check backbone.{option}") from error
    return path


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
