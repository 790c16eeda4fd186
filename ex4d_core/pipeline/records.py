"""Records that several processes update, such as `run.json`.

A record is changed under a lock: read, changed in memory, written to a temporary file, renamed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.files import atomic_write, locked, set_aside
from ex4d_core.names import numbered
from ex4d_core.reading import MOST_TEXT, parse_json, read_bytes

Facts = dict[str, Any]

RUN_RECORD, CONFIG = "run.json", "config.toml"
"""Names of the record and of the configuration in a run folder."""


class DamagedRecord(InvalidInput):
    """A record is not JSON, or its values have wrong types."""


@attrs.frozen
class Record:
    """A JSON object in a file that several runs may change at the same time."""

    path: Path
    warn: Callable[[str], None] = lambda text: None
    """Called with a message when a damaged record is renamed."""

    def read(self) -> Facts:
        """Return the content, or an empty object if the file does not exist.

        Raises:
            DamagedRecord: the content is invalid.
            InvalidInput: the file cannot be read.
        """
        if not os.path.lexists(self.path):
            return {}
        text = read_bytes(self.path, "record", most=MOST_TEXT)
        try:
            return _checked(parse_json(text))
        except ValueError as error:
            raise DamagedRecord(f"the record {self.path} is damaged: {error}") from error

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """Yield the content, to be changed in place; it is written when the block succeeds.

        The record is locked meanwhile. A damaged one is renamed, with a warning, and starts empty.

        Raises:
            OutputFailed: the folder cannot be written to, or the record is locked for too long.
            InvalidInput: the record cannot be read.
        """
        with locked(self.path):
            try:
                change = Change(self.path, self.read())
            except DamagedRecord as error:
                self._set_aside(error)
                change = Change(self.path, {})
            yield change
            change.write()

    def _set_aside(self, error: DamagedRecord) -> None:
        try:
            renamed = set_aside(self.path, numbered(f"{self.path.stem}-damaged", self.path.suffix))
        except OSError as cause:
            raise OutputFailed(f"{error}; and it cannot be renamed: {cause.strerror or cause}") from cause
        self.warn(f"{error}; it was renamed to {renamed.name}, and a new one is started")


class Change:
    """The content of a locked record."""

    def __init__(self, path: Path, facts: Facts) -> None:
        """Start with the current content."""
        self.facts = facts
        self._path = path
        self._written = dumped(facts) if path.exists() else ""

    def table(self, name: str) -> Facts:
        """Return a table of the record; create it if it is missing."""
        table: Facts = self.facts.setdefault(name, {})
        return table

    def write(self) -> None:
        """Write the record if it differs from the file.

        Raises:
            OutputFailed: it cannot be written.
        """
        text = dumped(self.facts)
        if text != self._written:
            with atomic_write(self._path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            self._written = text


def _checked(facts: Any) -> Facts:
    """Return a record after checking the types of its values.

    Raises:
        ValueError: a type is wrong.
    """
    if not isinstance(facts, dict):
        raise ValueError("it is not an object")
    for name in ("files", "takes"):
        table = facts.get(name, {})
        if not isinstance(table, dict) or not all(isinstance(entry, dict) for entry in table.values()):
            raise ValueError(f"{name!r} is not an object of objects")
    if not isinstance(facts.get("clip", ""), str):
        raise ValueError("'clip' is not a text")
    source = facts.get("source", {"path": "", "blake2b": ""})
    if not isinstance(source, dict) or not all(isinstance(source.get(name), str) for name in ("path", "blake2b")):
        raise ValueError("'source' has no path and hash")
    return facts


def dumped(facts: Mapping[str, Any]) -> str:
    """Return JSON that `read` accepts: non-finite numbers and objects of other classes become texts."""
    try:
        return json.dumps(facts, indent=2, default=str, allow_nan=False)
    except ValueError:
        finite = json.loads(json.dumps(facts, default=str), parse_constant=str)
        return json.dumps(finite, indent=2)
