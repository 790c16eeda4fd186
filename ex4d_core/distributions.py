"""Distributions of modules, and the pip command that upgrades a distribution."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ex4d_core.shell import command_line, quote
from ex4d_core.version import __version__

GROUP = "ex4d"
"""Entry-point group of plugins."""

CORE_DISTRIBUTION = "ex4d-core"

_CORE = frozenset(("ex4d_core", "typer_cli"))
"""Top-level modules of the core."""


def owners() -> dict[str, str]:
    """Return the top-level modules of the core and of plugins, each with the name of its plugin and distribution."""
    named = dict.fromkeys(_CORE, f"{CORE_DISTRIBUTION} {__version__}")
    for entry in importlib.metadata.entry_points(group=GROUP):
        dist = entry.dist
        origin = "" if dist is None else f" ({dist.name} {dist.version})"
        files = (dist.files if dist else None) or ()  # empty for editable installs; the entry point names a module
        modules = {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}
        for module in {entry.value.partition(":")[0].partition(".")[0], *modules} - _CORE:
            named.setdefault(module, f"{entry.name}{origin}")
    return named


def pip_command() -> str:
    """Return the shell command for the pip of this environment: `pip`, unless that is the pip of another one."""
    python = Path(sys.executable)
    found = shutil.which("pip")
    if found is not None and Path(found).parent == python.parent:
        return "pip"
    near = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    return f"{command_line([str(near)])} -m pip"


def upgrade_command(*distributions: str) -> str:
    """Return the pip command that upgrades distributions from where they were installed.

    A distribution that came from a folder or repository is not looked up in an index, which may have another of that
    name.
    """
    return f"pip install --upgrade {' '.join(map(_requirement, distributions))}"


def _requirement(distribution: str) -> str:
    """Return the argument for pip, from the origin that pip recorded (`direct_url.json`, PEP 610)."""
    try:
        origin = importlib.metadata.distribution(distribution).read_text("direct_url.json")
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError):
        origin = None
    try:
        return _direct(json.loads(origin)) if origin else distribution
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # not written by pip
        return distribution


def _direct(origin: dict[str, Any]) -> str:
    url = str(origin["url"])
    if vcs := origin.get("vcs_info"):
        revision = vcs.get("requested_revision")
        return quote(f"{vcs['vcs']}+{url}" + (f"@{revision}" if revision else ""))
    if not url.startswith("file:"):
        return quote(url)
    editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return editable + quote(url2pathname(urlsplit(url).path))
