"""Per-stage scratch directory: partial results to resume from, and previews."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from ex4d_core.types import Video


def _drop(name: str, video: Video) -> None:
    """Drop the video."""


@attrs.frozen(kw_only=True, eq=False)
class Workspace:
    """Scratch folder and preview callback of a long stage."""

    folder: Path | None = None
    """Folder for partial results, or None if they are not kept. An interrupted or killed stage finds its files there
    when it runs again with the same inputs, options and version. The folder is removed when the result is stored. Write
    files atomically (`files.atomic_write`)."""

    show: Callable[[str, Video], None] = _drop
    """Publishes a preview, as `show("preview", video)`; replaces an earlier one of that name."""


NO_WORKSPACE = Workspace()
"""Keeps no partial results and publishes no previews."""
