"""Options of the renderer."""

from __future__ import annotations

import attrs

from ex4d_core.builtin.render_options import ViewRange
from ex4d_core.options import option


@attrs.frozen
class NvdiffrastOptions(ViewRange):
    """Options of `nvdiffrast`."""

    near: float = option(
        1e-3,
        help="Near plane: nearer surfaces are clipped. Larger values separate far surfaces better, because nvdiffrast "
        "stores 1 / depth with limited precision.",
        unit="units of depth",
        validator=attrs.validators.gt(0),
    )
    antialias: bool = option(False, help="Blend colors and alpha along silhouettes, as EX-4D does.")
