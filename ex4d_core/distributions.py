"""Find the distribution that a module belongs to, so that messages name the right package."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ex4d_core.version import __version__

GROUP = "ex4d"
"""The entry-point group that plugins register in."""

CORE_DISTRIBUTION = "ex4d-core"

_CORE = frozenset(("ex4d_core", "typer_cli"))
"""Top-level modules of the core's distribution."""


def owners() -> dict[str, str]:
    """Return the top-level modules of the core and of plugins, each with its plugin and distribution in words."""
    named = dict.fromkeys(_CORE, f"{CORE_DISTRIBUTION} {__version__}")
    for entry in importlib.metadata.entry_points(group=GROUP):
        dist = entry.dist
        origin = "" if dist is None else f" ({dist.name} {dist.version})"
        files = (dist.files if dist else None) or ()  # of an editable install only the entry point names its modules
        modules = {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}
        for module in {entry.value.partition(":")[0].partition(".")[0], *modules} - _CORE:
            named.setdefault(module, f"plugin {entry.name!r}{origin}")
    return named


def upgrade_command(*distributions: str) -> str:
    """Return the pip command that gets distributions again from where they came from.

    An index is asked only for what came from one: it may have something else of the same name.
    """
    return f"pip install --upgrade {' '.join(map(_requirement, distributions))}"


def _requirement(distribution: str) -> str:
    """Return what pip is to be given, by what it wrote down itself (`direct_url.json`, PEP 610)."""
    try:
        written = importlib.metadata.distribution(distribution).read_text("direct_url.json")
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError):
        written = None
    try:
        return _direct(json.loads(written)) if written else distribution
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # not written by pip
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
