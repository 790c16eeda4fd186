"""The formats, one or a few in each module of this package, and the recognition of a file by its content."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from ex4d_core.bounds import shown
from ex4d_core.cameras.files._format import Content, Evidence, Format, Match, described
from ex4d_core.cameras.files._value import ReadOptions
from ex4d_core.errors import InvalidInput, nearest

BARE = "matrices"
"""The format whose convention the user declares."""


def _formats() -> dict[str, Format]:
    """Collect the formats of all modules; those that ex4d writes come first."""
    folder, package = str(Path(__file__).parent), __package__ or ""
    names = sorted(info.name for info in pkgutil.iter_modules([folder]) if not info.name.startswith("_"))
    found = [kind for name in names for kind in importlib.import_module(f"{package}.{name}").FORMATS]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: (kind.write is None, kind.name))}


FORMATS = _formats()
"""Formats by name."""


def format_named(name: str) -> Format:
    """Return a format.

    Raises:
        InvalidInput: the name is unknown.
    """
    if name not in FORMATS:
        guess = nearest(name[:100], FORMATS, then=f"use one of {', '.join(FORMATS)}")
        raise InvalidInput(f"unknown camera format {shown(name)}{guess}")
    return FORMATS[name]


def format_of(content: Content, reading: ReadOptions) -> tuple[Format, Match]:
    """Recognize the format of a file: that with the strongest evidence.

    With a convention, matrices that do not declare their own are read in it.

    Raises:
        InvalidInput: the file is of no known format, or of several.
    """
    found = {
        name: match for name, kind in FORMATS.items() if content.kind in kind.kinds and (match := kind.matches(content))
    }
    if not found:
        raise InvalidInput(
            f"{content.path} is not a camera path of a known format: it is {described(content)}; "
            "docs/cameras.md describes the formats, and format=NAME selects one"
        )
    strongest = max(match.evidence for match in found.values())
    if BARE in found and reading.convention is not None and strongest < Evidence.CERTAIN:
        return FORMATS[BARE], found[BARE]
    best = [name for name, match in found.items() if match.evidence == strongest]
    if len(best) > 1:
        raise InvalidInput(
            f"{content.path} can be {' or '.join(best)} ({found[best[0]].reason}); "
            f"select one, such as {content.path.name}:format={best[0]} or ex4d cam convert --from {best[0]}"
        )
    if found[best[0]].otherwise:
        raise InvalidInput(
            f"{content.path} has {found[best[0]].reason}, or {found[best[0]].otherwise}; if it is {best[0]}, "
            f"use {content.path.name}:format={best[0]} or ex4d cam convert --from {best[0]}"
        )
    return FORMATS[best[0]], found[best[0]]
