"""Show the documentation of fields in `help()`."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from typing import Any, TypeVar

import attrs

Cls = TypeVar("Cls", bound=type)


def with_fields(cls: Cls) -> Cls:
    """Add the texts below the fields of a class to its documentation.

    They are read from the source when the documentation is first needed.
    """
    cls.__doc__ = _Doc(cls.__doc__ or "")  # type: ignore[assignment]  # type.__doc__ calls __get__
    return cls


class _Doc:
    """The documentation of a class with that of its fields."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __get__(self, instance: object, owner: type) -> str:
        fields = _fields(owner)
        lines = [f"    {name}: {textwrap.indent(text, '        ').strip()}" for name, text in fields.items()]
        return "\n".join([inspect.cleandoc(self._text), "", "Attributes:", *lines]) if lines else self._text


def _fields(cls: type) -> dict[str, str]:
    """Return the text of each field: that below it, that of the option, or that of the class of its value."""
    below = _texts_below_fields(cls)
    texts = {field.name: below.get(field.name) or _text_of(field) for field in attrs.fields(cls)}
    return {name: text for name, text in texts.items() if text}


def _text_of(field: attrs.Attribute[Any]) -> str:
    """Return help and unit of an option, or the documentation of a group of options."""
    if text := field.metadata.get("help", ""):
        return f"{text} In {unit}." if (unit := field.metadata.get("unit")) else str(text)
    kind = type(field.default)
    return (kind.__doc__ or "").partition("\n")[0] if attrs.has(kind) and field.default is not attrs.NOTHING else ""


def _texts_below_fields(cls: type) -> dict[str, str]:
    """Return the text below each field of a class; none if its source is not available."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, SyntaxError):
        return {}
    body: list[Any] = getattr(definition, "body", [])
    texts = {}
    for statement, below in itertools.pairwise(body):
        text = getattr(getattr(below, "value", None), "value", None)
        if isinstance(statement, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(text, str):
            texts[ast.unparse(statement.target)] = inspect.cleandoc(text)
    return texts
