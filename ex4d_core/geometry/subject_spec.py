"""Parse the `look_at` option; imports nothing heavy."""

from __future__ import annotations

import math

from ex4d_core.errors import InvalidConfig

RULES = ("auto", "nearest")


def pixel_or_depth(look_at: str) -> tuple[float, ...]:
    """Return the two coordinates of a pixel, or a depth.

    Raises:
        InvalidConfig: the text is neither.
    """
    try:
        numbers = tuple(float(text) for text in look_at.strip("()[] ").split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 2) or not all(map(math.isfinite, numbers)) or (len(numbers) == 1 and numbers[0] <= 0):
        raise InvalidConfig(
            "look_at must be auto, nearest, a pixel such as 320,180, or a distance above 0 such as 2.5, "
            f"not {look_at!r}"
        )
    return numbers


def check_look_at(look_at: str) -> None:
    """Validate the `look_at` option.

    Raises:
        InvalidConfig: it is not a rule, a pixel or a depth.
    """
    if look_at not in RULES:
        pixel_or_depth(look_at)
