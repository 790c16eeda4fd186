"""`ex4d plugins new`: a package that offers a component and works as it is, for its author to go on from.

What is written are the files under `templates/common` and `templates/ROLE`, `$words` replaced, PACKAGE in their
paths too.
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
"""Characters of a name at most: folders and modules are called after it, and words are put before it."""

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def new_plugin(name: str, role: str, folder: Path, plugins: Plugins) -> Path:
    """Write a package that offers a component, all of it or nothing.

    Args:
        name: of the component, what users will type; the distribution is called ex4d-ROLE-NAME.
        role: one of `ROLES`.
        folder: where the package's own folder is made.
        plugins: what is installed, whose names are taken.

    Returns:
        The package's folder.

    Raises:
        InvalidConfig: there is no such role, or the name cannot be had.
        OutputFailed: the folder exists, or cannot be written.
    """
    if role not in ROLES:
        raise InvalidConfig(f"there is no role {role!r}{nearest(role, ROLES)}; --role takes {', '.join(ROLES)}")
    _check_name(name)
    _refuse_taken(name, role, plugins)
    words = _words(name, role)
    path = folder / words["distribution"]
    try:
        if path.exists():
            raise OutputFailed(f"{path} exists already; choose another name or another --output-dir, or remove it")
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
    """Refuse what can be no component, distribution and module at once."""
    if len(name) > LONGEST_NAME:
        raise InvalidConfig(f"a plugin's name has at most {LONGEST_NAME} characters, and this one has {len(name)}")
    if not _NAME.fullmatch(name):
        rule = "lower-case letters and digits, '-' or '_' between them, a letter first"
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()  # u for ü
        likely = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-0123456789")
        raise InvalidConfig(f"{name!r} can be no plugin's name: {rule}; try {likely or 'my-plugin'!r}")
    if name == "auto" or name.startswith("ex4d"):
        why = "means that ex4d chooses" if name == "auto" else "begins like the package that is made for it"
        raise InvalidConfig(f"{name!r} {why}; give the name that users shall type, such as 'my-plugin'")


def _refuse_taken(name: str, role: str, plugins: Plugins) -> None:
    # A name is one module, one distribution and one word to type, however it is spelt.
    taken = {_plain(offer.name): offer.source.distribution for offer in plugins.offers if offer.role == role}
    taken |= {_plain(problem.source.plugin): problem.source.distribution for problem in plugins.broken}
    if _plain(name) in taken:
        raise InvalidConfig(
            f"the {role} {name!r} is there already, from {taken[_plain(name)]}; choose another name "
            "(ex4d plugins list shows all that are taken)"
        )


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _words(name: str, role: str) -> dict[str, str]:
    facts = ROLES[role]
    version = ".".join(__version__.split(".")[:2])
    requirements = ["attrs>=25", f"ex4d-core>={version}", *facts.example_requirements, "torch>=2.8"]
    return {
        "name": name,
        "distribution": f"ex4d-{role}-{name}".replace("_", "-"),
        "package": _plain(f"ex4d_{role}_{name}"),
        "title": "".join(part.capitalize() for part in _plain(name).split("_")),
        "kind": facts.noun,
        "module": facts.noun.lower(),
        "role": facts.title,
        "hook": facts.hook,
        "summary": facts.example_summary,
        "use": facts.example_usage.format(name),
        "requirements": ", ".join(f'"{requirement}"' for requirement in requirements),
    }


def _texts(role: str, words: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the path inside of the package, and the text, of each file."""
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
