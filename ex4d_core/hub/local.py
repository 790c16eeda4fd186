"""Locate weights on this machine, in folders and in the Hugging Face cache. Nothing is downloaded here."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import attrs

from ex4d_core.errors import Ex4dError, InputNotFound, InvalidInput, PluginFailed, one_line
from ex4d_core.names import safe_name
from ex4d_core.reading import read_json, reading, refusal

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)

_MOST_LETTERS = 1000
"""Letters of a path within a repository."""


@attrs.frozen(kw_only=True)
class HubRepo:
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
        """Return the folder of this machine that `repo` names, or None where there is none.

        Raises:
            InvalidInput: the system does not let it be looked at.
        """
        try:
            folder = Path(self.repo).expanduser()
            os.stat(folder)
        except (RuntimeError, ValueError):  # ~ of a user that does not exist; a character that no name has
            return None
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR) or is_hub_name(self.repo):
                return None
            raise refusal(self.repo, "folder of weights", error) from error
        return folder if self.repo and folder.is_dir() else None

    def wants(self, path: str) -> bool:
        """Return whether a file, by its path in the checkpoint, is needed."""
        return any(fnmatchcase(path, pattern) for pattern in self.patterns)


def is_hub_name(text: str) -> bool:
    """Return whether a text reads OWNER/NAME, as the hub names its repositories."""
    return bool(_NAME.fullmatch(text)) and "--" not in text and ".." not in text


def is_safe_path(text: str) -> bool:
    """Return whether a relative path, its parts joined by `/`, leads to a place inside its folder on any system."""
    return len(text) <= _MOST_LETTERS and all(part and safe_name(part) == part for part in text.split("/"))


def find_in_cache(files: HubRepo) -> Path | None:
    """Return the folder in the hub's cache that has the files, or None where one of them is not there.

    The hub's client lists a repository when it downloads from it, and then knows what is missing. Where others put
    the files there, one match for each pattern is enough, and of weights in several parts those that an index names.

    Raises:
        InvalidInput: the cache cannot be read.
        PluginFailed: the package huggingface_hub is not installed.
    """
    if not is_hub_name(files.repo) or not is_safe_path(files.revision):
        return None
    hub = huggingface_hub()
    asked = {"revision": files.revision, "allow_patterns": list(files.patterns), "local_files_only": True}
    with reading(hub.constants.HF_HUB_CACHE, "cache of the hub"):
        try:
            folder = Path(hub.snapshot_download(files.repo, repo_type=files.kind, **asked))
        except hub.errors.LocalEntryNotFoundError:
            return None
        there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    matched = all(any(fnmatchcase(name, pattern) for name in there) for pattern in files.patterns)
    return folder if matched and all(_has_parts(path) for name, path in there.items() if files.wants(name)) else None


def resolve_weights(files: HubRepo, *, fetch: str) -> Path:
    """Return the folder that has a component's files: the one that was named, else the one in the hub's cache.

    Args:
        files: what is needed.
        fetch: the command that downloads it, as `fetch_command` makes it.

    Raises:
        InputNotFound: there is no such folder and it is not a name on the hub, or the cache does not have it.
        InvalidInput: the folder or the cache cannot be read, or the revision cannot be one.
        PluginFailed: the package huggingface_hub is not installed.
    """
    folder = files.folder()
    if folder is None:
        check_repo_id(files)
        folder = find_in_cache(files)
    if folder is None:
        raise InputNotFound(
            f"the weights {files.repo} ({files.revision}) are not on this machine, neither as a folder nor whole in "
            f"the hub's cache; type: {fetch}"
        )
    return folder


def check_repo_id(files: HubRepo) -> None:
    """Refuse what cannot be on the hub.

    Raises:
        InputNotFound: `repo` does not read OWNER/NAME.
        InvalidInput: the revision cannot be one.
    """
    if not is_hub_name(files.repo):
        raise InputNotFound(
            f"there is no folder {files.repo or repr('')}; give a folder with weights, or OWNER/NAME of weights on "
            "the hub"
        )
    if not is_safe_path(files.revision):
        raise InvalidInput(f"{files.revision!r} cannot be a revision; give a commit, tag or branch, such as main")


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
        PluginFailed: it is not installed, or a variable that it reads has a value that it cannot use.
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
    except Exception as error:  # it turns variables into numbers while it is imported
        variables = [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]
        raise PluginFailed(
            f"the package huggingface_hub cannot be imported ({one_line(error)}); check "
            f"{' and '.join(sorted(variables)) or 'its installation'}"
        ) from error
    return huggingface_hub  # type: ignore[no-any-return]  # its types are not followed


def _has_parts(path: Path) -> bool:
    """Return whether the files that an index of weights names are there; True for any other file."""
    if not path.name.endswith(".index.json"):
        return True
    try:
        parts = shards(path)
    except Ex4dError:  # damaged
        return False
    return all((path.parent / part).is_file() for part in parts)


def shards(index: Path) -> list[str]:
    """Return the names of the files that an index of weights in several parts lists; they are in its folder.

    Raises:
        InputNotFound: there is no such index.
        InvalidInput: it cannot be read, or is not such an index.
    """
    what = "index of weights"
    table = read_json(index, what)
    homes = table.get("weight_map") if isinstance(table, dict) else None
    names = list(homes.values()) if isinstance(homes, dict) else []
    if not names or not all(isinstance(name, str) and safe_name(name) == name for name in names):
        raise InvalidInput(f"the {what} {index} does not name files beside it; download it again")
    return sorted(set(names))
