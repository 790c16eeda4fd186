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
    """Options of precomputed depth."""

    path: str = option(
        help=(
            "A .npy or .npz array [T, H, W], a folder of 16-bit PNG, EXR or .npy files, or a lossless 16-bit depth "
            "video."
        ),
        affects_output=False,  # its content does, see fingerprint()
    )
    kind: Kind = option(
        "auto",
        help=(
            "Meaning of the values: metric (meters), relative (depth up to scale), inverse (disparity up to scale and "
            "shift), or auto: as stated in the file or by the name of its array, else metric; an error if all values "
            "lie between 0 and 1."
        ),
        validator=attrs.validators.in_(("auto", "metric", "relative", "inverse")),
    )
    scale: float | None = option(
        None,
        help=(
            "Size of one unit of the file. Default: as stated in the file, else a millimeter for integers and a meter "
            "for floats."
        ),
        unit="meters",
        validator=attrs.validators.optional(attrs.validators.gt(0)),
    )
    near: float = near_option()
    far: float = far_option()

    def fingerprint(self) -> str:
        """Return a hash of the content of the file, or of the names and contents in the folder.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: it cannot be read, or is neither a folder nor a regular file.
        """
        return tree_hash(Path(self.path), "depth file")
