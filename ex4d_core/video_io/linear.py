"""Convert linear light, as in OpenEXR and Radiance HDR images, to sRGB."""

from __future__ import annotations

from functools import cache

import numpy as np

_STEPS = 2**14
"""Steps of the table over light; they are even in its square root, so that each is below 0.02 of a code."""


def srgb_codes(light: np.ndarray) -> np.ndarray:
    """Return uint8 codes of light with 1 for white: NaN and negative values are black, values above 1 white."""
    clean = np.fmin(np.fmax(light, np.float32(0)), np.float32(1))  # fmax(NaN, 0) is 0
    codes: np.ndarray = np.take(_table(), (np.sqrt(clean) * np.float32(_STEPS) + np.float32(0.5)).astype(np.int32))
    return codes


@cache
def _table() -> np.ndarray:
    """Return the codes of light by IEC 61966-2-1."""
    light = np.square(np.arange(_STEPS + 1) / _STEPS)
    codes = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    table: np.ndarray = np.rint(255 * codes).astype(np.uint8)
    return table
