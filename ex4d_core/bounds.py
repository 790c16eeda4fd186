"""Check that numbers from files and options are finite and in range; errors name the value."""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING

import attrs

from ex4d_core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

LARGEST = 1e12
"""Magnitude that numbers in files may have: their squares and products stay finite in float32."""

_LONGEST = 100
"""Characters of a value that an error shows, and about half of them of a text."""


class _Short(reprlib.Repr):
    """Shows values of any size and depth as one short line."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, _LONGEST // 2, _LONGEST

    def repr_int(self, x: int, level: int) -> str:
        text = repr(x) if x.bit_length() < 1000 else hex(x)  # Python refuses to write very long numbers in decimals
        return text if len(text) <= _LONGEST // 2 else f"{text[: _LONGEST // 2]}..."


def shown(value: object) -> str:
    """Return a value as an error shows it: one line of bounded length."""
    text = _SHORT.repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


_SHORT = _Short()


@attrs.frozen(kw_only=True)
class Bounds:
    """Limits of a number; NaN is outside of any."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def __str__(self) -> str:
        """Return them in words, such as "between 0 and 1", or ''."""
        if self.at_least is not None and self.at_most is not None:
            return f"between {plain(self.at_least)} and {plain(self.at_most)}"
        words = {"at least": self.at_least, "more than": self.above, "at most": self.at_most, "less than": self.below}
        return " and ".join(f"{word} {plain(limit)}" for word, limit in words.items() if limit is not None)

    def fault(self, name: str, value: float, unit: str = "") -> str:
        """Return a sentence for a number outside of the limits, and '' for one within them."""
        if value != value or not self._hold(value):
            return f"{name} must be {f'{self} {unit}'.rstrip()}, not {plain(value)}"
        return ""

    def _hold(self, value: float) -> bool:
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


def plain(number: float) -> str:
    """Return a number as people write it: 1000000, 0.001, 1e+12."""
    return shown(number) if isinstance(number, int) else f"{number:.12g}"


def number(value: object, name: str, low: float = -LARGEST, high: float = LARGEST, *, unit: str = "") -> float:
    """Return a number of a file.

    Args:
        value: as the file has it.
        name: of the number in the file.
        low: the smallest that it may be.
        high: the largest that it may be.
        unit: such as "pixels", for the error.

    Raises:
        InvalidInput: it is not a number, or is not between `low` and `high`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{name} must be a number, not {shown(value)}")
    if fault := _fault(value, name, low, high, unit):
        raise InvalidInput(fault)
    return float(value)


def whole(value: object, name: str, low: int = 0, high: int = 2**31 - 1, *, unit: str = "") -> int:
    """Return a whole number of a file, which may be written as 64.0.

    Args:
        value: as the file has it.
        name: of the number in the file.
        low: the smallest that it may be.
        high: the largest that it may be.
        unit: such as "pixels", for the error.

    Raises:
        InvalidInput: it is not a whole number, or is not between `low` and `high`.
    """
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value == value // 1)):
        raise InvalidInput(f"{name} must be a whole number, not {shown(value)}")
    if fault := _fault(value, name, low, high, unit):
        raise InvalidInput(fault)
    return int(value)


def spelled(text: str, name: str) -> float:
    """Return the number that a text spells, for formats that have texts only; it may be any.

    Raises:
        InvalidInput: it spells none.
    """
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput(f"{name} must be a number, not {shown(text)}") from error


def numbers(value: object, name: str, *, most: float = LARGEST) -> np.ndarray:
    """Return numbers of a file, in an array or in nested lists, as float64 of the same shape.

    Args:
        value: as the file has them.
        name: of the numbers in the file.
        most: the largest magnitude that they may have.

    Raises:
        InvalidInput: something else than real numbers is among them, or one that is not finite or too large.
    """
    import numpy as np  # options are checked without it

    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of several lengths
        raise InvalidInput(f"{name} must hold lists of numbers of the same length") from error
    if array.dtype.kind not in "iuf":
        found = f", not {shown(value)}" if array.ndim == 0 else ", and no texts or other values"
        raise InvalidInput(f"{name} must hold real numbers{found}")
    with np.errstate(all="ignore"):
        array = array.astype(np.float64)
        wrong = array[~(np.abs(array) <= most)]
    if wrong.size:
        raise InvalidInput(f"{name} must hold numbers of at most {plain(most)}, not {plain(float(wrong[0]))}")
    return array


def _fault(value: float, name: str, low: float, high: float, unit: str) -> str:
    return Bounds(at_least=low, at_most=high).fault(name, value, unit)


def parse_size(text: str) -> tuple[int, int] | None:
    """Return width and height of a text WIDTHxHEIGHT, or None if it is not such a text."""
    match = re.fullmatch(r"([0-9]{1,8})x([0-9]{1,8})", text.lower())
    return (int(match[1]), int(match[2])) if match else None
