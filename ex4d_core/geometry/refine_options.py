"""Options of the refinement of depth; imports nothing heavy."""

from __future__ import annotations

import attrs

from ex4d_core.options import option


@attrs.frozen(kw_only=True)
class RefineOptions:
    """Refinement of estimated depth by the colors of the frames, before meshes are built."""

    enabled: bool = option(True, help="Refine depth; false uses it as estimated.")
    fill: bool = option(
        True, help="Fill unknown depth from known depth of similar color nearby; else those regions are hidden."
    )
    radius: int = option(
        3,
        help="Largest distance by which depth edges move to color edges; 0 leaves edges as they are.",
        unit="pixels",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(15)),
    )
    even_thin: bool = option(
        True,
        help="Make depth even along thin things, such as posts, where only its order is known; false leaves it.",
    )
