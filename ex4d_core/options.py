"""How components declare their options: an attrs class whose fields carry a help text and a unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs


def option(
    default: Any = attrs.NOTHING,
    *,
    help: str,
    unit: str = "",
    decides: bool = True,
    validator: Callable[[Any, attrs.Attribute[Any], Any], Any] | None = None,
) -> Any:
    """Declare a field of an options class.

    Args:
        default: used where the user gives none; leave out to make the option required.
        help: one sentence that the CLI shows.
        unit: of the number, such as "degrees", or "".
        decides: whether the result depends on it; if not, changing it makes no artifact anew.
        validator: an attrs validator.
    """
    return attrs.field(
        default=default, validator=validator, metadata={"help": help, "unit": unit, "decides": decides}, kw_only=True
    )
