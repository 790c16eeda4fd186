"""Per-stage scratch directory: partial results to resume from, and previews."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from ex4d_core.types import Video


def _show_nobody(name: str, video: Video) -> None:
    """Drop the video."""


@attrs.frozen(kw_only=True, eq=False)
class Workspace:
    """A place for work that takes long."""

    folder: Path | None = None
    """A folder of this work alone, there for as long as it takes: work that is stopped or killed finds it again as it
    left it, the same inputs and options and the same version given, and it is removed when the result is stored. Files
    must be written whole (`files.atomic_write`). None where nothing is kept."""

    show: Callable[[str, Video], None] = _show_nobody
    """Called as `show(name, video)`, such as `show("preview", video)`: people see the video instead of the one shown
    under that name before."""


NO_WORKSPACE = Workspace()
"""Keeps nothing and shows nobody."""
