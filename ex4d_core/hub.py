"""Weights on this machine: folders, and what the Hugging Face hub's cache has. Nothing is downloaded here."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import attrs

from ex4d_core.errors import InputNotFound, PluginFailed

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


@attrs.frozen(kw_only=True)
class HubFiles:
    """Files that are needed of one repository: the weights of a component, or a part of a data set."""

    repo: str
    """OWNER/NAME on the hub, or a folder of this machine that holds the same files."""

    revision: str
    """Commit, tag or branch on the hub; a folder has none."""

    patterns: tuple[str, ...] = ("*",)
    """Which files are needed, each pattern matching at least one, such as `vae/*.safetensors`; `*` goes through
    folders too."""

    kind: Literal["model", "dataset"] = "model"
    """What the hub calls such a repository; models and data sets of one name are two things."""

    def folder(self) -> Path | None:
        """Return the folder of this machine that `repo` names, or None where there is none."""
        try:
            folder = Path(self.repo).expanduser()
        except RuntimeError:  # ~ of a user that does not exist
            return None
        return folder if folder.is_dir() else None

    def wants(self, path: str) -> bool:
        """Return whether a file, by its path in the checkpoint, is needed."""
        return any(fnmatchcase(path, pattern) for pattern in self.patterns)


def is_hub_name(text: str) -> bool:
    """Return whether a text reads OWNER/NAME, as the hub names its repositories."""
    return bool(_NAME.fullmatch(text)) and "--" not in text and ".." not in text


def cached(files: HubFiles) -> Path | None:
    """Return the folder in the hub's cache that has the files, or None where one of them is not there.

    The hub's client lists a repository when it downloads from it, and then knows what is missing. Where others put
    the files there, one match for each pattern is enough, and of weights in several parts those that an index names.

    Raises:
        PluginFailed: the package huggingface_hub is not installed.
    """
    if not is_hub_name(files.repo):
        return None
    hub = huggingface_hub()
    asked = {"revision": files.revision, "allow_patterns": list(files.patterns), "local_files_only": True}
    try:
        folder = Path(hub.snapshot_download(files.repo, repo_type=files.kind, **asked))
    except hub.errors.LocalEntryNotFoundError:
        return None
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    matched = all(any(fnmatchcase(name, pattern) for name in there) for pattern in files.patterns)
    return folder if matched and all(_has_parts(path) for name, path in there.items() if files.wants(name)) else None


def place(files: HubFiles, *, fetch: str) -> Path:
    """Return the folder that has a component's files: the one that was named, else the one in the hub's cache.

    Args:
        files: what is needed.
        fetch: the command that downloads it, as `fetch_command` makes it.

    Raises:
        InputNotFound: there is no such folder and it is no name on the hub, or the cache does not have it.
        PluginFailed: the package huggingface_hub is not installed.
    """
    folder = files.folder()
    if folder is None:
        check_name(files)
        folder = cached(files)
    if folder is None:
        raise InputNotFound(
            f"the weights {files.repo} ({files.revision}) are not on this machine, neither as a folder nor whole in "
            f"the hub's cache; type: {fetch}"
        )
    return folder


def check_name(files: HubFiles) -> None:
    """Refuse what cannot be on the hub.

    Raises:
        InputNotFound: `repo` does not read OWNER/NAME.
    """
    if not is_hub_name(files.repo):
        raise InputNotFound(
            f"there is no folder {files.repo}; give a folder with weights, or OWNER/NAME of weights on the hub"
        )


def fetch_command(name: str, options: Any, *, role: str, of: Sequence[str]) -> str:
    """Return the command that downloads a component's weights, with what the user set.

    Args:
        name: of the component.
        options: its options, an attrs value.
        role: such as `depth`.
        of: names of the options that decide which weights are meant; those that are as by default are left out.
    """
    defaults = {field.name: field.default for field in attrs.fields(type(options))}
    given = [option for option in of if getattr(options, option) != defaults[option]]
    settings = [shlex.quote(f"{role}.{option}={getattr(options, option)}") for option in given]
    return " --set ".join([f"ex4d fetch {name}", *settings])


def huggingface_hub() -> ModuleType:
    """Import the hub's client, which only components with weights need.

    Raises:
        PluginFailed: it is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.file_download
        import huggingface_hub.utils
    except ModuleNotFoundError as error:
        raise PluginFailed(
            "weights on the hub need the package huggingface_hub, which is not installed; "
            "type: pip install huggingface_hub"
        ) from error
    return huggingface_hub  # type: ignore[no-any-return]  # its types are not followed


def _has_parts(path: Path) -> bool:
    """Return whether the files that an index of weights names are there; True for any other file."""
    if not path.name.endswith(".index.json"):
        return True
    try:
        parts = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, LookupError, TypeError, AttributeError):
        return False  # damaged
    return all(isinstance(part, str) and (path.parent / part).is_file() for part in parts)
