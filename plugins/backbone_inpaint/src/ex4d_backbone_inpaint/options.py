"""Options of the `inpaint` backbone; imports nothing heavy."""

from __future__ import annotations

import attrs

from ex4d_core.options import option


@attrs.frozen
class InpaintOptions:
    """Options of the `inpaint` backbone."""

    scene_frames: int = option(
        24,
        help="Number of frames from which the static scene is modeled; 0 fills holes from their surroundings only.",
        unit="frames",
        former="other_frames",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(1000)),
    )
    tolerance: float = option(
        0.06,
        help="Relative depth difference up to which two points are the same; increase it for depth that flickers.",
        unit="ratio",
        validator=attrs.validators.and_(attrs.validators.gt(0), attrs.validators.lt(1)),
    )
    steadiness: int = option(
        3,
        help="Radius in frames of the temporal smoothing of fills without a scene; 0 disables it.",
        unit="frames",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(30)),
    )
