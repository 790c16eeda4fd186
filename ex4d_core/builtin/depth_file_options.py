"""Options of the `file` depth estimator."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from ex4d_core.files import tree_hash
from ex4d_core.geometry.inverse_depth_options import far_option, near_option
from ex4d_core.options import option

Kind = Literal["auto", "metric", "relative", "inverse"]


@attrs.frozen
class DepthFileOptions:
    """Depth that another program made."""

    path: str = option(
        help=(
            "A .npy or .npz array [T, H, W], a folder of 16-bit PNG, EXR or .npy files, or a lossless 16-bit depth "
            "video."
        ),
        affects_output=False,  # what is in it does: the fingerprint
    )
    kind: Kind = option(
        "auto",
        help=(
            "What the numbers mean: metric (meters), relative (right up to scale), inverse (near is large, known up to "
            "scale and shift), or auto: what the file says or its array is called, else metric, unless all lie "
            "between 0 and 1."
        ),
        validator=attrs.validators.in_(("auto", "metric", "relative", "inverse")),
    )
    scale: float | None = option(
        None,
        help=(
            "What one unit of the file is; unless given or said by the file, whole numbers are millimeters and "
            "fractions are meters."
        ),
        unit="meters",
        validator=attrs.validators.optional(attrs.validators.gt(0)),
    )
    near: float = near_option()
    far: float = far_option()

    def fingerprint(self) -> str:
        """Return a hash of the file's contents, or of the names and contents in the folder.

        Raises:
            InputNotFound: there is no such file.
            InvalidInput: it cannot be read, or is neither a folder nor a regular file.
        """
        return tree_hash(Path(self.path), "depth file")
