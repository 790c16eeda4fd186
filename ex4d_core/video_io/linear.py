"""Convert linear light, as in OpenEXR and Radiance HDR images, to sRGB."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

BT709 = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
"""Chromaticities x and y of red, green, blue and white."""

_SAME_GAMUT = 0.002
"""Difference up to which chromaticities are equal."""

_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))

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


def to_bt709(chromaticities: Sequence[float]) -> np.ndarray | None:
    """Return the matrix from the primaries of an image to those of BT.709, white to white; None if they are equal.

    The matrices to XYZ are those of SMPTE RP 177, the adaptation of white is that of Bradford.

    Raises:
        ValueError: they are not eight numbers that span a gamut.
    """
    values = np.asarray(chromaticities, float)
    if values.shape != (8,) or not np.isfinite(values).all():
        raise ValueError("chromaticities are eight numbers")
    if np.abs(values - BT709).max() < _SAME_GAMUT:
        return None
    try:
        matrix: np.ndarray = np.linalg.inv(_to_adapted(np.asarray(BT709))) @ _to_adapted(values)
    except np.linalg.LinAlgError as error:
        raise ValueError("chromaticities span no gamut") from error
    return matrix


def _to_adapted(chromaticities: np.ndarray) -> np.ndarray:
    """Return the matrix from RGB to cone responses, relative to those of white."""
    x, y = chromaticities.reshape(4, 2).T
    colors = np.stack([x, y, 1 - x - y])
    white = colors[:, 3] / colors[1, 3]
    to_xyz = colors[:, :3] * np.linalg.solve(colors[:, :3], white)
    adapted: np.ndarray = np.asarray(_BRADFORD) @ to_xyz / (np.asarray(_BRADFORD) @ white)[:, None]
    return adapted
