"""Where an installed distribution came from, so that what tells people to get it again names the same place."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname


def upgrade_command(*distributions: str) -> str:
    """Return the pip command that gets distributions again from where they came from.

    An index is asked only for what came from one: it may have something else of the same name.
    """
    return f"pip install --upgrade {' '.join(map(_requirement, distributions))}"


def _requirement(distribution: str) -> str:
    """Return what pip is to be given, by what it wrote down itself (`direct_url.json`, PEP 610)."""
    try:
        written = importlib.metadata.distribution(distribution).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        written = None
    try:
        return _direct(json.loads(written)) if written else distribution
    except (ValueError, KeyError, TypeError):  # not written by pip
        return distribution


def _direct(origin: dict[str, Any]) -> str:
    url = str(origin["url"])
    if vcs := origin.get("vcs_info"):
        revision = vcs.get("requested_revision")
        return shlex.quote(f"{vcs['vcs']}+{url}" + (f"@{revision}" if revision else ""))
    if not url.startswith("file:"):
        return shlex.quote(url)
    editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return editable + shlex.quote(url2pathname(urlsplit(url).path))
