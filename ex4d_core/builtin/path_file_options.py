"""Options of the `from_file` trajectory generator."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from ex4d_core.files import tree_hash
from ex4d_core.geometry.subject_spec import check_look_at
from ex4d_core.options import option


def _look_at(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    check_look_at(value)


@attrs.frozen
class PathFileOptions:
    """Options of a camera path from a file."""

    path: str = option(help="The file, or a COLMAP folder.", affects_output=False)  # its content does
    format: str | None = option(
        None,
        help="ex4d, json, csv, nerfstudio, blender, colmap, trajectorycrafter or recammaster; detected by default.",
    )
    camera: str | None = option(None, help="Camera of a ReCamMaster file that has several: 1 to 10, or its type.")
    convention: str | None = option(
        None, help="Convention of plain matrices: c2w-opencv, w2c-opencv, c2w-opengl or w2c-opengl."
    )
    start: Literal["file", "source"] = option(
        "file", help="'file': the file uses the world of the scene; 'source': its first camera is the source camera."
    )
    unit: Literal["scene", "subject"] = option(
        "scene", help="Unit of lengths: that of the depth, or the distance to the subject."
    )
    scale: float = option(1.0, help="Factor of lengths.", above=0, at_most=1e9)
    lens: Literal["file", "clip"] = option("file", help="Source of the intrinsics, if the file has some.")
    resample: bool = option(False, help="Resample the poses to the number of frames.")
    look_at: str = option(
        "auto",
        pixel=True,
        help="The subject, for lengths in its distance; as for camera moves.",
        validator=_look_at,
    )

    def fingerprint(self) -> str:
        """Return a hash of the content of the file, or of the names and contents in the folder.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: it cannot be read.
        """
        path = Path(self.path)
        return tree_hash(path if path.name not in ("images.txt", "cameras.txt") else path.parent, "camera file")
