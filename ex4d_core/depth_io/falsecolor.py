"""Colors that stand for depth: recognize the colormap, and invert it on request."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import attrs
import numpy as np

from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidConfig, InvalidInput, nearest

COLORMAPS = (
    "inferno",
    "magma",
    "plasma",
    "viridis",
    "cividis",
    "turbo",
    "jet",
    "Spectral",
    "hot",
    "bone",
    "rainbow",
    "gist_rainbow",
    "hsv",
)
"""Colormaps of matplotlib that tools use for depth."""

_STEPS = 256

GRAY_CHROMA = 12
"""Largest difference of the channels of gray, in levels, after lossy compression."""

_CLEAR_CHROMA = 24
"""Chroma from which a color tells colormaps apart; dark and masked pixels are near all that begin at black."""

_NEAR = 12.0
"""Largest distance from a colormap in levels at its 95th percentile; measured up to 6 after H.264 or JPEG."""

_MOST_SAMPLES = 20_000


@attrs.frozen(kw_only=True)
class Colors:
    """How color pictures are read: refused, or as values of a colormap."""

    colormap: str | None = None
    """Name in matplotlib; the result is 0 at its first and 1 at its last color."""

    def decode(self, image: np.ndarray, path: Path) -> np.ndarray:
        """Return a picture, uint8 [h, w, 3], RGB, as values of 0..1, float32 [h, w].

        Raises:
            InvalidConfig: the colormap is unknown.
            InvalidInput: it has colors and no colormap is given, or the colors are not those of the colormap.
        """
        if self.colormap is not None:
            return _inverted(image, self.colormap, path)
        if is_gray(image):
            return np.asarray(image[..., 1].astype(np.float32) / 255)
        name = nearest_colormap(image)
        if name is None:
            raise in_color(path)
        raise InvalidInput(
            f"{path} shows depth in the colors of {name}; use the numbers that the tool saves, or invert it with "
            f"--set depth.colormap={name}, or {name}_r if its order is reversed, and --depth-kind"
        )


def in_color(path: Path) -> InvalidInput:
    """Return the error for colors that are not those of a colormap."""
    return InvalidInput(f"{path} is in color, so it is not depth; use gray depth maps or the numbers of the tool")


def is_gray(image: np.ndarray) -> bool:
    """Return whether the channels of a picture [h, w, 3] are equal up to lossy compression."""
    return bool(np.percentile(_chroma(image), 99) <= GRAY_CHROMA)


def nearest_colormap(image: np.ndarray) -> str | None:
    """Return the colormap whose colors a picture has, or None."""
    pixels = image.reshape(-1, 3)
    pixels = pixels[:: max(1, len(pixels) // _MOST_SAMPLES)]
    clear = pixels[_chroma(pixels) > _CLEAR_CHROMA]
    if len(clear) < 16:
        return None
    distance = {name: float(np.percentile(_nearest(clear, name)[0], 95)) for name in COLORMAPS}
    best = min(distance, key=lambda name: distance[name])
    return best if distance[best] <= _NEAR else None


def _inverted(image: np.ndarray, name: str, path: Path) -> np.ndarray:
    pixels = image.reshape(-1, 3)
    distance, index = _nearest(pixels, name)
    if np.percentile(distance[_chroma(pixels) > _CLEAR_CHROMA] if len(distance) else distance, 90) > 2 * _NEAR:
        raise InvalidInput(f"{path} does not have the colors of {name}; set depth.colormap to the map that it shows")
    values = np.where(distance > 3 * _NEAR, np.nan, index / (_STEPS - 1))
    return values.astype(np.float32).reshape(image.shape[:2])


def _nearest(pixels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance of each color from a colormap in levels, and its nearest step."""
    from scipy.spatial import cKDTree

    distance, index = cKDTree(_table(name)).query(pixels.astype(np.float32))
    return distance / np.sqrt(3), index


@lru_cache(maxsize=32)
def _table(name: str) -> np.ndarray:
    """Return the colors of a colormap, float [256, 3], in levels.

    Raises:
        InvalidConfig: matplotlib has no such colormap.
    """
    import matplotlib

    if name not in matplotlib.colormaps:
        raise InvalidConfig(f"matplotlib has no colormap {shown(name)}{nearest(name, matplotlib.colormaps)}")
    colors: np.ndarray = matplotlib.colormaps[name](np.linspace(0, 1, _STEPS))[:, :3] * 255
    return colors


def _chroma(image: np.ndarray) -> np.ndarray:
    return np.asarray(image.max(axis=-1).astype(np.int16) - image.min(axis=-1))
