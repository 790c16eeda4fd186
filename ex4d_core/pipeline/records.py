"""Records that several processes update, such as `run.json`.

There is one way to change a record: take its lock, read it, change what was read, write it beside, rename it.
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

RUN_RECORD = "run.json"


class DamagedRecord(InvalidInput):
    """A record is not JSON, or its values are of other types than they should be."""


@attrs.frozen
class Record:
    """A JSON object in a file, which several runs change at once."""

    path: Path
    warn: Callable[[str], None] = lambda text: None
    """Told where a damaged record is set aside."""

    def read(self) -> Facts:
        """Return what the record says, or an empty object where there is none.

        Raises:
            DamagedRecord: it is not what a run writes.
            InvalidInput: it cannot be read.
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
        """Give what the record says, to be changed in place; it is written when the block succeeds.

        No other run changes the record meanwhile. A damaged one is renamed, and said, and starts empty.

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
            kept = set_aside(self.path, numbered(f"{self.path.stem}-damaged", self.path.suffix))
        except OSError as refused:
            raise OutputFailed(f"{error}; and it cannot be renamed: {refused.strerror or refused}") from refused
        self.warn(f"{error}; it is kept as {kept.name}, and a new one is started")


class Change:
    """A record while its lock is held."""

    def __init__(self, path: Path, facts: Facts) -> None:
        """Take what is there now."""
        self.facts = facts
        self._path = path
        self._written = dumped(facts) if path.exists() else ""

    def table(self, name: str) -> Facts:
        """Return a table of the record, made where it lacks one."""
        table: Facts = self.facts.setdefault(name, {})
        return table

    def write(self) -> None:
        """Write the record as it is now, if it differs from the file.

        Raises:
            OutputFailed: it cannot be written.
        """
        text = dumped(self.facts)
        if text != self._written:
            with atomic_write(self._path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            self._written = text


def _checked(facts: Any) -> Facts:
    """Return a record whose values are of the types that this version reads.

    Raises:
        ValueError: they are not.
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
        raise ValueError("'source' does not say a path and a hash")
    return facts


def dumped(facts: Mapping[str, Any]) -> str:
    """Return JSON that `read` takes: a number that is not finite becomes a text, as an object of another class does."""
    try:
        return json.dumps(facts, indent=2, default=str, allow_nan=False)
    except ValueError:
        finite = json.loads(json.dumps(facts, default=str), parse_constant=str)
        return json.dumps(finite, indent=2)
