"""The cache folder of the user."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return `ex4d/NAME` in XDG_CACHE_HOME, by default ~/.cache; it may not exist."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ex4d" / name
