"""Options of the `inpaint` backbone; imports nothing heavy."""

from __future__ import annotations

import attrs

from ex4d_core.options import option


@attrs.frozen
class InpaintOptions:
    """Options of the `inpaint` backbone."""

    other_frames: int = option(
        8,
        help="Number of other frames to search for hidden regions of a frame; 0 fills from the surroundings only.",
        unit="frames",
        validator=attrs.validators.ge(0),
    )
    tolerance: float = option(
        0.04,
        help="Relative depth difference up to which two points are the same; increase it for depth that flickers.",
        unit="ratio",
        validator=attrs.validators.and_(attrs.validators.gt(0), attrs.validators.lt(1)),
    )
    steadiness: int = option(
        3,
        help="Radius in frames of the temporal smoothing of fills from the surroundings; 0 disables it.",
        unit="frames",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(30)),
    )
