"""The files of a folder that hold depth: one series of names, in the order of their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from ex4d_core.depth_io.containers.maps import COLOR_SUFFIXES, IMAGE_SUFFIXES
from ex4d_core.errors import InvalidInput
from ex4d_core.names import natural_key

ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
FRAME_SUFFIXES = IMAGE_SUFFIXES | ARRAY_SUFFIXES
"""Suffixes of depth maps in a folder."""

_DEPTH = re.compile(r"depth|disp(?!lay)|zbuffer|(?:^|[^a-z])z(?:[^a-z]|$)", re.IGNORECASE)
"""Names of a series of depth."""

_OTHER = re.compile(
    r"conf|mask|image|color|rgb|normal|(?:^|_)vis|_vis|points|flow|dynamic|uncert|camera|pose|intrinsic|mist|beauty|preview",
    re.IGNORECASE,
)
"""Names of a series beside depth."""

_FLOATS = (".npz", ".npy", ".exr", ".pfm", ".dpt")
"""Suffixes of numbers, which win over a picture of the same name."""


Group = tuple[str, str]
"""Stem of a series with # for its numbers, and its suffix."""


def depth_series(files: Iterable[PurePath], folder: Path) -> list[PurePath]:
    """Return the depth maps among the files of a folder, in natural order.

    Raises:
        InvalidInput: there are none, or several series that could be depth.
    """
    groups: dict[Group, list[PurePath]] = {}
    for file in files:
        suffix = file.suffix.lower()
        if suffix in FRAME_SUFFIXES | COLOR_SUFFIXES and not file.name.startswith((".", "_")):
            groups.setdefault((re.sub(r"\d+", "#", file.stem), suffix), []).append(file)
    if not groups:
        raise InvalidInput(
            f"the folder {folder} has no depth maps ({', '.join(sorted(FRAME_SUFFIXES))}); use one with a map for each "
            "frame"
        )
    chosen = _chosen(groups)
    if len(chosen) == 1:
        return sorted(groups[chosen[0]], key=lambda file: natural_key(file.name))
    suffixes = sorted({suffix for _, suffix in chosen})
    if len(suffixes) > 1:
        raise InvalidInput(
            f"the folder {folder} mixes {' and '.join(suffixes)} files; keep one depth map for each frame"
        )
    return _one_series([file for key in chosen for file in groups[key]], [stem for stem, _ in chosen], folder)


def _one_series(files: list[PurePath], stems: Sequence[str], folder: Path) -> list[PurePath]:
    """Return files of several patterns as one series if their names have no numbers in common patterns."""
    if all("#" in stem for stem in stems):
        names = ", ".join(sorted(stems)[:4])
        raise InvalidInput(
            f"the folder {folder} has several series of files, {names}; keep one depth map for each frame"
        )
    return sorted(files, key=lambda file: natural_key(file.name))


def _chosen(groups: Mapping[Group, Sequence[PurePath]]) -> list[Group]:
    """Return the series that may be depth, by evidence of names, then of types."""
    rest = [group for group in groups if not _OTHER.search(group[0])] or list(groups)
    rest = [group for group in rest if _DEPTH.search(group[0])] or rest
    if any(suffix not in COLOR_SUFFIXES for _, suffix in rest):
        rest = [group for group in rest if group[1] not in COLOR_SUFFIXES]
    for suffix in _FLOATS:
        numbers = {file.stem for group in rest if group[1] == suffix for file in groups[group]}
        rest = [group for group in rest if group[1] == suffix or not {file.stem for file in groups[group]} <= numbers]
    return rest
