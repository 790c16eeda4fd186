"""Conversion of plain values to the types of options."""

from __future__ import annotations

from typing import Any, get_args, get_origin

import cattrs
from cattrs.cols import list_structure_factory

from ex4d_core.bounds import shown

GREATEST_INT = 10**20
"""Largest absolute value of an integer option; larger values are typing errors."""

GREATEST_FLOAT = 1e30
"""Largest absolute value of a float option; finite in float32."""


def _is_list(kind: Any) -> bool:
    """Return whether a type is a tuple of any length."""
    return get_origin(kind) is tuple and get_args(kind)[-1] is Ellipsis


def strict_converter() -> cattrs.Converter:
    """Return a converter that refuses values of another type, such as 1 for a switch, instead of converting them."""
    converter = cattrs.Converter()

    def strict_bool(value: Any, _: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {shown(value)}")
        return value

    def strict_int(value: Any, _: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number, not {shown(value)}")
        if abs(value) > GREATEST_INT:
            raise ValueError(f"must be a whole number of at most 20 digits, not {shown(value)}")
        return value

    def strict_float(value: Any, _: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"must be a number, not {shown(value)}")
        if not abs(value) <= GREATEST_FLOAT:  # NaN too
            raise ValueError(f"must be a finite number up to {GREATEST_FLOAT:g}, not {shown(value)}")
        return float(value)

    def text(value: Any, _: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"must be a text, not {shown(value)}")
        return str(value)

    def strict_list(kind: Any, converter: cattrs.Converter) -> Any:
        entries: Any = list[get_args(kind)[0]]  # type: ignore[misc]
        structure = list_structure_factory(entries, converter)

        def listed(value: Any, kind: Any) -> Any:
            if not isinstance(value, list | tuple):
                raise TypeError(f"must be a list, not {shown(value)}")
            return tuple(structure(value, kind))

        return listed

    converter.register_structure_hook_factory(_is_list, strict_list)
    for kind, hook in ((bool, strict_bool), (int, strict_int), (float, strict_float), (str, text)):
        converter.register_structure_hook(kind, hook)
    return converter
