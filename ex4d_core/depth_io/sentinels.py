"""Values of depth files that are not distances: sky, which is infinitely far, and unknown depth."""

from __future__ import annotations

import attrs
import numpy as np

from ex4d_core.depth_io.frames import Unit

SKY_LEAST = 1e10
"""Renderers write 1e10 (Blender) or more, up to infinity, where there is no surface."""

HALF_MOST = 65504.0
"""Largest half float, to which larger distances are clamped."""

INTEGER_MOST = (65535.0, 4294967296.0)
"""Largest 16-bit and 32-bit integers (the latter as float32), unknown if they stand alone above all other values."""

_GAP = 0.99
"""Largest other value, in parts of a sentinel, for which that is not a distance."""

_INVERSE_GAP = 0.1
"""The same for any largest number in disparity, as tools divide by almost 0 where depth is unknown."""

_INVERSE_SHARE = 0.001
"""Smallest part of disparity that is a marker; the nearest pixel of normalized disparity is not."""


@attrs.frozen(eq=False, kw_only=True)
class Separated:
    """The values of a clip, and the places of those that are not distances."""

    known: np.ndarray
    """bool [T, H, W]: a distance or disparity."""
    sky: np.ndarray
    """bool [T, H, W]: infinitely far."""
    notes: tuple[str, ...]
    """Counts in words."""
    lone: float | None = None
    """Negative number that marks unknown values."""
    marker: float = np.inf
    """Least number that marks unknown disparity."""


def separate(
    numbers: np.ndarray,
    inside: np.ndarray,
    unit: Unit,
    *,
    is_inverse: bool,
    full_range: bool = False,
    is_shifted: bool = False,
) -> Separated:
    """Separate distances, sky and unknown values.

    In depth, infinity, values from `SKY_LEAST` and a lone `HALF_MOST` are sky; NaN, 0, one negative number and a lone
    largest integer are unknown. In disparity, 0 is infinitely far, and so valid: sky is 0. Infinity, values from
    `SKY_LEAST`, a lone `HALF_MOST` or largest integer, a number far above all others, NaN and one negative number
    are unknown.

    Args:
        numbers: float32 [T, H, W], as in the file.
        inside: bool [T, H, W], False outside the maps and where the file says that there is no value.
        unit: type of the values.
        is_inverse: whether they are disparity.
        is_shifted: whether 0 is only the smallest value, as in depth up to scale and shift.
        full_range: whether the file states a scale that uses the largest integer for a distance.
    """
    known = inside & np.isfinite(numbers)
    sky = np.zeros(numbers.shape, bool)
    unknown: dict[str, int] = {}

    def take(mask: np.ndarray, name: str) -> None:
        if not mask.any():
            return
        if count := int((mask & inside).sum()):
            unknown[name] = count
        np.logical_and(known, ~mask, out=known)

    take(np.isnan(numbers), "NaN")
    if (lone := _lone_negative(numbers, known)) is not None:
        take(numbers == lone, f"{lone:g}")
    most = HALF_MOST if unit == "float" else next((top for top in INTEGER_MOST if (numbers == top).any()), np.inf)
    is_marked = unit != "normalized" and not full_range
    if is_inverse:
        take(np.isinf(numbers), "infinite")
        take(known & (numbers >= SKY_LEAST), f"from {SKY_LEAST:g}")
        marker = _marker(numbers, known, most if is_marked else np.inf)
        take(known & (numbers == marker), f"{marker:g}")
        return Separated(known=known, sky=sky, notes=_notes(sky, unknown), lone=lone, marker=marker)
    take(numbers == -np.inf, "-infinite")
    sky |= inside & (numbers >= SKY_LEAST)
    known &= ~sky
    if is_marked and _stands_alone(numbers, known, most):
        if unit == "float":
            sky |= known & (numbers == most)
            known &= ~sky
        else:
            take(numbers == most, f"{most:.0f}")
    if not is_shifted:
        take(numbers == 0, "0")
    return Separated(known=known, sky=sky, notes=_notes(sky, unknown), lone=lone)


def _marker(numbers: np.ndarray, known: np.ndarray, most: float) -> float:
    """Return the largest number of disparity if it marks unknown values, else infinity."""
    positive = known & (numbers > 0)
    top = float(numbers[positive].max(initial=0))
    gap = _GAP if top == most else _INVERSE_GAP
    return top if _stands_alone(numbers, positive, top, share=_INVERSE_SHARE, gap=gap) else np.inf


def _lone_negative(numbers: np.ndarray, known: np.ndarray) -> float | None:
    """Return the negative number that marks unknown values, if all negative values are equal and others are not."""
    below = known & (numbers < 0)
    negative = numbers[below] if below.any() else numbers[:0].ravel()
    if negative.size < 2 or negative.min() != negative.max() or negative.size == int(known.sum()):
        return None
    return float(negative[0])


def _stands_alone(numbers: np.ndarray, known: np.ndarray, most: float, *, share: float = 0, gap: float = _GAP) -> bool:
    if not (known & (numbers == most)).any():
        return False
    values = numbers[known]
    if not int((values == most).sum()) > share * values.size:
        return False
    others = values[values < most]
    return bool(others.size) and float(others.max()) < gap * most and not (values > most).any()


def _notes(sky: np.ndarray, unknown: dict[str, int]) -> tuple[str, ...]:
    total = sky.size
    notes = [f"sky: {_share(int(sky.sum()), total)}"] if sky.any() else []
    if unknown:
        counts = ", ".join(f"{_share(count, total)} {name}" for name, count in unknown.items())
        notes.append(f"unknown: {counts}")
    return tuple(notes)


def _share(count: int, total: int) -> str:
    return f"{max(count / total, 0.001):.1%}"
