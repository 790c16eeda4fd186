"""Options of the renderer."""

from __future__ import annotations

import attrs

from ex4d_core.builtin.render_options import ViewRange
from ex4d_core.options import option


@attrs.frozen
class NvdiffrastOptions(ViewRange):
    """What is drawn, and how its edges look."""

    near: float = option(
        1e-3,
        help="Surfaces nearer than this along the camera's axis are cut away; the larger, the better are far ones told "
        "apart, because nvdiffrast keeps 1 / depth with few digits.",
        unit="units of depth",
        validator=attrs.validators.gt(0),
    )
    antialias: bool = option(False, help="Blend colors and alpha along silhouettes, as EX-4D does.")
