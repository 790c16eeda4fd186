"""Validation of records that a run wrote: each class declares the type and bounds of its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs

from ex4d_core.bounds import Bounds, shown
from ex4d_core.errors import Ex4dError, InvalidInput, one_line
from ex4d_core.reading import MOST_TEXT, parse_json, read_bytes

Record = TypeVar("Record", bound=attrs.AttrsInstance)
Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]

MOST = 2**62
"""Largest integer in a record; the sum of two fits into 64 bits."""


class DamagedRunFile(InvalidInput):
    """The content of a file differs from what was written."""


def text(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check that a value is a text (attrs validator)."""
    if not isinstance(value, str):
        raise ValueError(f"{attribute.name} must be a text, not {shown(value)}")


def flag(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check that a value is true or false (attrs validator)."""
    if not isinstance(value, bool):
        raise ValueError(f"{attribute.name} must be true or false, not {shown(value)}")


def whole_number(value: object, name: str, *, at_least: int = 0, at_most: int = MOST) -> int:
    """Return an integer within bounds.

    Raises:
        ValueError: the value is not one.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, not {shown(value)}")
    if fault := Bounds(at_least=at_least, at_most=at_most).fault(name, value):
        raise ValueError(fault)
    return value


def whole(*, at_least: int = 0, at_most: int = MOST) -> Validator:
    """Return an attrs validator of integers within bounds."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        whole_number(value, attribute.name, at_least=at_least, at_most=at_most)

    return check


def one_of(*choices: str) -> Validator:
    """Return an attrs validator of a choice of texts."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not (isinstance(value, str) and value in choices):
            raise ValueError(f"{attribute.name} must be one of {', '.join(choices)}, not {shown(value)}")

    return check


def read_object(path: Path, what: str) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the file cannot be read, is not a regular file, or is too large.
        ValueError: the content is not a JSON object.
    """
    return of_texts(parse_json(read_bytes(path, what, most=MOST_TEXT)), f"the {what}")


def made(cls: type[Record], tree: object, name: str) -> Record:
    """Return the record of a JSON object; the class validates the values.

    Args:
        cls: an attrs class.
        tree: the parsed object.
        name: name of the object, for messages.

    Raises:
        ValueError: the value is not an object, an entry is missing or unknown, or a value is invalid.
    """
    table = of_texts(tree, name)
    fields = attrs.fields_dict(cls)
    if unknown := sorted(set(table) - set(fields)):
        raise ValueError(f"{name} has an unknown entry {shown(unknown[0])}")
    missing = [key for key, field in fields.items() if field.default is attrs.NOTHING and key not in table]
    if missing:
        raise ValueError(f"{name} has no entry {missing[0]}")
    return cls(**table)


def of_texts(tree: object, name: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ValueError: the value is not an object.
    """
    if not isinstance(tree, dict):
        raise ValueError(f"{name} must be an object, not {shown(tree)}")
    return tree


@contextmanager
def damage(path: Path, remedy: str) -> Iterator[None]:
    """Turn an error about the content of a file into one sentence with the file and the remedy.

    Raises:
        DamagedRunFile: the content is invalid.
    """
    try:
        yield
    except Ex4dError:
        raise
    except (ValueError, LookupError, TypeError) as error:
        reason = str(error) if type(error) is ValueError else one_line(error)
        raise DamagedRunFile(f"{path} is damaged ({reason}); {remedy}") from error
