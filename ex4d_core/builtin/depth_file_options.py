"""Options of the `file` depth estimator."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import attrs

from ex4d_core.errors import InvalidInput
from ex4d_core.files import tree_hash
from ex4d_core.geometry.inverse_depth_options import far_option, near_option
from ex4d_core.options import option

Kind = Literal["auto", "metric", "relative", "affine", "inverse"]

Fit = Literal["auto", "whole", "crop", "pad"]


BESIDE = (
    "fov.json",
    "calib.txt",
    "../camera",
    "../cameras.npz",
    "../metadata",
    "../metadata.json",
    "../camera_poses.txt",
    "../pose",
    "../intrinsic",
    "../intrinsics",
    "../depth.txt",
    "../groundtruth.txt",
)
"""Files and folders, relative to that of the maps, in which tools write intrinsics and poses."""


@attrs.frozen
class DepthFileOptions:
    """Options of precomputed depth."""

    path: str = option(
        help=(
            "A .npy or .npz array [T, H, W], a folder of PNG, TIFF, EXR, PFM, DPT, .npy or .npz files, a zip of "
            "images, a lossless depth video, or the output of a tool in docs/depth.md."
        ),
        affects_output=False,  # its content does, see fingerprint()
        path=True,
    )
    kind: Kind = option(
        "auto",
        help=(
            "Meaning of the values: metric (meters), relative (depth up to scale), affine (depth up to scale and "
            "shift, placed between depth.near and depth.far), inverse (disparity up to scale and "
            "shift), or auto: as the file or a name in it states, else metric; an error if the values "
            "are normalized or contradict the name."
        ),
        validator=attrs.validators.in_(("auto", "metric", "relative", "affine", "inverse")),
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
    fit: Fit = option(
        "auto",
        help=(
            "Part of the picture that maps of another shape show: whole (stretched), crop (its middle), pad (the "
            "picture between bars), or auto: whole up to rounded sides, or between bars of one value."
        ),
        validator=attrs.validators.in_(("auto", "whole", "crop", "pad")),
    )
    layer: str | None = option(
        None,
        help="Array of an archive or channel of EXR images. Default: found by its name.",
    )
    colormap: str | None = option(
        None,
        help=(
            "Colormap of matplotlib whose colors stand for 0..1, such as inferno or Spectral_r. Default: color "
            "pictures are refused."
        ),
        validator=attrs.validators.optional(attrs.validators.matches_re(r"[A-Za-z][A-Za-z0-9_]{0,40}")),
    )
    near: float = near_option()
    far: float = far_option()

    def resolved(self) -> DepthFileOptions:
        """Return options of the same effect, with the kind that the file states in place of `auto`."""
        from ex4d_core.depth_io.read import open_depth  # options are imported by all commands

        if self.kind != "auto":
            return self
        try:
            frames = open_depth(Path(self.path), layer=self.layer, colormap=self.colormap)
        except InvalidInput:  # the run reports it
            return self
        stated = "inverse" if frames.is_inverse else frames.kind and frames.kind.value
        known: dict[str | None, Kind] = {kind: kind for kind in get_args(Kind)}
        return attrs.evolve(self, kind=known.get(stated, "auto"))

    def fingerprint(self) -> str:
        """Return a hash of the content of the file or folder, and of the files beside it that tools write.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: it cannot be read, or is neither a folder nor a regular file.
        """
        path = Path(self.path)
        own = tree_hash(path, "depth file")
        beside = [path / name for name in BESIDE if (path / name).exists()] if path.is_dir() else []
        if path.suffix.lower() in (".zip", ".pfm", ".exr"):
            beside = [path.parent / name for name in BESIDE if (path.parent / name).exists()]
        return "-".join([own, *(tree_hash(file, "camera file") for file in beside)])
