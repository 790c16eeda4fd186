"""The declaration of a metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
"""uint8 [T, H, W, 3], sRGB."""
Region = NDArray[np.bool_]
"""bool [T, H, W], True where pixels count."""
Measured = Mapping[str, NDArray[np.float64] | float]
"""By column: one value per frame, NaN where it is undefined, or a single value of the video."""

MISSING = "not computed"
"""Start of a note that says why a metric is missing."""


def _always() -> str:
    return ""


@attrs.frozen(kw_only=True)
class Column:
    """One number in the tables."""

    name: str
    label: str
    unit: str = ""
    better: Literal["higher", "lower"]
    definition: str
    """One sentence, printed with the numbers."""


@attrs.frozen(kw_only=True)
class Metric:
    """A metric of a video, measured against a reference."""

    name: str
    columns: tuple[Column, ...]
    against: Literal["truth", "guidance", "nothing"]
    """The reference: the true video, the guidance in its visible region, or none."""
    by_region: bool = False
    """Whether it is measured for each region, too."""
    measure: Callable[[Frames, Frames, Region], Measured]
    """Takes the video, its reference (the video itself if it is measured against nothing), and the region."""
    unavailable: Callable[[], str] = _always
    """Returns why it cannot be computed here, with what to install, or ''."""
