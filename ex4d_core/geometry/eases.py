"""Speed curves of camera moves; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable

EASES: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "in": lambda t: t * t,
    "out": lambda t: t * (2 - t),
    "smooth": lambda t: t * t * (3 - 2 * t),
}
"""Constant speed; slow start; slow end; slow start and end. Each at most doubles the speed."""
