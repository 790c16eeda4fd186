"""`ex4d plugins new`: create a working plugin package from a template.

The templates are the files in `templates/common` and `templates/ROLE`. `$words` in their text and PACKAGE in
their paths are replaced.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from ex4d_core.errors import InvalidConfig, OutputFailed, nearest
from ex4d_core.files import temporary_folder
from ex4d_core.plugins.discovery import Plugins
from ex4d_core.roles import ROLES
from ex4d_core.version import __version__

SUFFIX = ".template"
LONGEST_NAME = 64
"""Maximum number of characters of a name, which becomes a part of folder and module names."""

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def new_plugin(name: str, role: str, folder: Path, plugins: Plugins) -> Path:
    """Write a package that offers a component, completely or not at all.

    Args:
        name: name of the component, which users will type; the distribution is named ex4d-ROLE-NAME.
        role: one of `ROLES`.
        folder: parent of the new folder.
        plugins: the installed plugins, whose names cannot be used.

    Returns:
        The folder of the package.

    Raises:
        InvalidConfig: the role is unknown, or the name is invalid or in use.
        OutputFailed: the folder exists, or cannot be written.
    """
    if role not in ROLES:
        raise InvalidConfig(f"unknown role {role!r}{nearest(role, ROLES, then='use one of ' + ', '.join(ROLES))}")
    _check_name(name)
    _refuse_taken(name, role, plugins)
    words = _words(name, role)
    path = folder / words["distribution"]
    try:
        if path.exists():
            raise OutputFailed(f"{path} already exists; choose another name or --output-dir, or remove it")
        with temporary_folder(folder) as temporary:
            for inside, text in _texts(role, words):
                (temporary / "new" / inside).parent.mkdir(parents=True, exist_ok=True)
                (temporary / "new" / inside).write_text(text, encoding="utf-8")
            os.rename(temporary / "new", path)
    except OutputFailed:
        raise
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _check_name(name: str) -> None:
    """Check that a name is valid for a component, a distribution and a module."""
    if len(name) > LONGEST_NAME:
        raise InvalidConfig(f"the name of a plugin has at most {LONGEST_NAME} characters, and this one has {len(name)}")
    if not _NAME.fullmatch(name):
        rule = "use lower-case letters and digits, separated by '-' or '_', beginning with a letter"
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()  # u for ü
        likely = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-0123456789")
        raise InvalidConfig(f"invalid plugin name {name!r}: {rule}; try {likely or 'my-plugin'!r}")
    if name == "auto" or name.startswith("ex4d"):
        reason = "selects a component automatically" if name == "auto" else "begins with ex4d, which is added to it"
        raise InvalidConfig(f"{name!r} {reason}; choose a name such as 'my-plugin'")


def _refuse_taken(name: str, role: str, plugins: Plugins) -> None:
    # '-' and '_' are equal in names of modules and distributions.
    taken = {_plain(offer.name): offer.source.distribution for offer in plugins.offers if offer.role == role}
    taken |= {_plain(problem.source.plugin): problem.source.distribution for problem in plugins.broken}
    if _plain(name) in taken:
        raise InvalidConfig(
            f"the {role} {name!r} already exists, from {taken[_plain(name)]}; choose another name "
            "(ex4d plugins list shows all names)"
        )


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _words(name: str, role: str) -> dict[str, str]:
    record = ROLES[role]
    version = ".".join(__version__.split(".")[:2])
    requirements = ["attrs>=25", f"ex4d-core>={version}", *record.example_requirements, "torch>=2.8"]
    return {
        "name": name,
        "distribution": f"ex4d-{role}-{name}".replace("_", "-"),
        "package": _plain(f"ex4d_{role}_{name}"),
        "title": "".join(part.capitalize() for part in _plain(name).split("_")),
        "kind": record.noun,
        "module": record.noun.lower(),
        "role": record.title,
        "hook": record.hook,
        "summary": record.example_summary,
        "use": record.example_usage.format(name),
        "requirements": ", ".join(f'"{requirement}"' for requirement in requirements),
    }


def _texts(role: str, words: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield path and text of each file of the package."""
    templates = files("ex4d_core.plugins") / "templates"
    for root in (templates / "common", templates / role):
        for path, file in _walk(root, ""):
            text = file.read_text(encoding="utf-8")
            yield path.replace("PACKAGE", words["package"]).removesuffix(SUFFIX), Template(text).substitute(words)


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(entry, f"{path}{entry.name}/")
        else:
            yield f"{path}{entry.name}", entry
