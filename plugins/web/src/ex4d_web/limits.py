"""Limits of what a user of the app can ask for; the command sets them."""

from __future__ import annotations

import math
from pathlib import Path

import attrs

from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidInput

MOST_TEXT = 2000
"""Largest number of characters of a path and of a prompt."""


@attrs.frozen(kw_only=True)
class Limits:
    """Limits of uploads, clips and jobs."""

    upload_mb: int = 200
    """Size of an uploaded file in MB (10^6 bytes)."""
    frames: int = 121
    """Frames of the selected part of a clip."""
    side: int = 960
    """Longer side of the frames that are worked on, in pixels."""
    minutes: float = 60
    """Duration of a job."""
    waiting: int = 20
    """Jobs that wait at the same time."""
    hours: float = 24
    """Time after which the files of a clip that nobody uses are removed."""

    @property
    def upload_bytes(self) -> int:
        """Size of an uploaded file in bytes."""
        return self.upload_mb * 10**6

    def check_upload(self, path: Path) -> None:
        """Check the size of an uploaded file.

        Raises:
            InvalidInput: it is empty or too large.
        """
        size = path.stat().st_size
        if size == 0:
            raise InvalidInput(f"{path.name} is empty; upload it again")
        if size > self.upload_bytes:
            raise InvalidInput(
                f"{path.name} has {size / 1e6:.0f} MB; at most {self.upload_mb} MB can be uploaded, so shorten it first"
            )

    def check_selection(self, frames: int, side: int) -> None:
        """Check the number of selected frames, and their longer side in pixels.

        Raises:
            InvalidInput: it is too large.
        """
        if frames > self.frames:
            raise InvalidInput(f"{frames} frames are selected; at most {self.frames} are allowed, so select fewer")
        if side > self.side:
            raise InvalidInput(f"frames of {side} pixels are selected; at most {self.side} are allowed")


def whole(value: object, what: str) -> int:
    """Return a number that a client sent as a whole number.

    Raises:
        InvalidInput: it is not a number, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput(f"{what} must be a number, not {shown(value)}")
    return int(value)
