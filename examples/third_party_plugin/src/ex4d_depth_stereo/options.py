"""Options, such as `--set depth.right=right.mp4`."""

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
    """Options of `stereo`. The clip is the left view."""

    right: str = option(
        help="Video with the right view: a separate one, or the stereo video from which the clip was extracted.",
        affects_output=False,  # its content does, see fingerprint()
        path=True,
    )
    layout: Layout = option(
        "whole",
        help="Place of the right view in its frames: whole, side-by-side (right half), top-bottom (lower half).",
        validator=attrs.validators.in_(get_args(Layout)),
    )
    baseline: float | None = option(
        None,
        help="Distance between the cameras, for metric depth; relative depth without it.",
        unit="meters",
        validator=attrs.validators.optional(attrs.validators.gt(0)),
    )
    focal: float | None = option(
        None,
        help="Focal length of the source video; a field of view of 54.2 degrees by default.",
        unit="pixels",
        validator=attrs.validators.optional(attrs.validators.gt(0)),
    )
    disparities: int = option(
        0,
        help="Largest disparity, rounded up to a multiple of 16; 0 is an eighth of the width.",
        unit="pixels",
        validator=attrs.validators.ge(0),
    )
    block: int = option(5, help="Side of the compared squares, an odd number.", unit="pixels", validator=_odd)
    tolerance: float = option(
        1.0,
        help="Largest difference of the disparities of both directions at valid pixels.",
        unit="pixels",
        validator=attrs.validators.gt(0),
    )

    def fingerprint(self) -> str:
        """Return a hash of the file, so that depth is estimated again if it changes.

        Raises:
            InputNotFound: the file does not exist.
        """
        path = Path(self.right)
        if not path.is_file():
            raise InputNotFound(f"the video {path} does not exist; pass the right view with --set depth.right=FILE")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
