"""Locate weights on this machine, in folders and in the Hugging Face cache. Nothing is downloaded here."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import attrs

from ex4d_core.errors import Ex4dError, InputNotFound, InvalidInput, PluginFailed, one_line
from ex4d_core.names import safe_name
from ex4d_core.reading import read_json, reading, refusal
from ex4d_core.shell import quote

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)

_MOST_LETTERS = 1000
"""Largest length of a path within a repository."""


@attrs.frozen(kw_only=True)
class WebFile:
    """A file on the web outside of the hub, which is stored in the cache of the hub."""

    path: str
    """Relative path in the folder of the weights, with `/`."""

    url: str
    """Its address; a token of the hub is never sent there."""

    size: int
    """In bytes."""

    sha256: str
    """SHA-256 of its content."""


@attrs.frozen(kw_only=True)
class HubRepo:
    """Required files of one repository: the weights of a component, or a part of a data set."""

    repo: str
    """OWNER/NAME on the hub, or a local folder with the same files."""

    revision: str
    """Commit, tag or branch on the hub; ignored for a folder."""

    patterns: tuple[str, ...] = ("*",)
    """Required files; each pattern matches at least one, such as `vae/*.safetensors`. `*` also matches `/`."""

    kind: Literal["model", "dataset", "space"] = "model"
    """Type of the repository on the hub; a model and a data set can have the same name."""

    size: int = attrs.field(default=0, eq=False)
    """Approximate size of these files in bytes, shown where the hub is not asked; 0 if unknown."""

    web: tuple[WebFile, ...] = ()
    """The files, if they are not on the hub; `repo` and `revision` then only name their folder in the cache."""

    def folder(self) -> Path | None:
        """Return `repo` as a local folder, or None if it does not exist.

        Raises:
            InvalidInput: the folder cannot be accessed.
        """
        try:
            folder = Path(self.repo).expanduser()
            os.stat(folder)
        except (RuntimeError, ValueError):  # ~ of an unknown user, or an invalid character
            return None
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR) or is_hub_name(self.repo):
                return None
            raise refusal(self.repo, "folder of weights", error) from error
        return folder if self.repo and folder.is_dir() else None

    def wants(self, path: str) -> bool:
        """Return whether a file is required, by its path in the repository."""
        return any(fnmatchcase(path, pattern) for pattern in self.patterns)


def is_hub_name(text: str) -> bool:
    """Return whether a text has the form OWNER/NAME of repositories on the hub."""
    return bool(_NAME.fullmatch(text)) and "--" not in text and ".." not in text


def is_safe_path(text: str) -> bool:
    """Return whether a relative path with `/` stays inside its folder on any operating system."""
    return len(text) <= _MOST_LETTERS and all(part and safe_name(part) == part for part in text.split("/"))


def find_in_cache(files: HubRepo) -> Path | None:
    """Return the folder in the cache of the hub with the files, or None if a file is missing.

    One match for each pattern is enough, and for weights in shards all files listed in their index.

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
    """Return the folder with the files of a component: a local folder, else one in the cache of the hub.

    Args:
        files: the required files.
        fetch: the command that downloads them, see `fetch_command`.

    Raises:
        InputNotFound: the name is neither a folder nor OWNER/NAME, or the files are not in the cache.
        InvalidInput: the folder or the cache cannot be read, or the revision is invalid.
        PluginFailed: the package huggingface_hub is not installed.
    """
    folder = files.folder()
    if folder is None:
        check_repo_id(files)
        folder = find_in_cache(files)
    if folder is None:
        raise InputNotFound(
            f"the weights {files.repo} ({files.revision}) are not on this machine, neither as a folder nor complete "
            f"in the hub's cache; type: {fetch}"
        )
    return folder


def check_repo_id(files: HubRepo) -> None:
    """Refuse invalid names and revisions.

    Raises:
        InputNotFound: `repo` does not have the form OWNER/NAME.
        InvalidInput: the revision is invalid.
    """
    if not is_hub_name(files.repo):
        raise InputNotFound(
            f"there is no folder {files.repo or repr('')}; give a folder with weights, or OWNER/NAME of weights on "
            "the hub"
        )
    if not is_safe_path(files.revision):
        raise InvalidInput(f"{files.revision!r} is not a valid revision; use a commit, tag or branch, such as main")


def fetch_command(name: str, options: Any, *, role: str, of: Sequence[str]) -> str:
    """Return the command that downloads the weights of a component, with the user's settings.

    Args:
        name: of the component.
        options: its options, an attrs value.
        role: such as `depth`.
        of: names of the options that select the weights; default values are omitted.
    """
    defaults = {field.name: field.default for field in attrs.fields(type(options))}
    given = [option for option in of if getattr(options, option) != defaults[option]]
    settings = [quote(f"{role}.{option}={getattr(options, option)}") for option in given]
    return " --set ".join([f"ex4d fetch {name}", *settings])


def huggingface_hub() -> ModuleType:
    """Import the client of the hub, which only components with weights require.

    Raises:
        PluginFailed: it is not installed, or an environment variable that it reads is invalid.
    """
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.file_download
        import huggingface_hub.utils
    except ModuleNotFoundError as error:
        raise PluginFailed(
            "weights on the hub require the package huggingface_hub, which is not installed; "
            "type: pip install huggingface_hub"
        ) from error
    except Exception as error:  # it parses environment variables at import
        variables = [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]
        raise PluginFailed(
            f"the package huggingface_hub cannot be imported ({one_line(error)}); check "
            f"{' and '.join(sorted(variables)) or 'its installation'}"
        ) from error
    return huggingface_hub  # type: ignore[no-any-return]  # its types are not followed


def is_offline() -> bool:
    """Return whether the user forbids downloads (`HF_HUB_OFFLINE`), or the client of the hub is not available."""
    try:
        return bool(huggingface_hub().constants.HF_HUB_OFFLINE)
    except PluginFailed:
        return True


def _has_parts(path: Path) -> bool:
    """Return whether the files listed in an index of weights exist; True for any other file."""
    if not path.name.endswith(".index.json"):
        return True
    try:
        parts = shards(path)
    except Ex4dError:  # damaged
        return False
    return all((path.parent / part).is_file() for part in parts)


def shards(index: Path) -> list[str]:
    """Return the names of the files that are listed in an index of sharded weights; they are in its folder.

    Raises:
        InputNotFound: the index does not exist.
        InvalidInput: it cannot be read, or is not an index.
    """
    what = "index of weights"
    table = read_json(index, what)
    homes = table.get("weight_map") if isinstance(table, dict) else None
    names = list(homes.values()) if isinstance(homes, dict) else []
    if not names or not all(isinstance(name, str) and safe_name(name) == name for name in names):
        raise InvalidInput(f"the {what} {index} does not list files in its folder; download it again")
    return sorted(set(names))
