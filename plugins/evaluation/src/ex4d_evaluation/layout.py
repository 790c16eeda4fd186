"""Files of an evaluation folder.

cases/CLIP__CAMERA/     truth.*, known.*, covisible.*, source.*: videos; camera.*, source_camera.*: paths
results/METHOD/         CLIP__CAMERA.mp4: videos of a method; METHOD@SEED for one of several seeds
cameras/METHOD/         CLIP__CAMERA.*: camera paths estimated from these videos
manifest.json           cases and settings, if `ex4d eval run` made the folder
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import attrs

from ex4d_core.errors import InputNotFound, InvalidInput, nearest
from ex4d_core.names import natural_key
from ex4d_core.reading import check_folder, read_json
from ex4d_core.runs.batch import VIDEO_SUFFIXES

GEOMETRY = "geometry only"
"""Method whose videos are the guidance itself."""
SOURCE = "source"
"""Folder in `cameras/` with paths that the same estimator found in the source clips."""
ESTIMATOR = "estimator.json"
"""File in `cameras/` that names the estimator of all paths, if `ex4d eval cameras` wrote them."""
SEPARATOR, OF_SEED = "__", "@"
MANIFEST = "manifest.json"
KEYS = "guidance_keys.json"
"""File of a case with the key of the guidance of each method."""
RANGES = {"small": "0..30", "large": "0..60", "extreme": "0..90", "full": "-90..90"}
"""Ranges of the table of EX-4D, in degrees from the source camera; the names are those of camera paths."""


@attrs.frozen(kw_only=True)
class Case:
    """A clip seen from one camera path."""

    name: str
    """CLIP__CAMERA."""
    folder: Path
    """Folder of its references, which need not exist."""

    @property
    def clip(self) -> str:
        """Name of the clip."""
        return self.name.rpartition(SEPARATOR)[0]

    @property
    def camera(self) -> str:
        """Name of the camera path."""
        return self.name.rpartition(SEPARATOR)[2]

    def video(self, name: str) -> Path | None:
        """Return a reference video, or folder of images, or None if there is none."""
        return next((path for path in self._named(name) if path.is_dir() or is_video(path)), None)

    def camera_file(self, name: str) -> Path | None:
        """Return a reference camera file, or None if there is none."""
        return next((path for path in self._named(name) if not is_video(path)), None)

    def _named(self, stem: str) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"{stem}*") if path.stem == stem)


def guidance_keys(case: Path) -> dict[str, str]:
    """Return the key of the guidance that each method was run with, in the order of the runs.

    Args:
        case: folder of the case, in which `ex4d eval run` writes the keys.
    """
    try:
        keys = read_json(case / KEYS, "keys of guidance")
    except (InputNotFound, InvalidInput):
        return {}
    return {str(method): str(key) for method, key in keys.items()} if isinstance(keys, dict) else {}


def is_video(path: Path) -> bool:
    """Return whether a file has the suffix of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def method_of(results: str) -> str:
    """Return the method of a folder METHOD or METHOD@SEED."""
    return results.rpartition(OF_SEED)[0] or results


@attrs.frozen(slots=False)
class Evaluation:
    """An evaluation folder."""

    folder: Path

    @cached_property
    def results(self) -> dict[str, dict[str, Path]]:
        """The videos of each method, and of each of its seeds if it has several, by the name of their case.

        Raises:
            InputNotFound: the folder does not exist, or has no results.
            InvalidInput: a name is not CLIP__CAMERA, or two videos have the same name.
        """
        check_folder(self.folder, "evaluation folder")
        root = self.folder / "results"
        methods = {path.name: _videos(path) for path in _sorted(root.glob("*")) if path.is_dir()}
        methods = {method: videos for method, videos in methods.items() if videos}
        if not methods:
            raise InputNotFound(
                f"{root} has no videos; create them with ex4d eval run, or store those of a method as "
                f"{root / 'METHOD' / 'CLIP__CAMERA.mp4'}"
            )
        return methods

    def chosen(self, methods: Iterable[str] | None) -> list[str]:
        """Return the folders of results of these methods, with all their seeds; by default all.

        Raises:
            InputNotFound: a method has no results.
            InvalidInput: the results are not named properly.
        """
        names = list(dict.fromkeys(methods or self.results))
        found: dict[str, list[str]] = {}
        for name in names:
            found[name] = [each for each in self.results if name in (each, method_of(each))]
            if not found[name]:
                guess = nearest(name, self.results, then=f"methods: {', '.join(self.results)}")
                raise InputNotFound(f"{self.folder / 'results'} has no method {name!r}{guess}")
        return list(dict.fromkeys(each for each_of in found.values() for each in each_of))

    @cached_property
    def cases(self) -> dict[str, Case]:
        """All cases by name: those with references, and those of results."""
        known = [path.name for path in (self.folder / "cases").glob(f"*{SEPARATOR}*") if path.is_dir()]
        names = {*known, *(name for videos in self.results.values() for name in videos)}
        return {name: Case(name=name, folder=self.folder / "cases" / name) for name in sorted(names, key=natural_key)}

    def estimated_camera(self, method: str, case: Case) -> Path | None:
        """Return the file of the camera path that was estimated from a video, or None if there is none."""
        files = _sorted((self.folder / "cameras" / method).glob(f"{case.name}*"))
        return next((path for path in files if path.stem == case.name or path.name == case.name), None)


def _sorted(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: natural_key(path.name))


def _videos(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _sorted(path for path in folder.iterdir() if is_video(path)):
        clip, _, camera = path.stem.rpartition(SEPARATOR)
        if not clip or not camera:
            raise InvalidInput(f"{path} must be named CLIP{SEPARATOR}CAMERA{path.suffix}")
        if path.stem in found:
            raise InvalidInput(f"{found[path.stem]} and {path} are videos of the same case; remove one of them")
        found[path.stem] = path
    return found
