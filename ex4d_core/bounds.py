"""Check that numbers from files and options are finite and in range; errors name the value."""

from __future__ import annotations

import re
import reprlib
from fractions import Fraction
from numbers import Rational, Real
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args

import attrs

from ex4d_core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

LARGEST = 1e12
"""Largest magnitude of numbers in files; squares and products are finite in float32."""

_LONGEST = 100
"""Maximum number of characters of a value in an error; half of it for texts."""


class _Short(reprlib.Repr):
    """Short representations of values of any size and depth."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, _LONGEST // 2, _LONGEST

    def repr_int(self, x: int, level: int) -> str:
        text = repr(x) if x.bit_length() < 1000 else hex(x)  # Python does not convert very long numbers to decimals
        return text if len(text) <= _LONGEST // 2 else f"{text[: _LONGEST // 2]}..."


def shown(value: object) -> str:
    """Return the representation of a value in an error: one line of bounded length."""
    text = re.sub(r"\s*\n\s*", " ", _SHORT.repr(value))  # arrays have several lines
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


_SHORT = _Short()


def require(value: object, kind: type | UnionType, function: str, *, hint: str = "") -> None:
    """Check the type of an argument of a function; `hint` says how others are passed.

    Raises:
        InvalidInput: it has another type.
    """
    if not isinstance(value, kind):
        names = " or a ".join(each.__name__ for each in get_args(kind) or (kind,))
        raise InvalidInput(f"{function} takes a {names}, not {type(value).__name__}{hint and f'; {hint}'}")


@attrs.frozen(kw_only=True)
class Bounds:
    """Limits of a number; NaN is outside of all limits."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def __str__(self) -> str:
        """Return the limits in words, such as "between 0 and 1", or ''."""
        if self.at_least is not None and self.at_most is not None:
            return f"between {plain(self.at_least)} and {plain(self.at_most)}"
        words = {"at least": self.at_least, "more than": self.above, "at most": self.at_most, "less than": self.below}
        return " and ".join(f"{word} {plain(limit)}" for word, limit in words.items() if limit is not None)

    def fault(self, name: str, value: float, unit: str = "") -> str:
        """Return a sentence if a value is not a number, or outside of the limits, otherwise ''."""
        if isinstance(value, bool) or not isinstance(value, Real):
            return f"{name} must be a number, not {shown(value)}"
        if value != value or not self._allow(value):
            return f"{name} must be {f'{self} {unit}'.rstrip()}, not {plain(value)}"
        return ""

    def _allow(self, value: float) -> bool:
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


def plain(number: float) -> str:
    """Return a number as text: 1000000, 0.001, 1e+12."""
    return shown(number) if isinstance(number, int) else f"{number:.12g}"


def number(value: object, name: str, low: float = -LARGEST, high: float = LARGEST, *, unit: str = "") -> float:
    """Check a number from a file, and return it as float.

    Args:
        value: the value in the file.
        name: its name in the file.
        low: smallest valid value.
        high: largest valid value.
        unit: such as "pixels", for the error.

    Raises:
        InvalidInput: the value is not a number, or not between `low` and `high`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{name} must be a number, not {shown(value)}")
    if fault := _fault(value, name, low, high, unit):
        raise InvalidInput(fault)
    return float(value)


MOST_FPS = 1_000_000
"""Largest frame rate in Hz; file formats store numerator and denominator with 31 bits each."""


def frame_rate(value: Any) -> Fraction:
    """Return a frame rate in Hz as an exact fraction: 29.97 is 30000/1001.

    Raises:
        InvalidInput: it is not a number, or not above 0.
    """
    try:
        fps = _usual_rate(float(value)) if _is_rounded(value) else Fraction(value)
    except (TypeError, ValueError, ArithmeticError):  # not a number, NaN, infinity
        fps = Fraction(0)
    if not 0 < fps <= MOST_FPS:
        raise InvalidInput(f"fps must be a number of frames per second above 0, not {shown(value)}")
    return fps


def _is_rounded(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, Rational)


def _usual_rate(fps: float) -> Fraction:
    near = [rate for rate in (Fraction(n * 1000, 1001) for n in (24, 30, 60, 120)) if abs(rate - fps) < 0.005]
    return near[0] if near else Fraction(fps).limit_denominator(1000)


def whole(value: object, name: str, low: int = 0, high: int = 2**31 - 1, *, unit: str = "") -> int:
    """Check a whole number from a file, such as 64 or 64.0, and return it as int.

    Args:
        value: the value in the file.
        name: its name in the file.
        low: smallest valid value.
        high: largest valid value.
        unit: such as "pixels", for the error.

    Raises:
        InvalidInput: the value is not a whole number, or not between `low` and `high`.
    """
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value == value // 1)):
        raise InvalidInput(f"{name} must be a whole number, not {shown(value)}")
    if fault := _fault(value, name, low, high, unit):
        raise InvalidInput(fault)
    return int(value)


def spelled(text: str, name: str) -> float:
    """Parse a number, for formats that contain texts only.

    Raises:
        InvalidInput: the text is not a number.
    """
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput(f"{name} must be a number, not {shown(text)}") from error


def numbers(value: object, name: str, *, most: float = LARGEST) -> np.ndarray:
    """Check numbers from a file, an array or nested lists, and return them as float64 of the same shape.

    Args:
        value: the value in the file.
        name: its name in the file.
        most: largest valid magnitude.

    Raises:
        InvalidInput: a value is not a real number, not finite or too large.
    """
    import numpy as np  # not needed for options

    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of several lengths
        raise InvalidInput(f"{name} must contain lists of numbers of the same length") from error
    if array.dtype.kind not in "iuf":
        found = f", not {shown(value)}" if array.ndim == 0 else ", not texts or other values"
        raise InvalidInput(f"{name} must contain real numbers{found}")
    with np.errstate(all="ignore"):
        array = array.astype(np.float64)
        wrong = array[~(np.abs(array) <= most)]
    if wrong.size:
        raise InvalidInput(f"{name} must contain numbers of at most {plain(most)}, not {plain(float(wrong[0]))}")
    return array


def _fault(value: float, name: str, low: float, high: float, unit: str) -> str:
    return Bounds(at_least=low, at_most=high).fault(name, value, unit)


def parse_size(text: str) -> tuple[int, int] | None:
    """Return width and height of a text WIDTHxHEIGHT, or None if it is not such a text."""
    match = re.fullmatch(r"([0-9]{1,8})x([0-9]{1,8})", text.lower())
    return (int(match[1]), int(match[2])) if match else None
