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
    """A camera path that another program, or this one, has saved."""

    path: str = option(help="The file, or a folder of COLMAP's.", affects_output=False)  # what is in it does
    format: str | None = option(
        None,
        help="ex4d, json, csv, nerfstudio, blender, colmap, trajectorycrafter or recammaster; by default it is seen.",
    )
    camera: str | None = option(None, help="Which camera, where ReCamMaster's file has several: 1 to 10, or its type.")
    convention: str | None = option(
        None, help="What bare matrices mean: c2w-opencv, w2c-opencv, c2w-opengl or w2c-opengl."
    )
    start: Literal["file", "source"] = option(
        "file", help="'file': the world of the file is ours; 'source': its first camera becomes the source camera."
    )
    unit: Literal["scene", "subject"] = option(
        "scene", help="What its lengths count: units of the depth, or distances to the subject."
    )
    scale: float = option(1.0, help="Multiplies its lengths.", above=0, at_most=1e9)
    lens: Literal["file", "clip"] = option("file", help="Which lens to look through, where the file has one.")
    resample: bool = option(False, help="Spread its poses over the clip where there are more or fewer of them.")
    look_at: str = option(
        "auto",
        pixel=True,
        help="What the subject is, for lengths that count in its distance; as for moves.",
        validator=_look_at,
    )

    def fingerprint(self) -> str:
        """Return a hash of the file's contents, or of the names and contents in the folder.

        Raises:
            InputNotFound: there is no such file.
            InvalidInput: it cannot be read.
        """
        path = Path(self.path)
        return tree_hash(path if path.name not in ("images.txt", "cameras.txt") else path.parent, "camera file")
