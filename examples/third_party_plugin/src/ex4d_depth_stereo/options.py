"""What users can set: `--set depth.right=right.mp4`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, get_args

import attrs

from ex4d_core.errors import InputNotFound
from ex4d_core.options import option

Layout = Literal["whole", "side-by-side", "top-bottom"]


def _odd(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1 or value % 2 == 0:
        raise ValueError(f"block must be an odd number of pixels, not {value}")


@attrs.frozen
class StereoOptions:
    """Options of `stereo`. The clip is what the left eye sees."""

    right: str = option(
        help="Video that has the right eye's pictures: one of its own, or the stereo video that the clip is a half of.",
        affects_output=False,  # what is in it does: the fingerprint
    )
    layout: Layout = option(
        "whole",
        help="Where they are in its frames: whole, side-by-side (the right half), top-bottom (the lower half).",
        validator=attrs.validators.in_(get_args(Layout)),
    )
    baseline: float | None = option(
        None,
        help="Distance between the eyes; with it the depth is metric, without it relative.",
        unit="meters",
        validator=attrs.validators.optional(attrs.validators.gt(0)),
    )
    focal: float | None = option(
        None,
        help="Focal length of the clip as it was filmed; without it the field of view is taken for 54.2 degrees.",
        unit="pixels",
        validator=attrs.validators.optional(attrs.validators.gt(0)),
    )
    disparities: int = option(
        0,
        help="How far apart the two pictures of a point may be, made a multiple of 16; 0 is an eighth of the width.",
        unit="pixels",
        validator=attrs.validators.ge(0),
    )
    block: int = option(5, help="Side of the squares that are compared, an odd number.", unit="pixels", validator=_odd)
    tolerance: float = option(
        1.0,
        help="Depth is valid where what the left eye finds and what the right eye finds differ by no more.",
        unit="pixels",
        validator=attrs.validators.gt(0),
    )

    def fingerprint(self) -> str:
        """Return a hash of what is in the file, so that depth is estimated anew when that changes.

        Raises:
            InputNotFound: there is no such file.
        """
        path = Path(self.right)
        if not path.is_file():
            raise InputNotFound(f"there is no video {path}; give the right eye's by --set depth.right=FILE")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
