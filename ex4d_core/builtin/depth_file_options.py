"""Options of the depth that is read from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs

from ex4d_core.errors import InputNotFound
from ex4d_core.files import tree_hash
from ex4d_core.options import option

Kind = Literal["auto", "metric", "relative", "inverse"]

NEAREST = 10000 / 3900
"""Depth of the nearest point of affine-inverse depth: 2.564, as EX-4D was trained with."""


def _above_near(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > instance.near:
        raise ValueError(f"far must be more than near ({instance.near:g}), not {value:g}")


@attrs.frozen
class DepthFileOptions:
    """Depth that another program made."""

    path: str = option(
        help=(
            "A .npy or .npz array [T, H, W], a folder of 16-bit PNG, EXR or .npy files, or a lossless 16-bit depth "
            "video."
        ),
        decides=False,  # what is in it does: the fingerprint
    )
    kind: Kind = option(
        "auto",
        help=(
            "What the numbers mean: metric (metres), relative (right up to scale), inverse (near is large, known up to "
            "scale and shift), or auto: what the file says or its array is called, else metric, unless all lie "
            "between 0 and 1."
        ),
        validator=attrs.validators.in_(("auto", "metric", "relative", "inverse")),
    )
    scale: float | None = option(
        None,
        help=(
            "What one unit of the file is; unless given or said by the file, whole numbers are millimetres and "
            "fractions are metres."
        ),
        unit="metres",
        validator=attrs.validators.optional(attrs.validators.gt(0)),
    )
    near: float = option(
        NEAREST,
        help="Depth that the nearest point of inverse depth gets.",
        unit="scene units",
        validator=attrs.validators.gt(0),
    )
    far: float = option(
        100.0,
        help=(
            "Depth that inverse depth is cut off at, where it would run to infinity; 100 is where the mesh's border "
            "ring lies, so nothing is behind it."
        ),
        unit="scene units",
        validator=_above_near,
    )

    def fingerprint(self) -> str:
        """Return a hash of the file's contents, or of the names and contents in the folder.

        Raises:
            InputNotFound: there is no such file.
        """
        path = Path(self.path)
        if not path.exists():
            raise InputNotFound(f"the depth file {path} does not exist; check the path given to --depth-file")
        return tree_hash(path)
