"""Options of the `inpaint` backbone; imports nothing heavy."""

from __future__ import annotations

import attrs

from ex4d_core.options import option


@attrs.frozen
class InpaintOptions:
    """Options of the preview that fills holes without a generative model."""

    other_frames: int = option(
        8,
        help="How many other frames to look for hidden things in, for each frame; 0 fills from the surroundings only.",
        unit="frames",
        validator=attrs.validators.ge(0),
    )
    tolerance: float = option(
        0.04,
        help="How far two depths of one point may be apart, as a share of the depth; raise it for depth that flickers.",
        unit="ratio",
        validator=attrs.validators.and_(attrs.validators.gt(0), attrs.validators.lt(1)),
    )
    steadiness: int = option(
        3,
        help="How many frames before and after a frame its fill from the surroundings is smoothed over; 0: none.",
        unit="frames",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(30)),
    )
