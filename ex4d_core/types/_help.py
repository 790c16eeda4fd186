"""Show the documentation of fields in `help()`."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from typing import Any, TypeVar

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
