"""Options of the `from_file` trajectory generator."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from ex4d_core.errors import Ex4dError
from ex4d_core.geometry.subject_spec import check_look_at
from ex4d_core.options import option


def _look_at(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    check_look_at(value)


@attrs.frozen
class PathFileOptions:
    """Options of a camera path from a file."""

    path: str = option(help="The file, or a COLMAP folder.", affects_output=False, path=True)  # its content does
    format: str | None = option(
        None,
        help="Name of the format, as in docs/cameras.md; detected from the content by default.",
    )
    camera: str | None = option(None, help="Camera of a file that has several: its name, folder or number.")
    convention: str | None = option(
        None, help="Convention of plain matrices: c2w-opencv, w2c-opencv, c2w-opengl or w2c-opengl."
    )
    start: Literal["auto", "file", "source"] = option(
        "auto",
        help="'file': the file uses the world of the scene; 'source': its first camera is the source camera; 'auto': "
        "the world of --source-cameras if both files are of one format with a world of its own, otherwise 'file'.",
    )
    unit: Literal["scene", "subject"] = option(
        "scene", help="Unit of lengths: that of the depth, or the distance to the subject."
    )
    scale: float = option(1.0, help="Factor of lengths.", above=0, at_most=1e9)
    lens: Literal["file", "clip"] = option("file", help="Source of the intrinsics, if the file has some.")
    resample: bool = option(False, help="Resample the poses to the number of frames.")
    fill: Literal["interpolate", "none"] | None = option(
        None,
        help="Frames without a pose: 'interpolate', or 'none' to treat the poses as consecutive; an error by default.",
    )
    source_cameras: str | None = option(
        None, help="The source cameras, by default those of the run.", affects_output=False
    )
    elevation: float = option(
        5.0, help="Elevation of the source camera in degrees, for ViewCrafter.", at_least=-89, at_most=89
    )
    look_at: str = option(
        "auto",
        pixel=True,
        help="The subject, for lengths in its distance; as for camera moves.",
        validator=_look_at,
    )

    def ignored(self) -> tuple[str, ...]:
        """Return the options without effect: the subject, unless lengths are in its distance."""
        from ex4d_core.cameras.files import ReadOptions, read_camera_path  # options are imported by all commands

        if self.unit == "subject":
            return ()
        reading = ReadOptions(camera=self.camera, convention=self.convention, elevation=self.elevation)
        try:
            one, two = (
                read_camera_path(Path(self.path), attrs.evolve(reading, distance=distance), format=self.format)
                for distance in (1.0, 2.0)
            )
        except Ex4dError:  # the run reports it
            return ()
        return ("look_at",) if (one.world_to_camera == two.world_to_camera).all() else ()

    def fingerprint(self) -> str:
        """Return a hash of the content of the file and of those that it is read with.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: it cannot be read.
        """
        from ex4d_core.cameras.files import ReadOptions, content_hash  # options are imported by all commands

        reading = ReadOptions(camera=self.camera, convention=self.convention, elevation=self.elevation)
        return content_hash(Path(self.path), reading, format=self.format)
