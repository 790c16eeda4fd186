"""Where lies what is made once in a machine's life."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return `ex4d/NAME` in XDG_CACHE_HOME, which is ~/.cache unless it is set; it may not be there."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ex4d" / name
